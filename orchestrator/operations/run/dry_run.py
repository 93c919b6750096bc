"""What a run would do: its tests on this host, as their containers and settings; nothing is made for it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError
from orchestrator.operations.run.benchmarks import planned_for, with_scoring, with_server_images
from orchestrator.operations.run.compared import with_stored_runs
from orchestrator.operations.run.compliance import say_what_is_left_out, with_compliance
from orchestrator.operations.run.plan import PlannedRun, run_environment, say_what_is_not_searched
from orchestrator.operations.run.power import with_power
from orchestrator.operations.run.processors import check_processors
from orchestrator.operations.run.selection import selection_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.compliance import PlannedCompliance
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.run.prepare_steps import PlannedPrepareStep
    from orchestrator.operations.run.request import RunRequest


def dry_run(context: Context, request: RunRequest) -> tuple[RunStep, ...]:
    """The tests that would run, in order; no network, nothing written, and no engine unless devices are passed.

    Raises `UsageError` and `DefinitionError` as the run itself, for a pull policy that cannot be kept too.
    """
    if request.sign_key:
        from orchestrator.operations.signing import record_signing

        record_signing(request.sign_key)  # one that cannot be used is told here too
    run = planned_run(context, request)
    if request.find:
        say_what_is_not_searched(run, context.talk)
    return tuple(with_stored_runs(run).steps())


def planned_run(context: Context, request: RunRequest) -> PlannedRun:
    """The tests of a request on this host, planned as `dry_run` does; raises as it."""
    from orchestrator.host.facts import host_facts
    from orchestrator.operations.assets.provider import given_folders, planned_folder
    from orchestrator.operations.pull_policy import image_sources
    from orchestrator.operations.run.endpoint import planned_endpoint
    from orchestrator.operations.run.findings import findings

    chosen = context.target(request.target, arch=request.arch)
    selection = selection_of(context, request, chosen)
    image_sources(context, request.pull_policy, context.talk)
    given, host = given_folders(context, request.data), host_facts()

    def planned_image(side: Selection) -> str:
        return context.plans(side).plans[0].image

    def folder(entry: Entry[Asset]) -> str:
        return str(planned_folder(context, entry, given))

    planned = tuple(
        replace(
            one,
            workload=replace(one.workload, model_folder=folder(one.model), dataset_folder=folder(one.dataset)),
        )
        for one in planned_for(context, selection, context.plans(selection).plans, request)
    )
    say_what_is_left_out(request, planned, context.talk)
    planned = with_compliance(context.catalog, selection, planned, planned_image)
    planned = with_power(context.catalog, request, selection, planned, planned_image)
    planned = with_scoring(request, selection, planned, planned_image)
    planned = with_server_images(selection, planned, planned_image)
    engine = None
    if not context.catalog.target(chosen.name).definition.passthrough.empty:
        with contextlib.suppress(MlorchError):  # where one answers, it decides how devices are passed
            engine = context.engine.facts()
    environment = run_environment(context, request, chosen, host, engine, {}, dry=True)
    check_processors(environment, context.talk)
    return PlannedRun(
        request=request,
        planned=planned,
        environment=replace(environment, endpoint=planned_endpoint(request)),
        tuned=findings(request, host),
    )


def dry_run_document(
    steps: Sequence[RunStep], printer: Printer, prepares: Sequence[PlannedPrepareStep] = ()
) -> dict[str, object]:
    """The JSON of a dry run: each container's argv and what its harness would be told, and what is prepared before."""
    from orchestrator.operations.run.prepare_steps import prepare_steps_document

    return {
        "prepares": prepare_steps_document(prepares, printer) if prepares else [],
        "containers": [
            {
                "run_id": step.run_id,
                "image": step.image,
                "argv": printer.argv(container),
                "notes": list(printer.notes(container)),
                "settings": dict(step.settings),
                "provenance": dict(step.provenance),
                "devices": asdict(step.device_injection),
                "deviations": list(step.deviations),
                "limit": None if step.limit is None else asdict(step.limit),
                "compliance": None if step.compliance is None else _compliance_document(step.compliance),
                "power": None if step.power is None else {**asdict(step.power.server), "commit": step.power.commit},
            }
            for step in steps
            for container in step.containers
        ],
    }


def _compliance_document(planned: PlannedCompliance) -> dict[str, object]:
    """Which compliance test it is, who verifies it, and what it is compared with."""
    return {
        "test": planned.test.name,
        "round": planned.test.round,
        "commit": planned.commit,
        "compared": [{"mode": one.mode, "run_id": one.run_id, "stored": one.stored} for one in planned.compared],
    }
