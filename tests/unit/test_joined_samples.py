"""Samples of several rows each, as DLRM is asked them: batches, answers, accuracy and examples."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import types

import pytest

np = pytest.importorskip("numpy")

from harness_work_parts import settings_in  # noqa: E402

from orchestrator.harness import joined  # noqa: E402
from orchestrator.harness import settings as harness_settings  # noqa: E402
from orchestrator.harness.instances import Layout  # noqa: E402
from orchestrator.harness.metrics import answers as logged  # noqa: E402
from orchestrator.harness.samples import Samples  # noqa: E402
from orchestrator.harness.tasks import Packed, create  # noqa: E402
from orchestrator.harness.work import Team, Work  # noqa: E402

COUNTS = [2, 1, 4, 3]
ROWS = sum(COUNTS)


@pytest.fixture
def document(tmp_path) -> dict:
    given = settings_in(tmp_path)
    np.save(tmp_path / "users.npy", np.arange(ROWS))
    np.save(tmp_path / "films.npy", 10.0 * np.arange(ROWS)[:, None] + np.arange(2))
    np.save(tmp_path / "lengths.npy", np.array(COUNTS, np.int32))
    np.save(tmp_path / "labels.npy", np.arange(ROWS) % 2)
    inputs = [
        {"name": name, "array": name, "dtype": dtype, "scale": scale, "varies": False, "joined": True}
        for name, dtype, scale in (("users", "int64", 1.0), ("films", "float32", 0.5))
    ]
    names = ("users", "films", "lengths", "labels")
    arrays = {name: str(tmp_path / f"{name}.npy") for name in names}
    unset = dict.fromkeys(("target_qps", "expected_latency_ns", "target_latency_ns", "target_latency_percentile"))
    least = {"min_duration_ms": 1, "max_duration_ms": 0, "min_query_count": 1, "samples_per_query": None}
    execution = {"cpus": list(given.execution.cpus)}
    execution |= dict.fromkeys(("instances", "threads", "batch", "batch_delay_us"))
    return {
        **{name: getattr(given, name) for name in ("version", "run_id", "benchmark", "scenario", "mode", "backend")},
        "task": "recommendation",
        "providers": [],
        "model": {"path": "m", "inputs": inputs, "outputs": ["probability"]},
        "dataset": {"arrays": arrays, "samples": len(COUNTS), "performance_samples": len(COUNTS), "show": True},
        "loadgen": {**least, **unset},
        "execution": execution,
        "accuracy": {"metric": "AUC", "unit": "%"},
    }


@pytest.fixture
def settings(document):
    return harness_settings.parse(document)


def rows_of(sample: int) -> list[int]:
    start = sum(COUNTS[:sample])
    return list(range(start, start + COUNTS[sample]))


class Pairs:
    """A model whose answer to a pair is its user; keeps how many pairs each call had."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def group(self, threads: int, instance: int) -> list[int]:
        return sorted(os.sched_getaffinity(0))

    def get(self, threads: int, instance: int) -> Pairs:
        return self

    def predict(self, batch):
        users, films = batch
        assert films.shape == (len(users), 2)
        assert (films[:, 0] == 5 * users).all(), "all inputs of a row belong together"
        self.seen.append(len(users))
        return [users.astype(np.float32)[:, None]]


def loaded(settings) -> Samples:
    found = joined.create(settings)
    found.load(range(len(COUNTS)))
    return found


def test_a_batch_is_the_rows_of_its_samples_in_their_order(settings):
    samples = loaded(settings)
    room = samples.buffer(3)
    users, films = samples.batch([2, 0, 2], room)
    assert users.tolist() == rows_of(2) + rows_of(0) + rows_of(2)
    assert films[:, 0].tolist() == [5.0 * user for user in users]
    assert np.shares_memory(users, room[0])
    alone, _ = samples.batch([3], room)
    assert alone.tolist() == rows_of(3)
    assert not np.shares_memory(alone, room[0]), "one sample's rows lie side by side already"


def test_only_some_of_the_samples_may_be_loaded(settings):
    samples = joined.create(settings)
    samples.load([3, 1])
    users, _ = samples.batch([3, 1], samples.buffer(2))
    assert users.tolist() == rows_of(3) + rows_of(1)
    with pytest.raises(KeyError):
        samples.batch([0], samples.buffer(1))
    samples.load([0])
    assert samples.batch([0], samples.buffer(1))[0].tolist() == rows_of(0)


