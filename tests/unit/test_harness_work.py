"""Samples in memory, batches of them, queries split over instances, and the Server queue; no LoadGen."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import os
import sys
import threading
import time
import types

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.instances import Layout  # noqa: E402
from orchestrator.harness.samples import Samples  # noqa: E402
from orchestrator.harness.settings import parse  # noqa: E402
from orchestrator.harness.tasks import create  # noqa: E402
from orchestrator.harness.work import Team, Work  # noqa: E402

COUNT = 12


@pytest.fixture
def settings(tmp_path):
    np.save(tmp_path / "images.npy", np.arange(COUNT * 3, dtype=np.uint8).reshape(COUNT, 3))
    np.save(tmp_path / "labels.npy", np.arange(COUNT, dtype=np.int32))
    unset = ("target_qps", "expected_latency_ns", "target_latency_ns", "target_latency_percentile")
    return parse(
        {
            "version": 2,
            "run_id": "r",
            "benchmark": "b",
            "task": "image-classification",
            "scenario": "Offline",
            "mode": "accuracy",
            "backend": "onnxruntime",
            "providers": [],
            "model": {
                "path": "m",
                "inputs": [{"name": "x", "dtype": "float32", "scale": 0.5, "array": "inputs", "varies": False}],
                "outputs": ["y"],
            },
            "dataset": {
                "arrays": {"inputs": str(tmp_path / "images.npy"), "labels": str(tmp_path / "labels.npy")},
                "samples": COUNT,
                "performance_samples": COUNT,
            },
            "loadgen": {
                "min_duration_ms": 1,
                "max_duration_ms": 0,
                "min_query_count": 1,
                "samples_per_query": None,
                **dict.fromkeys(unset),
            },
            "execution": {"cpus": [0], "instances": None, "threads": None, "batch": None, "batch_delay_us": None},
            "accuracy": {"metric": "top1", "unit": "%"},
        }
    )


@pytest.fixture
def samples(settings):
    found = Samples(settings)
    found.load(range(COUNT))
    return found


def test_samples_are_scaled_once_and_neighbours_are_not_copied(samples):
    buffer = samples.buffer(4)
    (whole,) = samples.batch([0, 1, 2, 3], buffer)
    assert whole.dtype == np.float32
    assert whole[3].tolist() == [4.5, 5.0, 5.5]
    assert not np.shares_memory(whole, buffer[0])
    assert np.shares_memory(whole, samples.batch([2], buffer)[0])


def test_scattered_and_repeated_samples_are_gathered_into_the_buffer(samples):
    buffer = samples.buffer(4)
    for indexes in ([7, 0, 7], [2, 1, 0], [3, 3, 3, 3], [0, 2, 1, 3]):
        (found,) = samples.batch(indexes, buffer)
        assert np.shares_memory(found, buffer[0])
        assert found[:, 0].tolist() == [index * 1.5 for index in indexes]


def test_loading_a_part_keeps_the_numbers_of_the_samples(samples, settings):
    other = Samples(settings)
    other.load([9, 4, 4, 2])
    assert other.batch([4, 9], other.buffer(2))[0][:, 0].tolist() == [6.0, 13.5]


def test_a_dataset_of_another_size_is_refused(settings, tmp_path):
    np.save(tmp_path / "labels.npy", np.zeros(COUNT - 1, np.int32))
    with pytest.raises(ValueError, match="labels hold 11 samples, the settings say 12"):
        create(settings)


class EchoInstances:
    """A model whose answer is the sample's index; keeps the batches that it saw."""

    def __init__(self, fail_on: int = -1, wait: float = 0.0) -> None:
        self.seen: list[list[int]] = []
        self._fail_on, self._wait = fail_on, wait

    def group(self, threads: int, instance: int):
        return sorted(os.sched_getaffinity(0))

    def get(self, threads: int, instance: int):
        return self

    def predict(self, batch):
        indexes = [round(value / 1.5) for value in batch[0][:, 0].tolist()]
        self.seen.append(indexes)
        time.sleep(self._wait)
        if self._fail_on in indexes:
            raise RuntimeError("the model broke")
        return [np.eye(COUNT, dtype=np.float32)[indexes]]


class Classes:
    """The task: the largest logit."""

    answer = np.dtype("<i8")

    def answers(self, outputs, indexes):
        return outputs[0].argmax(axis=1)


