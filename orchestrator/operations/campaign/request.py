"""Which campaign is meant, where it is kept, and the run that each of its cells is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.campaigns.expand import expand, shard
from orchestrator.campaigns.folder import CAMPAIGNS
from orchestrator.definitions.catalog.check_campaigns import placed_values
from orchestrator.definitions.catalog.load import load_file
from orchestrator.definitions.matrix import OPTIONS, values_of
from orchestrator.errors import DefinitionError, NothingSelectedError, UsageError
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.run.request import RunRequest, rate_of, require_rate
from orchestrator.plan.run.cells import duration_ms
from orchestrator.plan.run.devices.choice import parse
from orchestrator.plan.run.processors import parse_cpus

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.campaigns.expand import CampaignCell
    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.campaigns import Campaign
    from orchestrator.operations.context import Context

_SHARD = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})")
_LISTED = {"benchmark": "benchmarks", "scenario": "scenarios"}
"""Axes whose option takes several at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRequest:
    """``campaign`` is a name or a file; ``run`` what all cells share: images, data, engine, folder of results.

    ``shard`` (``3/10``) is the part of the cells that is meant, empty for all; with ``again`` cells whose result does
    not count are run once more.
    """

    campaign: str
    run: RunRequest = field(default_factory=RunRequest)
    shard: str = ""
    again: bool = False


def find_campaign(context: Context, request: CampaignRequest) -> Entry[Campaign]:
    """The campaign of a name or a file, with its words checked.

    Raises `DefinitionError` with every fault, located; `UsageError` [unknown-campaign].
    """
    word = request.campaign
    if "/" in word or word.endswith((".yaml", ".yml")):
        entry = cast("Entry[Campaign]", load_file(context.catalog, Path(word), "campaign"))
    else:
        entry = context.catalog.campaign(word)
    faults = []
    for name, check in _CHECKS.items():
        for loc, value in placed_values(entry.definition, name):
            try:
                check(value)
            except UsageError as error:
                faults.append(entry.document.fault(error.slug, error.message, loc, error.hint))
    if faults:
        raise DefinitionError(faults)
    return entry


def campaign_folder(request: CampaignRequest, campaign: Campaign) -> Path:
    """Where its journal, its plan and the results of its cells are."""
    return request.run.results.absolute() / CAMPAIGNS / campaign.name


def cells_of_campaign(context: Context, request: CampaignRequest, campaign: Campaign) -> tuple[CampaignCell, ...]:
    """Its cells, or those of the shard that is meant.

    Raises `NothingSelectedError` where nothing is left of them, `UsageError` [shard].
    """
    scenarios = {
        name: tuple(each for each in SCENARIOS if each in context.catalog.benchmark(name).definition.scenarios)
        for name in values_of(campaign, "benchmark")
    }
    cells = expand(campaign, scenarios)
    if request.shard:
        cells = shard(cells, *_shard(request.shard))
    if not cells:
        hint = "see its `exclude`, or take another --shard"
        raise NothingSelectedError(f"campaign `{campaign.name}` has no cell left", hint=hint)
    return cells


def _shard(text: str) -> tuple[int, int]:
    found = _SHARD.fullmatch(text.strip())
    if found is None or int(found[1]) > int(found[2]):
        hint = "write --shard 3/10 for the third of ten"
        raise UsageError(f"--shard takes a part and how many there are, not `{text[:40]}`", hint=hint, slug="shard")
    return int(found[1]), int(found[2])


def run_of_cell(shared: RunRequest, campaign: Campaign, cell: CampaignCell) -> RunRequest:
    """The run that a cell is: what all share, with the cell's own words."""
    options = {name: value for name, value in cell.axes if name in OPTIONS}
    if campaign.policy.timeout is not None:
        options.setdefault("timeout", campaign.policy.timeout)
    return replace(_with_options(shared, options), mode=cell.mode, changes=(*shared.changes, *cell.changes))


def _with_options(request: RunRequest, options: dict[str, str]) -> RunRequest:
    fields: dict[str, object] = {name: value for name, value in options.items() if name not in _LISTED}
    for name, plural in _LISTED.items():
        if name in options:
            fields[plural] = (options[name],)
    if "target_qps" in options:
        fields["target_qps"] = rate_of(options["target_qps"])
    return replace(request, **fields)  # type: ignore[arg-type]  # the names are those of its fields


def _check_rate(text: str) -> None:
    require_rate(rate_of(text))


def _check_timeout(text: str) -> None:
    _ = RunRequest(timeout=text).timeout_s


_CHECKS: dict[str, Callable[[str], object]] = {
    "duration": duration_ms,
    "target_qps": _check_rate,
    "devices": parse,
    "cpus": parse_cpus,
    "timeout": _check_timeout,
}
"""What the words of an axis must be; each raises `UsageError`."""
