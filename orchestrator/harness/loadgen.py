"""LoadGen: its settings from ours, and one test.

LoadGen takes its settings once per process and aborts the process when a callback raises
or the folder for its logs is absent, so neither is ever left to happen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mlperf_loadgen as lg

from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .effective import Effective
    from .samples import Samples
    from .settings import Settings
    from .sut import System

EMBEDDED_CONF = 0
OVERLOAD_SECONDS = 30
"""A Server test ends when this much work waits: it cannot be VALID any more, and would else take hours."""
OVERLOAD_SHARE = 0.05
"""The same for a long test, of its duration: five times the late queries that the 99th percentile allows."""
MODES = {"performance": "PerformanceOnly", "accuracy": "AccuracyOnly"}


def test_settings(settings: Settings, effective: Effective) -> lg.TestSettings:
    """LoadGen's settings: the seeds of the round from the conf in its wheel, the rest from ours."""
    result = lg.TestSettings()
    if _read_embedded_conf(result, settings) != 0:
        raise RuntimeError("LoadGen could not read its embedded mlperf.conf")
    scenario = SCENARIOS[settings.scenario]
    result.scenario = getattr(lg.TestScenario, scenario.loadgen_name)
    result.mode = getattr(lg.TestMode, MODES[settings.mode])
    values = effective.values
    result.min_duration_ms = settings.loadgen.min_duration_ms
    result.max_duration_ms = settings.loadgen.max_duration_ms
    result.min_query_count = int(values["min_query_count"])
    if "target_qps" in values:
        setattr(result, scenario.rate, values["target_qps"])
    for name in ("target_latency_ns", "samples_per_query", "expected_latency_ns", "target_latency_percentile"):
        if name in values:
            setattr(result, f"{scenario.prefix}_{name}", values[name])
    if settings.generation is not None:
        _time_tokens(result, values)
    if scenario.at_a_rate and settings.mode == "performance":
        result.server_max_async_queries = most_waiting(settings, effective)
    return result


def _time_tokens(result: lg.TestSettings, values: Mapping[str, float | int]) -> None:
    """LoadGen counts tokens, and holds queries that come at a rate to the limits of the first and of each later one."""
    result.use_token_latencies = True
    if "ttft_latency_ns" in values:
        result.ttft_latency, result.tpot_latency = int(values["ttft_latency_ns"]), int(values["tpot_latency_ns"])


def _read_embedded_conf(result: lg.TestSettings, settings: Settings) -> int:
    """Take the seeds of the conf in LoadGen's wheel, no file; gives LoadGen's status, 0 for done.

    A model name that the conf does not know takes its defaults. LoadGen takes two user.confs of a
    process for an error, so this is called once.
    """
    asked = ("", settings.benchmark, SCENARIOS[settings.scenario].loadgen_name)
    try:
        status = result.FromConfig(*asked, conf_type=EMBEDDED_CONF)
    except TypeError:  # the LoadGen of v4.1 does not know `conf_type`
        status = result.FromConfig(*asked, is_mlperf_conf=True)
    return int(status)


def most_waiting(settings: Settings, effective: Effective) -> int:
    """Queries issued and not answered at which LoadGen ends a Server test as INVALID; 0 for no limit."""
    rate = (effective.calibration or {}).get("samples_per_second")
    if not isinstance(rate, float):
        return 0
    return math.ceil(rate * max(OVERLOAD_SECONDS, OVERLOAD_SHARE * settings.loadgen.min_duration_ms / 1000))


def run(settings: Settings, effective: Effective, samples: Samples, sut: System, folder: Path) -> None:
    """Run the test; LoadGen's logs are in ``folder`` afterwards, which must exist."""
    log = lg.LogSettings()
    log.log_output.outdir = str(folder)
    log.log_output.copy_summary_to_stdout = False
    log.enable_trace = False
    data = settings.dataset
    system = lg.ConstructFastSUT(sut.issue, _nothing)
    library = lg.ConstructQSL(data.samples, data.performance_samples, _guarded(samples.load, sut.pool.note), _ignore)
    try:
        lg.StartTestWithLogSettings(system, library, test_settings(settings, effective), log, "")
    finally:
        lg.DestroyQSL(library)
        lg.DestroyFastSUT(system)


def _guarded(load: Callable[[list[int]], None], note: Callable[[BaseException], None]) -> Callable[[list[int]], None]:
    def guarded(indexes: list[int]) -> None:
        try:
            load(indexes)
        except BaseException as error:  # noqa: BLE001 - must not reach LoadGen
            note(error)

    return guarded


def _nothing() -> None:
    """Flush: queued samples are taken at once anyway."""


def _ignore(_: list[int]) -> None:
    """Unload: the next load replaces what is there."""