def work(model, samples) -> Work:
    return Work(model, samples, Classes())


@pytest.mark.parametrize(("instances", "batch"), [(1, 8), (1, 3), (2, 4), (2, 1), (3, 5)])
def test_a_team_answers_every_sample_in_its_place(samples, instances, batch):
    team = Team(work(EchoInstances(), samples), Layout(instances, 1, batch))
    for query in ([5, 1, 9, 0, 11, 5, 2, 3], [7], list(range(8))):
        assert team.answer(query).tolist() == query
    team.close()


def test_a_failing_helper_fails_the_query(samples):
    model = EchoInstances(fail_on=6, wait=0.005)
    team = Team(work(model, samples), Layout(2, 1, 1))
    with pytest.raises(RuntimeError, match="the model broke"):
        team.answer([1, 2, 3, 4, 5, 6, 7, 8])
    team.close()


def test_accuracy_counts_the_first_answer_and_wants_every_sample(settings, tmp_path):
    task = create(settings)
    answers = [(index, 0 if index == 3 else index) for index in range(COUNT)] + [(3, 3)]
    log = tmp_path / "log.json"

    def write(entries):
        rows = [
            {"seq_id": at, "qsl_idx": index, "data": int(answer).to_bytes(8, "little").hex().upper()}
            for at, (index, answer) in enumerate(entries)
        ]
        log.write_text(json.dumps(rows))

    write(answers)
    found = task.accuracy(log)
    assert (found["correct"], found["samples"], found["value"]) == (11, COUNT, pytest.approx(91.6667))
    write(answers[:5])
    with pytest.raises(ValueError, match="5 of 12 samples"):
        task.accuracy(log)


def test_the_class_of_a_picture_is_its_largest_logit(settings):
    assert create(settings).answers([np.array([[0.1, 0.9, 0.0], [2.0, -1.0, 1.0]])], [0, 1]).tolist() == [1, 0]


def of_task(settings, name):
    return create(dataclasses.replace(settings, task=name))


@pytest.mark.parametrize("name", ["embedding-classification", "embedding-similarity"])
def test_the_embedding_of_a_text_is_answered_as_float32_bytes(settings, tmp_path, name):
    task = of_task(settings, name)
    rows = np.array([[0.6, 0.8], [1, 0]])
    assert task.answers([rows], range(len(rows))) == [np.array(row, "<f4").tobytes() for row in rows]
    assert task.accuracy(tmp_path) is None, "the accuracy image counts it"


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_recommendation_is_answered_as_one_probability_each(settings, tmp_path, shape):
    task = of_task(settings, "recommendation")
    room = np.zeros(3, task.answer)
    room[:] = task.answers([np.array([0.25, 0.5, 0.75], np.float32).reshape(shape)], [0, 1, 2])
    assert (room.tolist(), task.answer.itemsize) == ([0.25, 0.5, 0.75], 4)
    assert task.accuracy(tmp_path) is None, "the accuracy image counts it"


# -- the queue, over a LoadGen that only takes answers -----------------------------------


