"""What LoadGen wrote, read: its verdict, metrics with units, latencies and effective settings.

Source of the key names: LoadGen 6.0 `results.cc` and `test_settings_internal.cc`,
checked against recorded logs in `tests/fixtures/loadgen`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.metrics import METRICS
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DETAIL, SUMMARY, ACCURACY = "mlperf_log_detail.txt", "mlperf_log_summary.txt", "mlperf_log_accuracy.json"
_PREFIX = ':::MLLOG {"key": "'
_WANTED = (
    "result_", "effective_", "early_stopping_", "num_", "power_", "error_", "warning_", "generated_",
    "loadgen_version", "qsl_reported_", "sut_name", "test_datetime",
)  # fmt: skip
"""Beginnings of the keys that are read; the rest (such as `loaded_qsl_set`) is up to 70 % of the bytes."""
_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
_CHECKS = {
    "performance_constraints": "result_perf_constraints_met",
    "min_duration": "result_min_duration_met",
    "min_queries": "result_min_queries_met",
    "early_stopping": "early_stopping_met",
}
_MODES = {"PerformanceOnly": "performance", "AccuracyOnly": "accuracy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number, what it is and its unit (``samples/s``, ``ns``)."""

    name: str
    title: str
    value: float
    unit: str
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGenResult:
    """One LoadGen test.

    ``validity`` is ``VALID`` or ``INVALID`` in performance mode, None in accuracy
    mode, where LoadGen gives no verdict. ``metrics[0]`` is the scenario's result;
    ``latency_ns`` maps min, p50 … p99.9, max, mean to nanoseconds, per query in
    MultiStream and SingleStream, per sample in Server, and in Offline the time from
    the issue of the one query. ``power_window`` is LoadGen's local time.
    """

    scenario: str
    mode: str
    validity: str | None
    checks: Mapping[str, bool]
    reasons: tuple[str, ...]
    early_stopping: tuple[str, ...]
    metrics: tuple[Metric, ...]
    latency_ns: Mapping[str, int]
    query_count: int
    samples_per_query: int
    effective: Mapping[str, object]
    seeds: Mapping[str, int]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    num_errors: int
    loadgen_version: str
    power_window: tuple[str, str] | None
    dataset_samples: int = 0
    sut: str = ""

    @property
    def valid(self) -> bool | None:
        """The verdict as a tri-state."""
        return None if self.validity is None else self.validity == "VALID"

    @property
    def result(self) -> Metric | None:
        """The number that the scenario is about; None in accuracy mode."""
        return self.metrics[0] if self.metrics else None

    @property
    def sample_count(self) -> int:
        return self.query_count * self.samples_per_query


@dataclass(slots=True)
class _Log:
    values: dict[str, object] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken_lines: int = 0


def parse(folder: Path) -> LoadGenResult:
    """Read the logs in ``folder``.

    Raises `StepFailed` [loadgen-log] when one is missing, empty, or ends before
    LoadGen's last line, naming what is there and what that usually means.
    """
    log = _read_detail(folder / DETAIL)
    summary = read_summary(folder)
    where = folder / DETAIL
    mode = _MODES.get(str(log.values.get("effective_test_mode")))
    scenario = log.values.get("effective_scenario")
    if mode is None or not isinstance(scenario, str):
        raise _unreadable(f"{where} ends before LoadGen wrote its settings", "The test did not start.")
    last = "num_errors" if mode == "performance" else "power_end"
    if last not in log.values:
        raise _unreadable(
            f"{where} has no `{last}`: the log is cut off",
            "The test was ended from outside, or the disk was full.",
        )
    return _result(scenario, mode, log, summary)


def read_summary(folder: Path) -> dict[str, str]:
    """``key: value`` lines of the summary, keys in lower case; empty in accuracy mode.

    Raises `StepFailed` [loadgen-log] when it is missing or cut off.
    """
    text = _read(folder / SUMMARY)
    last = text.rstrip().rpartition("\n")[2].lower()
    if not (text.endswith("\n") and "error" in last and "encountered" in last):
        raise _unreadable(f"{folder / SUMMARY} is cut off", "The test was ended from outside.")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise _unreadable(f"{path} is missing", "The harness ended before LoadGen; see console.log.") from None
    except OSError as exc:
        raise _unreadable(f"cannot read {path}: {exc.strerror}", "") from exc


def _unreadable(message: str, hint: str) -> StepFailed:
    return StepFailed(message, slug="loadgen-log", hint=hint)


