"""Texts of a recipe that are filled or searched: templates, the values that they may name, conditions and patterns."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from orchestrator.facts.patterns import compiled

Template = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z", max_length=16_384)]
ValueName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*\Z", max_length=80)]
Condition = dict[ValueName, str | tuple[str, ...]]
"""Value name → the value it must have, or one of several; all of them must hold."""


def _pattern(text: str) -> str:
    compiled(text)
    return text


def _one_value(text: str) -> str:
    if compiled(text).groups != 1:
        raise ValueError("it must have exactly one group: the number")
    return text


Pattern = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_pattern)]
"""A regular expression of RE2, searched in each line."""
ValuePattern = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_one_value)]
"""The same with one group, which is the number."""
VALUE_NAMES = (
    "scenario",
    "mode",
    "benchmark",
    "target",
    "arch",
    "framework",
    "run_id",
    "loadgen_model",
    "model",
    "model.file",
    "data",
    "data.samples",
    "results",
    "artifacts",
    "scratch",
    "config",
    "source",
    "cpus",
    "cpu_list",
    "cpu_first",
    "devices.count",
    "devices.list",
    "numa.nodes",
    "numa.cores",
    "memory_mb",
    "uid",
    "gid",
    "endpoint.url",
    "endpoint.urls",
    "endpoint.model",
    "settings.min_duration_ms",
    "settings.max_duration_ms",
    "settings.min_query_count",
    "settings.target_qps",
    "settings.target_latency_ns",
    "settings.target_latency_percentile",
    "settings.expected_latency_ns",
    "settings.samples_per_query",
    "settings.performance_samples",
)
"""What a template can name, besides ``param.*`` and ``words.*``. docs/add-a-harness.md says what each is.
A LoadGen setting that a test leaves open is absent, as are the servers (``endpoint.*``) of a run without roles: a
template that needs it is refused."""