class Answers:
    """Stands for LoadGen's side: what was completed, by id."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.got: dict[int, int] = {}
        self.all = threading.Event()
        self.expected = 0

    def complete(self, responses) -> None:
        self.calls.append(len(responses))
        for response in responses:
            assert response.size == 8
            self.got[response.id] = ctypes.c_int64.from_address(response.data).value
        if len(self.got) >= self.expected:
            self.all.set()


class Response:
    def __init__(self, sample: int, data: int, size: int) -> None:
        self.id, self.data, self.size = sample, data, size


def forget() -> None:
    """The next import of `sut` takes the LoadGen that is in place then."""
    sys.modules.pop("orchestrator.harness.sut", None)


@pytest.fixture
def loadgen(monkeypatch):
    answers = Answers()
    fake = types.ModuleType("mlperf_loadgen")
    fake.QuerySampleResponse = Response
    fake.QuerySamplesComplete = answers.complete
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", fake)
    forget()
    yield answers
    forget()


def queued(model, samples, batch, delay, errors=None):
    sut = importlib.import_module("orchestrator.harness.sut")
    layout = Layout(1, 1, batch)
    pool = sut.ResponsePool(1, batch, Classes.answer, (errors if errors is not None else []).append)
    return sut.Queued(work(model, samples), layout, pool, delay)


def test_offline_answers_every_sample_in_whole_batches(loadgen, samples):
    model = EchoInstances()
    system = queued(model, samples, 4, None)
    system.start()
    loadgen.expected = 10
    system.issue(list(range(100, 110)), list(range(10)))
    assert loadgen.all.wait(5)
    system.stop()
    assert loadgen.got == {100 + index: index for index in range(10)}
    assert loadgen.calls == [4, 4, 2]
    assert (system.pool.done, system.pool.issued) == (10, 10)


def test_server_batches_what_waits_and_never_more_than_the_batch(loadgen, samples):
    model = EchoInstances(wait=0.02)
    system = queued(model, samples, 4, 0.0)
    loadgen.expected = 10
    for index in range(10):
        system.issue([index], [index])
    system.start()
    assert loadgen.all.wait(5)
    system.stop()
    assert loadgen.calls == [4, 4, 2]
    assert loadgen.got == {index: index for index in range(10)}


def test_server_waits_for_company_no_longer_than_the_delay(loadgen, samples):
    system = queued(EchoInstances(), samples, 8, 0.2)
    system.start()
    loadgen.expected = 2
    started = time.monotonic()
    system.issue([1], [1])
    time.sleep(0.02)
    system.issue([2], [2])
    assert loadgen.all.wait(5)
    assert 0.15 < time.monotonic() - started < 2.0
    system.stop()
    assert loadgen.calls == [2]


def test_a_broken_model_is_told_once_and_every_query_is_still_answered(loadgen, samples):
    errors: list[BaseException] = []
    system = queued(EchoInstances(fail_on=1), samples, 2, None, errors)
    system.start()
    loadgen.expected = 8
    system.issue(list(range(8)), list(range(8)))
    assert loadgen.all.wait(5)
    system.stop()
    assert [str(error) for error in errors] == ["the model broke"]
    assert set(loadgen.got) == set(range(8))
    assert set(loadgen.got.values()) == {0}


def _loadgen_with(test_settings, monkeypatch):
    """The harness's module of LoadGen, over a LoadGen with these settings."""
    fake = sys.modules["mlperf_loadgen"]
    fake.TestSettings = test_settings
    fake.TestScenario = fake.TestMode = types.SimpleNamespace(Server=0, Offline=1, PerformanceOnly=2)
    monkeypatch.delitem(sys.modules, "orchestrator.harness.loadgen", raising=False)
    module = importlib.import_module("orchestrator.harness.loadgen")
    monkeypatch.delitem(sys.modules, "orchestrator.harness.loadgen")
    return module


def test_the_loadgen_of_v4_1_is_asked_for_its_conf_in_its_own_word(loadgen, monkeypatch):
    class TestSettings(types.SimpleNamespace):
        """As LoadGen 4.1.30 has it: False, or 0, would open a user.conf."""

        def FromConfig(self, path, _model, _scenario, is_mlperf_conf=False):  # noqa: N802 (LoadGen's)
            return 0 if is_mlperf_conf and path == "" else -2

    module = _loadgen_with(TestSettings, monkeypatch)
    asked = types.SimpleNamespace(min_duration_ms=2_000, max_duration_ms=0)
    settings = types.SimpleNamespace(
        benchmark="b", scenario="Offline", mode="performance", loadgen=asked, generation=None
    )
    effective = types.SimpleNamespace(values={"min_query_count": 1}, calibration=None)
    assert module.test_settings(settings, effective).min_duration_ms == 2_000


TOKENS = types.SimpleNamespace(limit=32)
"""The settings of a model that generates."""


