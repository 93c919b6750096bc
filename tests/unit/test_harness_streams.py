"""Streams of tokens: what LoadGen is told and when, failures in mid-answer, how queries spread; an invented LoadGen."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
import time
import types

import pytest

np = pytest.importorskip("numpy")

LIMIT = 4
MODULES = ("sut", "streams", "generation")


@pytest.fixture
def told(monkeypatch) -> list[tuple]:
    """What LoadGen was told: ("first" or "done", id, the tokens that it read at that moment, their count)."""
    events: list[tuple] = []

    class Response:
        def __init__(self, id: int, data: int, size: int, n_tokens: int) -> None:  # noqa: A002 (LoadGen's)
            self.id, self.data, self.size, self.n_tokens = id, data, size, n_tokens

    def note(what: str):
        def take(responses: list[Response]) -> None:
            (one,) = responses
            tokens = np.frombuffer(ctypes.string_at(one.data, one.size), "<i4").tolist() if one.size else []
            events.append((what, one.id, tokens, one.n_tokens))

        return take

    fake = types.ModuleType("mlperf_loadgen")
    fake.QuerySampleResponse = Response
    fake.FirstTokenComplete, fake.QuerySamplesComplete = note("first"), note("done")
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", fake)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, f"orchestrator.harness.{name}", raising=False)
    return events


class Prompts:
    """Prompt i is [i]; the longest answer to it costs i + 1 tokens."""

    limit = LIMIT

    def of(self, index: int):
        return np.array([index], np.int32)

    def cost(self, index: int) -> int:
        return index + 1


class Task:
    def answers(self, outputs, indexes):
        return [np.asarray(each, "<i4").tobytes() for each in outputs]


class Model:
    """Answers prompt i with [i, i + 1, …] of a length; breaks after ``breaks`` tokens of the prompt ``on``."""

    def __init__(self, length: int = LIMIT, on: int = -1, breaks: int = 0, quiet: bool = False) -> None:
        self.length, self.on, self.breaks, self.quiet = length, on, breaks, quiet
        self.go = threading.Event()
        self.go.set()
        self.seen: list[int] = []

    def generate(self, prompt, limit, first):
        start = int(prompt[0])
        self.seen.append(start)
        tokens = list(range(start, start + min(self.length, limit)))
        for number in range(len(tokens) + 1):
            if start == self.on and number == self.breaks:
                raise RuntimeError("the model broke")
            if number == 1 and not self.quiet:
                first(np.array(tokens[:1], np.int32))
                self.go.wait(10)
        return np.array(tokens, np.int32)


def system(copies: list[Model], streams: int = 1):
    module = importlib.import_module("orchestrator.harness.streams")
    failures: list[BaseException] = []
    made = module.create(copies, streams, Prompts(), Task(), failures.append)
    made.start()
    return made, failures


def finish(made) -> None:
    for model in made._copies:
        model.go.set()
    made.stop()


def until(holds) -> None:
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    assert holds()


def test_the_first_token_is_told_when_it_is_there_and_the_answer_when_it_is_whole(told):
    model = Model()
    model.go.clear()
    made, failures = system([model])
    made.issue([70], [5])
    until(lambda: told)
    assert told == [("first", 70, [5], 1)], "the answer is still under way"
    finish(made)
    assert told[1:] == [("done", 70, [5, 6, 7, 8], 4)]
    assert (failures, made.pool.error, made.pool.done, made.pool.issued) == ([], None, 1, 1)


def test_a_model_that_ends_before_the_limit_is_counted_as_it_answered(told):
    made, failures = system([Model(length=2)])
    made.issue([1], [5])
    finish(made)
    assert told == [("first", 1, [5], 1), ("done", 1, [5, 6], 2)]
    assert failures == []


def test_a_first_token_that_no_framework_told_is_told_before_the_answer(told):
    made, _ = system([Model(quiet=True)])
    made.issue([1], [5])
    finish(made)
    assert [what for what, *_ in told] == ["first", "done"]
    assert told[0][2] == [5]


@pytest.mark.parametrize("breaks", [0, 3])
def test_a_failure_is_noted_once_and_loadgen_gets_an_answer_to_everything(told, breaks):
    made, failures = system([Model(on=5, breaks=breaks)])
    made.issue([1, 2, 3], [4, 5, 6])
    finish(made)
    assert [str(error) for error in failures] == ["the model broke"]
    assert [(what, sample) for what, sample, *_ in told] == [
        ("first", 1), ("done", 1), ("first", 2), ("done", 2), ("first", 3), ("done", 3),
    ]  # fmt: skip
    assert [count for what, _, _, count in told if what == "done"] == [4, 2, 2], (
        "never fewer than LoadGen can divide by"
    )
    assert made.pool.done == 3
    assert made._copies[0].seen == [4, 5], "after a failure the model is not asked again"


@pytest.mark.parametrize(("length", "says"), [(0, "is empty"), (1, "is one token")])
def test_an_answer_that_loadgen_cannot_time_fails_the_test(told, length, says):
    made, failures = system([Model(length=length)])
    made.issue([1], [5])
    finish(made)
    (error,) = failures
    assert f"the answer to sample 5 {says}" in str(error)
    assert [what for what, *_ in told] == ["first", "done"]


def test_streams_of_a_copy_answer_side_by_side(told):
    model = Model()
    model.go.clear()
    made, _ = system([model], streams=2)
    made.issue([1, 2, 3], [10, 20, 30])
    until(lambda: len(told) == 2)
    assert {sample for _, sample, *_ in told} == {1, 2}, "the third waits for a stream"
    finish(made)
    assert sorted(sample for what, sample, *_ in told if what == "done") == [1, 2, 3]


def test_a_query_goes_to_the_copy_with_the_fewest_tokens_to_do(told):
    copies = [Model(), Model()]
    for model in copies:
        model.go.clear()
    made, _ = system(copies)
    made.issue([1, 2, 3, 4], [30, 10, 5, 5])  # 31 tokens to the first; 11, 6 and 6 to the second
    finish(made)
    assert [model.seen for model in copies] == [[30], [10, 5, 5]]
    made, _ = system(copies)
    made.issue([5], [1])
    finish(made)
    assert copies[0].seen == [30, 1], "what is done counts no more"


# -- how the processors are shared -----------------------------------------------------------


def asked(scenario: str, cpus: int, **given: int | None) -> types.SimpleNamespace:
    execution = {"instances": None, "threads": None, "batch": None, **given}
    return types.SimpleNamespace(
        scenario=scenario, execution=types.SimpleNamespace(cpus=tuple(range(cpus)), **execution)
    )


@pytest.mark.parametrize(
    ("scenario", "cpus", "given", "layout"),
    [
        ("Offline", 2, {}, (2, 1, 2)),
        ("Server", 16, {}, (16, 1, 2)),
        ("Interactive", 64, {}, (16, 4, 2)),
        ("SingleStream", 16, {}, (1, 1, 1)),
        ("SingleStream", 16, {"threads": 4}, (1, 4, 1)),
        ("Offline", 16, {"threads": 4}, (4, 4, 2)),
        ("Offline", 16, {"instances": 2, "batch": 8}, (2, 1, 8)),
        ("MultiStream", 2, {}, (2, 1, 2)),
    ],
)
def test_by_default_each_processor_has_a_copy_of_one_thread(told, scenario, cpus, given, layout):
    module = importlib.import_module("orchestrator.harness.generation")
    found = module.default_layout(asked(scenario, cpus, **given))
    assert (found.instances, found.threads, found.batch) == layout


@pytest.mark.parametrize(
    ("scenario", "mode", "loadgen", "needed"),
    [
        ("Offline", "performance", {}, True),
        ("Offline", "performance", {"target_qps": 1.0}, False),
        ("SingleStream", "performance", {"target_qps": 1.0}, True),
        ("SingleStream", "performance", {"expected_latency_ns": 1}, False),
        ("Offline", "accuracy", {}, False),
        ("Interactive", "accuracy", {}, True),
    ],
)
def test_a_trial_measures_what_nobody_said(told, scenario, mode, loadgen, needed):
    module = importlib.import_module("orchestrator.harness.generation")
    given = types.SimpleNamespace(**{"target_qps": None, "expected_latency_ns": None, **loadgen})
    assert module.needs_trial(types.SimpleNamespace(scenario=scenario, mode=mode, loadgen=given)) == needed
