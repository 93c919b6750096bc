"""What LoadGen wrote, read: its verdict, metrics with units, latencies and effective settings.

Source of the key names: LoadGen 6.0 `results.cc` and `test_settings_internal.cc`,
checked against recorded logs in `tests/fixtures/loadgen`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.measured import LoadGenResult, Metric
from orchestrator.facts.metrics import ALL_LATENCIES, METRICS, TOKEN_LATENCIES
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.untrusted import UnreadableFile, opened, read_text, require_dense

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["ACCURACY", "DETAIL", "SUMMARY", "LoadGenResult", "Metric", "parse", "read_summary"]

DETAIL, SUMMARY, ACCURACY = "mlperf_log_detail.txt", "mlperf_log_summary.txt", "mlperf_log_accuracy.json"
_LARGEST_DETAIL, _LARGEST_SUMMARY = 4 * 2**30, 2**20
_LONGEST_LINE = 2**20
_LARGEST_INT = 2**64
_MOST_KEYS, _LONGEST_VALUE, _MOST_TOLD = 1000, 1000, 100
"""Of what goes into the record: a log of LoadGen has some hundred keys, and values of a line."""
_PREFIX = b':::MLLOG {"key": "'
_WANTED = (
    b"result_", b"effective_", b"early_stopping_", b"num_", b"power_", b"error_", b"warning_", b"generated_",
    b"loadgen_version", b"qsl_reported_total_count",
)  # fmt: skip
"""Beginnings of the keys that are read; the rest (such as `loaded_qsl_set`) is up to 70 % of the bytes."""
_RELEASE = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})")
_COUNTS_ERRORS = (5, 0, 17)
"""The LoadGen that writes `num_errors` at the end; 5.0.14 and those before it do not, as running them showed."""
_ONCE = ("result_", "effective_", "generated_query_count", "loadgen_version", "qsl_reported_")
"""Beginnings of the keys that LoadGen writes once for a test."""
_TOKENS = "result_first_token_"
"""How the keys begin that LoadGen writes where it timed tokens."""
_MODES = {"PerformanceOnly": "performance", "AccuracyOnly": "accuracy"}


@dataclass(slots=True)
class _Log:
    values: dict[str, object] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error_count: int = 0
    broken: int = 0
    """Lines that begin as entries and are none."""
    twice: str = ""
    """What the log says twice and otherwise, of what LoadGen writes once a test."""


def parse(folder: Path) -> LoadGenResult:
    """Read the logs in ``folder``.

    Raises `StepFailed` [loadgen-log] when one is missing, empty, or ends before
    LoadGen's last line, naming what is there and what that usually means.
    """
    log = _read_detail(folder)
    if log.twice:
        raise _unreadable(f"{DETAIL} holds more than one test: {log.twice}", "Each test needs a folder of its own.")
    summary = read_summary(folder)
    mode = _MODES.get(str(log.values.get("effective_test_mode")))
    scenario = log.values.get("effective_scenario")
    if mode is None or not isinstance(scenario, str):
        raise _unreadable(f"{DETAIL} ends before LoadGen wrote its settings", "The test did not start.")
    last = _last_key(mode, str(log.values.get("loadgen_version", "")))
    if last not in log.values:
        raise _unreadable(
            f"{DETAIL} has no `{last}`: the log is cut off",
            "The test was ended from outside, or the disk was full.",
        )
    return _result(scenario, mode, log, summary)


def _last_key(mode: str, version: str) -> str:
    """The key that LoadGen's detail log ends with, which tells that the log is whole."""
    if mode == "accuracy":
        return "power_end"
    release = _RELEASE.match(version)
    if release is not None and tuple(map(int, release.groups())) < _COUNTS_ERRORS:
        return "result_99.90_percentile_latency_ns"
    return "num_errors"


def read_summary(folder: Path) -> dict[str, str]:
    """``key: value`` lines of the summary, keys in lower case; empty in accuracy mode.

    A key that stands there twice has both values, joined by `and`: which one a person reads is not known.
    Raises `StepFailed` [loadgen-log] when it is missing or cut off.
    """
    try:
        text = read_text(folder, SUMMARY, _LARGEST_SUMMARY, errors="replace")
    except UnreadableFile as error:
        raise _not_read(SUMMARY, error) from None
    last = text.rstrip().rpartition("\n")[2].lower()
    if not (text.endswith("\n") and "error" in last and "encountered" in last):
        raise _unreadable(f"{SUMMARY} is cut off", "The test was ended from outside.")
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if colon:
            found[key] = f"{found[key]} and {value}" if key in found else value
    return found


def _not_read(name: str, error: UnreadableFile) -> StepFailed:
    hint = "The harness ended before LoadGen; see console.log." if error.missing else ""
    return _unreadable(f"{name} {error.reason}", hint)


def _unreadable(message: str, hint: str) -> StepFailed:
    return StepFailed(message, slug="loadgen-log", hint=hint)


def _read_detail(folder: Path) -> _Log:
    """The entries of the detail log that are wanted; a line that is no entry is stepped over."""
    log = _Log()
    try:
        for key, line in _entries(folder):
            _take(log, key, line)
    except UnreadableFile as error:
        raise _not_read(DETAIL, error) from None
    return log


