"""LoadGen: its settings from ours, and one test.

LoadGen aborts the process when a callback raises or the folder for its logs is absent, so neither is
ever left to happen. Several tests may run in a process, one after the other.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mlperf_loadgen as lg

from .effective import Effective
from .rate_search import LIMIT_SHARE, Try
from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .samples import Samples
    from .settings import Settings
    from .sut import System

EMBEDDED_CONF = 0
NO_MODEL = "mlorch"
"""A name that no conf knows, so that its defaults count."""
OVERLOAD_SECONDS = 30
"""A test of tokens at a rate ends when this much work waits: it cannot be VALID any more, and would else take hours."""
OVERLOAD_SHARE = 0.05
"""The same for a long test, of its duration: five times the late queries that the 99th percentile allows."""
OVERLOAD_FACTOR = 2
"""A Server test ends when twice as many queries wait as can be in time or may be late: arrivals are never even."""
DETAIL = "mlperf_log_detail.txt"
AUDIT = "audit.config"
_ENTRY = ":::MLLOG "
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

    The name of a model changes sample counts and permutations there, and ours are of no round: what a recipe is
    called must not be taken for one (`resnet50`, `whisper`). LoadGen takes two user.confs of a process for an error,
    so this is called once.
    """
    asked = ("", NO_MODEL, SCENARIOS[settings.scenario].loadgen_name)
    try:
        status = result.FromConfig(*asked, conf_type=EMBEDDED_CONF)
    except TypeError:  # the LoadGen of v4.1 does not know `conf_type`
        status = result.FromConfig(*asked, is_mlperf_conf=True)
    return int(status)


def most_waiting(settings: Settings, effective: Effective) -> int:
    """Queries issued and not answered at which LoadGen ends a test at a rate as INVALID; 0 for no limit.

    Of those that wait, only what came within the latency limit can still be in time. With twice as many as come within
    it and as the percentile lets be late in the whole test, nothing that follows makes the test VALID, however fast
    the server is.
    """
    values, seconds = effective.values, settings.loadgen.min_duration_ms / 1000
    limits = []
    if in_time := _longest_in_time(settings, values):
        rate = values["target_qps"]
        late = (1 - values["target_latency_percentile"]) * max(rate * seconds, values["min_query_count"])
        limits.append(round(OVERLOAD_FACTOR * (rate * in_time + late)) + 1)
    able = (effective.calibration or {}).get("samples_per_second")
    if settings.generation is not None and isinstance(able, float):
        limits.append(math.ceil(able * max(OVERLOAD_SECONDS, OVERLOAD_SHARE * seconds)))
    return min(limits, default=0)


def _longest_in_time(settings: Settings, values: Mapping[str, float | int]) -> float:
    """Seconds that a query may take and be in time: of tokens until the last of them; 0 where there is no limit."""
    if settings.generation is None:
        return values["target_latency_ns"] / 1e9
    first, each = values["ttft_latency_ns"], values["tpot_latency_ns"]
    return (first + each * settings.generation.limit) / 1e9 if first and each else 0.0


def run(settings: Settings, effective: Effective, samples: Samples, sut: System, folder: Path) -> None:
    """Run the test; LoadGen's logs are in ``folder`` afterwards, which must exist."""
    data = settings.dataset
    library = lg.ConstructQSL(data.samples, data.performance_samples, _guarded(samples.load, sut.pool.note), _ignore)
    _test(test_settings(settings, effective), library, sut, folder, _audit_file(settings, folder))


def _audit_file(settings: Settings, folder: Path) -> str:
    """The audit.config of a compliance test, written into ``folder``; empty where the test is none.

    LoadGen reads it over the settings of the test, for the model `*`.
    """
    if settings.audit is None:
        return ""
    scenario = SCENARIOS[settings.scenario].loadgen_name
    path = folder / AUDIT
    lines = [f"*.{scenario}.{name} = {value}\n" for name, value in settings.audit.settings.items()]
    path.unlink(missing_ok=True)
    path.write_text("".join(lines), encoding="ascii")
    return str(path)


def probe(settings: Settings, effective: Effective, sut: System, rate: float, seconds: float) -> Try:
    """A short test at ``rate`` over the samples that are loaded, its logs thrown away.

    Raises what the system failed with, `ValueError` where LoadGen's log does not say how it went.
    """
    short = replace(settings, loadgen=replace(settings.loadgen, min_duration_ms=round(seconds * 1000)))
    asked = Effective(effective.layout, dict(effective.values), calibration=effective.calibration)
    asked.values |= {
        "target_qps": rate,
        "min_query_count": 1,
        "target_latency_ns": max(1, round(effective.values["target_latency_ns"] * LIMIT_SHARE)),
    }
    loaded = settings.dataset.performance_samples
    with tempfile.TemporaryDirectory(prefix="mlorch-probe-") as folder:
        _test(test_settings(short, asked), lg.ConstructQSL(loaded, loaded, _ignore, _ignore), sut, Path(folder))
        if sut.pool.error is not None:
            raise sut.pool.error
        with (Path(folder) / DETAIL).open(encoding="utf-8") as lines:
            return tried(rate, lines)


def tried(rate: float, detail: Iterable[str]) -> Try:
    """What LoadGen's detail log says of a test; `ValueError` where it says nothing."""
    entries = (json.loads(line.removeprefix(_ENTRY)) for line in detail if line.startswith(_ENTRY))
    values = {entry["key"]: entry["value"] for entry in entries}
    in_time, asked = values.get("result_perf_constraints_met"), values.get("result_scheduled_samples_per_sec")
    answered = values.get("result_completed_samples_per_sec")
    if not isinstance(in_time, bool) or not isinstance(answered, float | int) or not isinstance(asked, float | int):
        raise ValueError("LoadGen's log has no result")  # noqa: TRY004 (the log's fault, not a caller's)
    # Arrivals are a Poisson process: a short test has a few more or less than it was asked for.
    return Try(rate, answered * rate / asked if asked else 0.0, in_time)


def _test(asked: lg.TestSettings, library: object, sut: System, folder: Path, audit: str = "") -> None:
    log = lg.LogSettings()
    log.log_output.outdir = str(folder)
    log.log_output.copy_summary_to_stdout = False
    log.enable_trace = False
    system = lg.ConstructFastSUT(sut.issue, _nothing)
    try:
        lg.StartTestWithLogSettings(system, library, asked, log, audit)
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
