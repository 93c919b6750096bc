"""Hints of figures: results of one system against one another, and against what its parts can do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.findings import Rule, Said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.findings import Rulebook
    from orchestrator.submissions.plausibility.platforms import PlatformRows

_NOISE = 1.02
"""Two runs of the same thing may differ by so much without anything being odd."""
_HOST_WATTS = 1000
_MOST_HOST_WATTS = 3000
"""What a node's processors, memory, fans and supplies may draw beside its accelerators: the first, and as much again
as the accelerators, up to the second. A published server with one accelerator of 72 W drew 646 W."""
_LEAST_OF_WATTS = 0.1
"""The share of what accelerators may draw that idle ones draw about. Of 90 published results with power the lowest was
a third of it, and the highest 0.7 of what is allowed here."""

_SAME_AS = {"Samples/s": ("Samples/s", "Queries/s"), "Tokens/s": ("Tokens/s",)}
"""A query of Server is of one sample."""


def _server_above_offline(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    for shown in system.by_model():
        offline = shown.get("Offline")
        for name in ("Server", "Interactive"):
            each = shown.get(name)
            if offline is None or each is None or (each.unit == "Tokens/s") != (offline.unit == "Tokens/s"):
                continue
            if each.value > offline.value * _NOISE:
                more = each.value / offline.value * 100 - 100
                yield Said(
                    each.location, f"{name} is {each.value:,.6g} and Offline {offline.value:,.6g}: {more:.1f} % more"
                )


def _streams_above_offline(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    for shown in system.by_model():
        offline = shown.get("Offline")
        if offline is None or offline.inferred or offline.unit == "Tokens/s":
            continue
        for name, samples in (("SingleStream", 1), ("MultiStream", 8)):
            each = shown.get(name)
            if each is None or each.inferred or not each.value:
                continue
            rate = samples * 1000 / each.value
            if rate > offline.value * _NOISE:
                yield Said(
                    offline.location,
                    f"Offline is {offline.value:,.6g} samples a second; {name} takes {each.value:,.6g} ms for {samples}"
                    f" even at its slow end, which is {rate:,.6g}",
                )


def _fewer_samples_slower(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    for shown in system.by_model():
        single, multi = shown.get("SingleStream"), shown.get("MultiStream")
        if single is not None and multi is not None and multi.value * _NOISE < single.value:
            yield Said(
                single.location, f"one sample takes {single.value:,.6g} ms, and eight take {multi.value:,.6g} ms"
            )


def _beyond_peak(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    """Of the closed divisions: in the open one a model may be another one, with less work."""
    part = system.parts.accelerator_of(system.fields["accelerator_model_name"])
    count = system.accelerators
    if part is None or part.tops is None or count is None or system.division == "open":
        return
    for each in system.shown:
        work = system.parts.work.get(each.mlperf_model)
        if work is None or each.unit not in _SAME_AS[work.unit]:
            continue
        needed = each.value * work.operations / 1e12
        if needed > part.tops * count:
            yield Said(
                each.location,
                f"{each.value:,.6g} {each.unit} need {needed:,.0f}·10¹² operations a second at least; {count} "
                f"accelerators can do {part.tops * count:,.0f} by {part.source}",
            )


def _power(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    part = system.parts.accelerator_of(system.fields["accelerator_model_name"])
    count, nodes = system.accelerators, system.count("number_of_nodes")
    if part is None or part.watts is None or count is None or nodes is None:
        return
    drawn = part.watts * count
    host = min(_MOST_HOST_WATTS, _HOST_WATTS + drawn / nodes)
    for each in system.shown:
        if each.unit != "Watts":
            continue
        if not drawn * _LEAST_OF_WATTS <= each.value <= drawn * 1.5 + nodes * host:
            yield Said(
                each.location,
                f"the system drew {each.value:,.0f} W; its {count} accelerators draw up to {drawn:,.0f} W by "
                f"{part.source}",
            )


_OURS = "ours, by the definition of the scenarios"
FIGURE_HINTS: tuple[Rule[PlatformRows], ...] = (
    Rule("odd-server", "Server is not faster than Offline, which has all samples at once.", _OURS,
         "Offline could be made faster: by a larger batch, by more instances.", _server_above_offline,
         level="hint", official="skip"),
    Rule("odd-offline", "Offline is not slower than a stream, which has one query at a time.", _OURS,
         "Offline could be made faster: by a larger batch, by more instances.", _streams_above_offline,
         level="hint", official="skip"),
    Rule("odd-stream", "One sample takes no longer than eight of them.", _OURS,
         "SingleStream could be made faster.", _fewer_samples_slower, level="hint", official="skip"),
    Rule("odd-rate", "A result is within the arithmetic of the accelerators.", "ours, by recipes/parts",
         "Look at the accelerators that the description says, and at the test.", _beyond_peak,
         level="hint", official="skip"),
    Rule("odd-power", "A system draws about what its accelerators do.", "ours, by recipes/parts",
         "Look at the analyser's channels, and at the accelerators that the description says.", _power,
         level="hint", official="skip"),
)  # fmt: skip