def _read_detail(path: Path) -> _Log:
    log = _Log()
    for key, line in _entries(_read(path)):
        try:
            entry = json.loads(line[len(":::MLLOG ") :])
            value, about = entry["value"], entry["metadata"]
        except (ValueError, KeyError, TypeError):
            log.broken_lines += 1
            continue
        log.values[key] = value
        if about.get("is_error"):
            log.errors.append(f"{key}: {value}")
        elif about.get("is_warning"):
            log.warnings.append(f"{key}: {value}")
    return log


def _entries(text: str) -> Iterator[tuple[str, str]]:
    start = len(_PREFIX)
    for line in text.splitlines():
        if not line.startswith(_PREFIX):
            continue
        key = line[start : line.find('"', start)]
        if key.startswith(_WANTED) or '"is_error": true' in line or '"is_warning": true' in line:
            yield key, line


def _result(scenario: str, mode: str, log: _Log, summary: Mapping[str, str]) -> LoadGenResult:
    values = log.values
    validity = values.get("result_validity")
    per_query = _int(values.get("effective_samples_per_query", 1))
    effective = {k.removeprefix("effective_"): v for k, v in values.items() if k.startswith("effective_")}
    power = values.get("power_begin"), values.get("power_end")
    return LoadGenResult(
        scenario=scenario,
        mode=mode,
        validity=str(validity) if mode == "performance" else None,
        checks={name: bool(values[key]) for name, key in _CHECKS.items() if key in values},
        reasons=_reasons(values, summary),
        early_stopping=_split_points(str(values.get("early_stopping_result", ""))),
        metrics=_metrics(scenario, values) if mode == "performance" else (),
        latency_ns=_latencies(scenario, values),
        query_count=_int(values.get("result_query_count", 0)),
        samples_per_query=_int(values.get("generated_samples_per_query", per_query)),
        effective=effective,
        seeds={k: _int(v) for k, v in effective.items() if k.endswith("_rng_seed")},
        errors=tuple(log.errors),
        warnings=tuple(log.warnings),
        num_errors=_int(values.get("num_errors", len(log.errors))),
        loadgen_version=str(values.get("loadgen_version", "")),
        power_window=(str(power[0]), str(power[1])) if all(power) else None,
        dataset_samples=_int(values.get("qsl_reported_total_count", 0)),
        sut=str(values.get("sut_name", "")),
    )


def _int(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _split_points(text: str) -> tuple[str, ...]:
    """LoadGen's ``' * One.  * Two'`` as its points, white space folded."""
    return tuple(" ".join(point.split()) for point in text.split(" * ") if point.strip())


def _reasons(values: Mapping[str, object], summary: Mapping[str, str]) -> tuple[str, ...]:
    """Why a result is INVALID: the checks that failed, then what LoadGen recommends."""
    if values.get("result_validity") == "VALID":
        return ()
    names = {
        "result_perf_constraints_met": "too many queries over the latency limit",
        "result_min_duration_met": "the minimum duration was not reached",
        "result_min_queries_met": "the minimum number of queries was not reached",
        "early_stopping_met": "early stopping was not satisfied",
    }
    failed = [text for key, text in names.items() if values.get(key) is False]
    advice = str(values.get("result_invalid_reason", "")).strip()
    if not failed and not advice and summary.get("result is") == "INVALID":
        failed = ["LoadGen gives no reason"]
    return (*failed, *([advice] if advice else []))


def _metrics(scenario: str, values: Mapping[str, object]) -> tuple[Metric, ...]:
    """What the table of metrics says of the scenario, as far as LoadGen reports it; the first is its result.

    In the stream scenarios that is the estimate, which MLPerf ranks. LoadGen writes an estimate of 0 when there
    were too few queries; then the measured percentile stands first (such a result is INVALID).
    """
    if scenario not in SCENARIOS:
        return ()
    found = []
    for name in SCENARIOS[scenario].metrics:
        kind = METRICS[name]
        value = values.get(kind.key)
        if not isinstance(value, int | float) or (kind.zero_is_none and value <= 0):
            continue
        found.append(
            Metric(
                name=name,
                title=kind.title,
                value=float(value),
                unit=kind.unit,
                higher_is_better=kind.higher_is_better,
            )
        )
    return tuple(found)


def _latencies(scenario: str, values: Mapping[str, object]) -> dict[str, int]:
    per_query = scenario in SCENARIOS and SCENARIOS[scenario].latency_per_query
    query, of = ("_per_query", "_query") if per_query else ("", "")
    keys = {"min": f"result_min{of}_latency_ns"}
    keys |= {f"p{p.rstrip('0').rstrip('.')}": f"result_{p}_percentile{query}_latency_ns" for p in _PERCENTILES}
    keys |= {"max": f"result_max{of}_latency_ns", "mean": f"result_mean{of}_latency_ns"}
    return {name: _int(values[key]) for name, key in keys.items() if key in values}