def test_samples_of_one_row_stay_as_they_were(tmp_path):
    assert type(joined.create(settings_in(tmp_path))) is Samples


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_each_sample_is_answered_by_all_its_pairs(settings, batch):
    model = Pairs()
    team = Team(Work(model, loaded(settings), create(settings)), Layout(1, 1, batch))
    answers = list(team.answer([1, 2, 0]))
    assert [np.frombuffer(each, "<f4").tolist() for each in answers] == [rows_of(1), rows_of(2), rows_of(0)]
    assert sum(model.seen) == 7


def test_loadgen_is_shown_where_each_answer_lies(monkeypatch):
    got: dict[int, list[float]] = {}

    def complete(responses) -> None:
        for each in responses:
            got[each.id] = np.frombuffer(ctypes.string_at(each.data, each.size), "<f4").tolist()

    fake = types.ModuleType("mlperf_loadgen")
    fake.QuerySampleResponse = lambda sample, data, size: types.SimpleNamespace(id=sample, data=data, size=size)
    fake.QuerySamplesComplete = complete
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", fake)
    monkeypatch.delitem(sys.modules, "orchestrator.harness.sut", raising=False)
    sut = importlib.import_module("orchestrator.harness.sut")
    monkeypatch.delitem(sys.modules, "orchestrator.harness.sut")
    pool = sut.ResponsePool(1, 3, None, [].append)
    given = np.arange(5, dtype="<f4")
    pool.complete(0, [7, 9], Packed(given, [(0, 8), (8, 12)]))
    assert got == {7: [0.0, 1.0], 9: [2.0, 3.0, 4.0]}
    pool.complete(0, [1], [np.float32(6).tobytes()])
    assert got[1] == [6.0]


def test_a_model_that_gives_too_few_probabilities_is_refused(settings):
    with pytest.raises(ValueError, match="gives 2 probabilities for 3 pairs"):
        create(settings).answers([np.zeros((2, 1), np.float32)], [0, 1])


@pytest.mark.parametrize("lengths", [[2, 1, 4, 2], [2, 1, 4, 3, 1], [2, 0, 4, 4], [[2], [1], [4], [3]]])
def test_counts_that_do_not_fit_the_arrays_are_refused(settings, lengths):
    np.save(settings.dataset.arrays["lengths"], np.array(lengths))
    with pytest.raises(ValueError, match=r"dataset\.arrays"):
        joined.create(settings)


@pytest.mark.parametrize("change", [{"joined": False}, {"varies": True}])
def test_inputs_are_joined_all_or_none(document, change):
    document["model"]["inputs"][1] |= change
    with pytest.raises(harness_settings.SettingsError, match="either all are `joined`"):
        harness_settings.parse(document)


def answered(value=0.5) -> list[bytes]:
    return [np.full(count, value, "<f4").tobytes() for count in COUNTS]


def test_logged_answers_are_the_probabilities_of_all_pairs():
    given = [np.array(rows_of(at), "<f4").tobytes() for at in range(len(COUNTS))]
    assert logged.joined(given, np.array(COUNTS)).tolist() == list(range(ROWS))
    with pytest.raises(ValueError, match="sample 1 has 8 bytes, 4 were expected"):
        logged.joined([given[0], given[0], *given[2:]], np.array(COUNTS))
    with pytest.raises(ValueError, match=f"row 0 of {ROWS} is not finite"):
        logged.joined(answered(np.nan), np.array(COUNTS))


def test_the_auc_is_that_of_all_pairs_and_examples_name_theirs(settings):
    pytest.importorskip("sklearn.metrics")
    pytest.importorskip("scipy.stats")
    from orchestrator.harness.examples import recommendation as examples
    from orchestrator.harness.metrics import counter

    scores = np.where(np.arange(ROWS) % 2, 0.9, 0.1).astype("<f4")
    scores[4] = 0.95  # of a film that is not liked: above all five that are
    given = [scores[rows_of(at)].tobytes() for at in range(len(COUNTS))]
    (figure,) = counter("recommendation").figures(settings, given)
    assert figure.value == pytest.approx(100 * 20 / 25)
    assert figure.samples == len(COUNTS)
    wrong = [each for each in examples.examples(settings, given).items if not each.right]
    assert [(each.sample, each.texts[0].text) for each in wrong] == [(2, "2 of 4")]
