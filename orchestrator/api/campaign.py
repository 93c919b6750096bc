"""Campaigns: the verbs of `mlorch campaign`, as documents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import (
    OF_EVERY_CALL,
    context_of,
    document_of,
    progress_of,
    pull_policy,
    request_of,
    results_in,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.api.calls import Document
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.context import Context


def plan(
    campaign: str | os.PathLike[str],
    *,
    results: str | os.PathLike[str] | None = None,
    shard: str = "",
    why: bool = False,
    **options: Any,
) -> Document:
    """The cells of a campaign (a file or a name), which are measured and which would run, as ``mlorch campaign plan``.

    ``options`` are fields of `RunRequest` that all cells share (``data``, ``changes``).

    Raises:
        DefinitionError: faults of the campaign, each with its line and column.
        UsageError: an unknown campaign, a shard that is none.
        NothingSelectedError: no cell is left.
    """
    from orchestrator.operations.campaign.plan import campaign_plan

    context, request = _asked(campaign, results, shard, options, talk=False)
    return document_of(campaign_plan(context, request, why=why))


def run(
    campaign: str | os.PathLike[str],
    *,
    results: str | os.PathLike[str] | None = None,
    shard: str = "",
    again: bool = False,
    resume: bool = False,
    talk: bool = False,
    **options: Any,
) -> Document:
    """Run the cells that are not measured yet, as ``mlorch campaign run`` or, with ``resume``, ``resume``.

    ``options`` as `plan`, and those of `run` that say where images come from. That a cell fails or does not count
    raises nothing: ``counts`` says so.

    Raises:
        DefinitionError, UsageError, NothingSelectedError: as `plan`; no cell can run on this host.
        StepFailed: somebody else runs it, it stopped after so many failures, or the disk is full.
        EngineError: no engine answers, or it was lost.
    """
    from orchestrator.operations.campaign.run import CampaignWatcher, campaign_run

    context, request = _asked(campaign, results, shard, options, talk=talk, again=again)
    ready = campaign_run(context, request, resume=resume)
    ran = sum(1 for _ in ready.run(progress_of(talk=talk), CampaignWatcher()))
    return {**document_of(ready.plan), "ran": ran}


def status(campaign: str | os.PathLike[str], *, results: str | os.PathLike[str] | None = None) -> Document:
    """How far a campaign is, by its journal, as ``mlorch campaign status``. Raises `UsageError` where none began."""
    from orchestrator.operations.campaign.places import folder_of
    from orchestrator.operations.campaign.status import campaign_status

    return document_of(campaign_status(folder_of(results_in(results), os.fspath(campaign))))


def export(campaign: str | os.PathLike[str], *, results: str | os.PathLike[str] | None = None) -> Document:
    """The result of every cell, as ``mlorch campaign export``. Raises `UsageError` where the campaign never began."""
    from orchestrator.operations.campaign.export import campaign_rows
    from orchestrator.operations.campaign.places import folder_of

    word = os.fspath(campaign)
    return document_of({"campaign": word, "rows": campaign_rows(folder_of(results_in(results), word))})


def merge(
    campaign: str | os.PathLike[str],
    others: Sequence[str | os.PathLike[str]],
    *,
    results: str | os.PathLike[str] | None = None,
) -> Document:
    """Bring what the campaigns in the folders ``others`` measured into one, as ``mlorch campaign merge``.

    Raises:
        UsageError: one of them is no campaign.
        StepFailed: two results of one test of performance, with both sides; nothing is changed then.
    """
    from pathlib import Path

    from orchestrator.operations.campaign.merge import merge_campaigns
    from orchestrator.operations.campaign.places import folder_of

    folder = folder_of(results_in(results), os.fspath(campaign))
    found = [Path(other) for other in words("others", others)]
    return document_of(merge_campaigns(folder, found, progress_of(talk=False)))


def _asked(
    campaign: str | os.PathLike[str], results: str | os.PathLike[str] | None, shard: str, options: dict[str, Any],
    *, talk: bool, again: bool = False,
) -> tuple[Context, CampaignRequest]:  # fmt: skip
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.run.request import API, RunRequest

    own = {name: options.pop(name) for name in OF_EVERY_CALL if name in options}
    context = context_of(progress_of(talk=talk), own)
    policy = pull_policy(options)
    shared = request_of(
        RunRequest,
        options,
        results=results_in(results),
        recipes=context.recipes,
        engine=context.wanted_engine,
        locked=context.locked,
        pull_policy=policy,
        caller=API,
    )
    return context, CampaignRequest(campaign=os.fspath(campaign), run=shared, shard=shard, again=again)