def _take(log: _Log, key: str, line: str) -> None:
    try:
        entry = strict_json(line)
        value, about = entry["value"], entry["metadata"]
        is_error, is_warning = about.get("is_error"), about.get("is_warning")
    except (ValueError, KeyError, TypeError, AttributeError):
        log.broken += 1
        return
    # LoadGen logs scalars; a record with something deep in it, or too much, could not be read again.
    if isinstance(value, dict | list) or (isinstance(value, int) and abs(value) > _LARGEST_INT):
        log.broken += 1
        return
    if isinstance(value, str):
        value = value[:_LONGEST_VALUE]
    if len(log.values) >= _MOST_KEYS and key not in log.values:
        log.broken += 1
        return
    if key.startswith(_ONCE) and log.values.get(key, value) != value and not log.twice:
        log.twice = f"`{key}` is {log.values[key]} and {value}"
    log.values[key] = value
    kept = None
    if is_error:
        log.error_count += 1
        kept = log.errors
    elif is_warning:
        kept = log.warnings
    if kept is not None and len(kept) < _MOST_TOLD:
        kept.append(f"{key}: {value}")


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    start = len(_PREFIX)
    with opened(folder, DETAIL, _LARGEST_DETAIL) as stream:
        require_dense(stream, folder, DETAIL)
        for line in iter(lambda: stream.readline(_LONGEST_LINE), b""):
            if not line.startswith(_PREFIX):
                continue
            key = line[start : line.find(b'"', start)]
            if key.startswith(_WANTED) or b'"is_error": true' in line or b'"is_warning": true' in line:
                yield key.decode(errors="replace"), line[len(":::MLLOG ") :].decode(errors="replace")


def _result(scenario: str, mode: str, log: _Log, summary: Mapping[str, str]) -> LoadGenResult:
    values = log.values
    validity = values.get("result_validity")
    per_query = _int(values.get("effective_samples_per_query", 1))
    effective = {k.removeprefix("effective_"): v for k, v in values.items() if k.startswith("effective_")}
    return LoadGenResult(
        scenario=scenario,
        mode=mode,
        validity=str(validity) if mode == "performance" else None,
        reasons=_reasons(values, summary),
        early_stopping=_split_points(str(values.get("early_stopping_result", ""))),
        metrics=_metrics(scenario, values) if mode == "performance" else (),
        latency_ns=_latencies(scenario, values),
        token_latency_ns=_token_latencies(values),
        query_count=_int(values.get("result_query_count", 0)),
        samples_per_query=_int(values.get("generated_samples_per_query", per_query)),
        effective=effective,
        errors=tuple(log.errors),
        warnings=(*log.warnings, *_broken_lines(log)),
        num_errors=max(_int(values.get("num_errors", 0)), log.error_count),
        loadgen_version=str(values.get("loadgen_version", "")),
        total_samples=_int(values["qsl_reported_total_count"]) if "qsl_reported_total_count" in values else None,
    )


def _broken_lines(log: _Log) -> tuple[str, ...]:
    if not log.broken:
        return ()
    return (f"{log.broken:,} lines of {DETAIL} are broken, and were not read",)


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
    tokens = any(key.startswith(_TOKENS) for key in values)
    for name in SCENARIOS[scenario].metrics:
        kind = METRICS[name]
        if kind.with_tokens is not None and kind.with_tokens != tokens:
            continue
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
    found = {}
    for name in ALL_LATENCIES:
        percentile = _percentile(name)
        if percentile:
            key = f"result_{percentile}_percentile{'_per_query' if per_query else ''}_latency_ns"
        else:
            key = f"result_{name}{'_query' if per_query else ''}_latency_ns"
        if key in values:
            found[name] = _int(values[key])
    return found


def _token_latencies(values: Mapping[str, object]) -> Mapping[str, Mapping[str, int]]:
    found = {}
    for token, kind in TOKEN_LATENCIES.items():
        keys = {}
        for name in ALL_LATENCIES:
            percentile = _percentile(name)
            keys[name] = kind.percentile.format(percentile) if percentile else kind.other.format(name)
        known = {name: _int(values[key]) for name, key in keys.items() if key in values}
        if known:
            found[token] = known
    return found


def _percentile(name: str) -> str:
    """How LoadGen writes the percentile ``p99.9`` (``99.90``); empty for min, max and mean."""
    return f"{float(name[1:]):.2f}" if name.startswith("p") else ""


def other_sample_count(result: LoadGenResult, expected: object) -> str:
    """Why LoadGen did not run over the data set that was meant, by the counts of samples; empty where it did."""
    told = result.total_samples
    if told is None or not isinstance(expected, int) or told == expected:
        return ""
    return f"the program told LoadGen of {told:,} samples, and the data set has {expected:,}"


def summary_lines(result: LoadGenResult) -> dict[str, float]:
    """The figures of a result by the words that the summary has for them (keys of `read_summary`)."""
    named = [(METRICS[metric.name].summary, metric.value) for metric in result.metrics if metric.name in METRICS]
    lines = {line: value for line, value in named if line}
    for name, value in result.latency_ns.items():
        percentile = _percentile(name)
        lines[f"{percentile} percentile latency (ns)" if percentile else f"{name} latency (ns)"] = value
    return lines
