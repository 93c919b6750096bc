"""The queue of queries over a LoadGen that only takes answers, and the settings of a test as LoadGen has them."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
import time
import types

import pytest
from harness_work_parts import Classes, EchoInstances, loaded, settings_in, work

from orchestrator.harness.instances import Layout


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture
def samples(settings):
    return loaded(settings)


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
