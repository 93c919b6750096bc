"""LoadGen's settings for a program that is not ours: as its ``user.conf`` has them, and as its log must repeat them.

Keys and units: mlcommons/inference, loadgen/test_settings_internal.cc (``FromConfig``, ``LogEffectiveSettings``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

_NS_PER_MS = 1_000_000
_MODES = {"performance": "PerformanceOnly", "accuracy": "AccuracyOnly"}


def user_conf(scenario: str, settings: Mapping[str, object]) -> str:
    """The settings of one test as LoadGen reads them from user.conf; what is open (None) is left to LoadGen.

    LoadGen prefers ``MODEL.SCENARIO.key``, but reads mlperf.conf and user.conf one after the other, so that
    ``*`` in the second replaces a model's line of the first.
    Raises `UsageError` [latency-ms] for a Server limit that is no whole number of milliseconds.
    """
    scenario = SCENARIOS[scenario].loadgen_name
    lines = [f"*.{scenario}.{key} = {value}" for key, value in _conf(scenario, settings).items()]
    return "".join(f"{line}\n" for line in lines)


def _conf(scenario: str, settings: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}

    def put(key: str, value: object) -> None:
        if value is not None:
            found[key] = f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

    put("min_duration", settings.get("min_duration_ms"))
    if settings.get("max_duration_ms"):
        put("max_duration", settings["max_duration_ms"])
    put("min_query_count", settings.get("min_query_count"))
    put("performance_sample_count_override", settings.get("performance_samples"))
    if scenario in {"Server", "Offline"}:
        put("target_qps", settings.get("target_qps"))
    if scenario == "Server":
        put("target_latency", _whole_ms(settings.get("target_latency_ns")))
    if scenario in {"SingleStream", "MultiStream"}:
        expected = settings.get("expected_latency_ns")
        put("target_latency", expected / _NS_PER_MS if isinstance(expected, int) else None)
    if scenario != "Offline":
        share = settings.get("target_latency_percentile")
        put("target_latency_percentile", round(share * 100, 6) if isinstance(share, float) else None)
    if scenario == "MultiStream":
        put("samples_per_query", settings.get("samples_per_query"))
    return found


def _whole_ms(latency_ns: object) -> int | None:
    if not isinstance(latency_ns, int):
        return None
    milliseconds, rest = divmod(latency_ns, _NS_PER_MS)
    if rest:
        raise UsageError(
            f"a Server latency limit of {latency_ns} ns is no whole number of milliseconds, as user.conf needs it",
            hint="round `target_latency_ns` to a million",
            slug="latency-ms",
        )
    return milliseconds


def expected_settings(scenario: str, mode: str, settings: Mapping[str, object]) -> dict[str, object]:
    """What LoadGen's detail log must say that it used, by the names of its ``effective_`` keys without the prefix.

    An accuracy test runs over all samples whatever the settings of time are.
    """
    scenario = SCENARIOS[scenario].loadgen_name
    expected: dict[str, object] = {"scenario": scenario, "test_mode": _MODES[mode]}
    if mode == "accuracy":
        return expected
    wanted = {
        "min_duration_ms": settings.get("min_duration_ms"),
        "max_duration_ms": settings.get("max_duration_ms") or 0,
        "performance_sample_count": settings.get("performance_samples"),
    }
    if scenario == "Server":
        wanted["target_qps"] = settings.get("target_qps")
        wanted["target_latency_ns"] = settings.get("target_latency_ns")
    if scenario != "Offline":
        # LoadGen makes Offline's one query of it, and reports what it made.
        wanted["min_query_count"] = settings.get("min_query_count")
        wanted["target_latency_percentile"] = settings.get("target_latency_percentile")
    if scenario == "MultiStream":
        wanted["samples_per_query"] = settings.get("samples_per_query")
    return {**expected, **{key: value for key, value in wanted.items() if value is not None}}
