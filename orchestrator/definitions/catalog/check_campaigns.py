"""Cross checks of campaigns: whether each axis names something, and how many cells there are."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

from orchestrator.definitions.axes import IDENTITY
from orchestrator.definitions.catalog.check_names import exists
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.campaigns import MOST_VALUES
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.matrix import MODES, OPTIONS, combinations, matrix_axes, values_of
from orchestrator.definitions.yaml import suggestion
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.definitions.kinds.campaigns import Campaign
    from orchestrator.errors import Problem

Loc = tuple[str | int, ...]
_LONGEST = 400
"""Characters of the axes in a message."""


def check_campaign(catalog: Catalog, entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    """Every fault between a campaign and the recipes that it names, and between its own parts."""
    if "benchmark" not in campaign.matrix:
        hint = "write `benchmark: [NAME, …]` under `matrix`"
        yield entry.document.fault("missing-key", "the axis `benchmark` is missing in `matrix`", ("matrix",), hint)
        return
    for name in ("benchmark", "target", "round"):
        for at, value in placed_values(campaign, name):
            yield from exists(catalog, entry, name, value, at)
    yield from _words(entry, campaign, "mode", MODES)
    yield from _scenarios(catalog, entry, campaign)
    yield from _twice(entry, campaign)
    yield from _set_keys(catalog, entry, campaign)
    yield from _exclusions(entry, campaign)
    faults = tuple(_zips(entry, campaign))
    yield from faults
    if not faults:
        yield from _size(entry, campaign)


def placed_values(campaign: Campaign, name: str) -> Iterator[tuple[Loc, str]]:
    """The values of an axis, each with where it stands."""
    is_list = isinstance(campaign.matrix.get(name), tuple)
    for index, value in enumerate(values_of(campaign, name)):
        yield (("matrix", name, index) if is_list else ("matrix", name)), value


def _words(entry: AnyEntry, campaign: Campaign, name: str, known: tuple[str, ...]) -> Iterator[Problem]:
    for at, value in placed_values(campaign, name):
        if value not in known:
            message = f"there is no {name} `{value[:60]}` for a campaign"
            yield entry.document.fault(f"unknown-{name}", message, at, suggestion(value, known))


def _twice(entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    """A value that stands in an axis twice: its cells would be one and the same."""
    zipped = {name for names in campaign.zip for name in names}
    for name in campaign.matrix:
        seen: set[str] = set()
        for at, value in placed_values(campaign, name) if name not in zipped else ():
            if value in seen:
                message = f"axis `{name}` has the value `{value[:60]}` twice"
                yield entry.document.fault("bad-axis", message, at, "to measure it again write `repetitions: 2`")
            seen.add(value)


def _benchmarks(catalog: Catalog, campaign: Campaign) -> list[Benchmark]:
    """Those of its benchmarks that there are."""
    names = [("benchmark", name) for name in values_of(campaign, "benchmark")]
    found = [catalog.by_key[key].definition for key in names if key in catalog.by_key]
    return [each for each in found if isinstance(each, Benchmark)]


def _scenarios(catalog: Catalog, entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    benchmarks = _benchmarks(catalog, campaign)
    has = [name for name in SCENARIOS if any(name in each.scenarios for each in benchmarks)]
    for at, value in placed_values(campaign, "scenario"):
        if value not in SCENARIOS:
            message, hint = f"there is no scenario `{value[:60]}`", suggestion(value, tuple(SCENARIOS))
            yield entry.document.fault("unknown-scenario", message, at, hint)
        elif benchmarks and value not in has:
            message = f"no benchmark of this campaign has the scenario {value}"
            yield entry.document.fault("unknown-scenario", message, at, f"they have: {', '.join(has)}")


def _set_keys(catalog: Catalog, entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    """Whether each axis that is no option can be set: of one benchmark at least, as others may be excluded."""
    benchmarks = _benchmarks(catalog, campaign)
    known: dict[str, None] = {}
    for each in benchmarks:
        known |= dict.fromkeys(_settable(catalog, each))
    for name in campaign.matrix:
        if name in OPTIONS or not benchmarks or name in known or name.partition(".")[0] in known:
            continue
        message = f"the axis `{name}` names nothing: no benchmark of this campaign has it to set"
        span = entry.document.span(("matrix", name), key=True)
        yield entry.document.problem("unknown-axis", message, span, suggestion(name, (*OPTIONS, *known)))


def _settable(catalog: Catalog, benchmark: Benchmark) -> Iterator[str]:
    """What ``--set`` takes of a benchmark: its axes, the parameters of its harness, its fields."""
    yield from benchmark.axes
    harness = catalog.by_key.get(("harness", benchmark.harness))
    if harness is not None and isinstance(harness.definition, Harness) and harness.definition.program is not None:
        yield from harness.definition.program.parameters
    yield from (name for name in type(benchmark).model_fields if name not in IDENTITY)


def _exclusions(entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    for index, exclusion in enumerate(campaign.exclude):
        for name, given in exclusion.when.items():
            loc: Loc = ("exclude", index, "when", name)
            if name not in campaign.matrix:
                message = f"there is no axis `{name}` to exclude by"
                span = entry.document.span(loc, key=True)
                yield entry.document.problem("unknown-axis", message, span, suggestion(name, tuple(campaign.matrix)))
                continue
            values = dict.fromkeys(values_of(campaign, name))
            for value in (given,) if isinstance(given, str) else given:
                if value not in values:
                    message = f"axis `{name}` has no value `{value[:60]}`"
                    yield entry.document.fault("unknown-choice", message, loc, suggestion(value, tuple(values)))


def _zips(entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, names in enumerate(campaign.zip):
        if len(names) < 2:
            yield entry.document.fault("bad-zip", "one axis alone has none to step with", ("zip", index), "name two")
        for at, name in enumerate(names):
            loc: Loc = ("zip", index, at)
            if name not in campaign.matrix:
                hint = suggestion(name, tuple(campaign.matrix))
                yield entry.document.fault("unknown-axis", f"there is no axis `{name}` to step", loc, hint)
            elif name in seen:
                hint = "name all that step together in one list"
                yield entry.document.fault("bad-zip", f"axis `{name}` steps with others already", loc, hint)
            seen.add(name)
        counts = {name: len(values_of(campaign, name)) for name in names if name in campaign.matrix}
        if len(set(counts.values())) > 1:
            words = ", ".join(f"`{name}` {count}" for name, count in counts.items())
            message = f"axes that step together have as many values each, and these have: {words}"
            yield entry.document.fault("bad-zip", message, ("zip", index), "give each as many values, or leave `zip`")


def _size(entry: AnyEntry, campaign: Campaign) -> Iterator[Problem]:
    """Whether the cells are so many that nobody can mean it, with how to cut them."""
    axes = matrix_axes(campaign)
    if campaign.sample is not None:
        found, words = campaign.sample.cells * campaign.repetitions, f"sample {campaign.sample.cells:,}"
    else:
        found = combinations(axes) * campaign.repetitions
        words = " × ".join(f"{'+'.join(axis.names)} {len(axis.steps):,}" for axis in axes)
    if found <= MOST_VALUES:
        return
    if campaign.repetitions > 1:
        words += f" × repetitions {campaign.repetitions:,}"
    longest = max(axes, key=lambda axis: len(axis.steps)).names[0]
    number = f"{found:,}" if found < 10**15 else f"10^{int(log10(found))}"  # Python writes no number of any length
    message = f"this campaign has {number} cells ({words[:_LONGEST]}); more than {MOST_VALUES:,} are not taken"
    hint = f"draw some of them with `sample: {{cells: 1000}}`, let axes step together (`zip`), or cut `{longest}`"
    yield entry.document.problem("campaign-size", message, entry.document.span(("matrix",), key=True), hint)