@pytest.mark.parametrize(
    ("scenario", "generation", "able", "duration_ms", "most"),
    [
        ("Server", None, None, 2_000, 241),  # twice the 100 that are in time and the 20 that may be late
        ("Server", None, 5000.0, 2_000, 241),  # however fast the server is
        ("Server", None, None, 2_000_000, 40_201),
        ("Server", TOKENS, 100.0, 2_000, 3_000),  # half a minute of work
        ("Interactive", TOKENS, 100.0, 2_000_000, 10_000),  # a twentieth of a long test
        ("Server", TOKENS, None, 2_000, 0),  # nothing was measured: LoadGen's own default, no limit
        ("Offline", None, 100.0, 2_000, None),
    ],
)
def test_a_saturated_server_test_ends_instead_of_working_for_hours(
    scenario, generation, able, duration_ms, most, loadgen, monkeypatch
):
    class TestSettings(types.SimpleNamespace):
        def FromConfig(self, *_args, conf_type):  # noqa: N802 (LoadGen's name)
            return conf_type

    module = _loadgen_with(TestSettings, monkeypatch)
    values = {
        "min_query_count": 1, "target_qps": 1000.0, "target_latency_ns": 100_000_000,
        "ttft_latency_ns": 0, "tpot_latency_ns": 0,
    }  # fmt: skip
    effective = types.SimpleNamespace(
        values={**values, "target_latency_percentile": 0.99},
        calibration=None if able is None else {"samples_per_second": able},
    )
    asked = types.SimpleNamespace(min_duration_ms=duration_ms, max_duration_ms=0)
    settings = types.SimpleNamespace(
        benchmark="b", scenario=scenario, mode="performance", loadgen=asked, generation=generation
    )
    made = module.test_settings(settings, effective)
    assert getattr(made, "server_max_async_queries", None) == most


def test_a_saturated_server_of_tokens_ends_when_no_more_can_be_in_time(loadgen, monkeypatch):
    class TestSettings(types.SimpleNamespace):
        def FromConfig(self, *_args, conf_type):  # noqa: N802 (LoadGen's name)
            return conf_type

    module = _loadgen_with(TestSettings, monkeypatch)
    limits = {"ttft_latency_ns": 1_000_000_000, "tpot_latency_ns": 100_000_000}  # 4.2 s of 32 tokens
    values = {"min_query_count": 1, "target_qps": 1000.0, "target_latency_ns": 0, "target_latency_percentile": 0.99}
    settings = types.SimpleNamespace(
        benchmark="b", scenario="Server", mode="performance", generation=TOKENS,
        loadgen=types.SimpleNamespace(min_duration_ms=2_000, max_duration_ms=0),
    )  # fmt: skip
    made = module.test_settings(settings, types.SimpleNamespace(values=values | limits, calibration=None))
    assert made.server_max_async_queries == 2 * (4_200 + 20) + 1


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [1, 0]), (7, [3, 1, 5, 0, 2, 4, 6])])
def test_the_first_few_of_many_stand_for_all(count, expected):
    from orchestrator.harness.trials import halving

    assert halving(count) == expected


class _Noting:
    """Instances whose model notes the shape of each batch."""

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def get(self, threads: int, instance: int):
        return self

    def group(self, threads: int, instance: int) -> list[int]:
        return sorted(os.sched_getaffinity(0))[:1]

    def predict(self, batch):
        self.shapes.add(batch[0].shape)
        time.sleep(0.001)
        return [np.zeros((len(batch[0]), 1), np.float32)]


@pytest.mark.parametrize(("whole", "expected"), [(True, {(3, 1), (3, 9)}), (False, {(3, 9)})])
def test_offline_is_tried_with_batches_of_like_length(whole, expected, settings, tmp_path):
    """Half of the samples have one token, half have nine: a batch of both would be padded."""
    from orchestrator.harness.trials import Trials

    np.save(tmp_path / "images.npy", np.zeros((COUNT, 9), np.int64))
    np.save(tmp_path / "lengths.npy", np.array([1, 9] * (COUNT // 2)))
    varied = dataclasses.replace(settings.model.inputs[0], varies=True, dtype="int64", scale=1.0)
    arrays = dict(settings.dataset.arrays) | {"lengths": str(tmp_path / "lengths.npy")}
    changed = dataclasses.replace(
        settings,
        model=dataclasses.replace(settings.model, inputs=(varied,)),
        dataset=dataclasses.replace(settings.dataset, arrays=arrays),
    )
    samples = Samples(changed)
    samples.load(range(COUNT))
    noted = _Noting()
    work = Work(noted, samples, types.SimpleNamespace(answer=None, answers=lambda outputs, _: [b""] * len(outputs[0])))
    trials = Trials(work, COUNT, 10, whole=whole)
    trials.throughput(Layout(1, 1, 3))
    assert noted.shapes == expected
