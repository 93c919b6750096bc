"""What decides the result of each cell: asked of the plan of a run, once for all cells that share an image and more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.assets.beside import folder_sha256
from orchestrator.campaigns.keys import PlannedCell, digest, key_of
from orchestrator.errors import MlorchError, UsageError
from orchestrator.operations.campaign.request import run_of_cell
from orchestrator.operations.run.dry_run import planned_run
from orchestrator.operations.run.processors import on_idle_host
from orchestrator.operations.run.request import checked, rate_of
from orchestrator.operations.target_choice import require_present
from orchestrator.plan.run.cells import Cell, duration_ms
from orchestrator.plan.run.settings import EXECUTION, resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.campaigns.expand import CampaignCell
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Dataset, Model
    from orchestrator.definitions.kinds.campaigns import Campaign
    from orchestrator.facts.runs import AssetRef, RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.plan import PlannedRun
    from orchestrator.operations.run.request import RunRequest

_OF_A_TEST = frozenset(("scenario", "mode", "duration", "target_qps", "timeout"))
"""Axes that change what LoadGen is told and nothing else: cells that differ in no other share their plan."""
_SETTINGS_OF_A_TEST = ("run_id", "scenario", "mode", "loadgen", "execution", "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What cells share: the plan of their run on this host and the inputs that follow from it, or why there is none."""

    run: PlannedRun | None = None
    cpus: tuple[int, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    obstacle: str = ""


@dataclass(slots=True, kw_only=True)
class Resolver:
    """Finds the keys of cells; the plan of an image and its parameters is made once."""

    context: Context
    campaign: Campaign
    shared: RunRequest
    _plans: dict[tuple[tuple[str, str], ...], _Shared] = field(default_factory=dict)
    _settings: dict[tuple[object, ...], dict[str, str]] = field(default_factory=dict)

    def planned(self, cell: CampaignCell) -> PlannedCell:
        """A cell with its key; one that cannot be run on this host has the reason instead."""
        axes = tuple(pair for pair in cell.axes if pair[0] not in _OF_A_TEST)
        if axes not in self._plans:
            self._plans[axes] = self._plan(cell)
        found = self._plans[axes]
        if found.run is None:
            return PlannedCell(cell=cell, obstacle=found.obstacle)
        try:
            tested = self._tested(found, axes, cell)
        except UsageError as error:
            return PlannedCell(cell=cell, obstacle=_words(error))
        own = {**tested, "mode": cell.mode, "scenario": cell.value("scenario")}
        if cell.repetition > 1:
            own["repetition"] = str(cell.repetition)
        return PlannedCell(cell=cell, shared=found.inputs, own=own, key=key_of(found.digest, own))

    def _plan(self, cell: CampaignCell) -> _Shared:
        request = run_of_cell(self.shared, self.campaign, cell)
        # Of the words of one test alone nothing is kept: other cells have others.
        request = replace(request, scenarios=(), mode="all", duration=None, target_qps=None, timeout=None)
        context = self.context
        try:
            request = checked(request)
            chosen = context.target(request.target, arch=request.arch)
            require_present(context.catalog.target(chosen.name).definition, chosen.presence)
            run = on_idle_host(planned_run(context, request))
            planned = run.planned[0]
            step = run.step(planned, _first_test(planned))
            inputs = dict(_inputs(run, planned, step, context.catalog))
        except MlorchError as error:
            return _Shared(obstacle=_words(error))
        execution = step.settings.get("execution")
        cpus = execution.get("cpus", ()) if isinstance(execution, dict) else step.container.cpus
        return _Shared(run=run, cpus=tuple(cpus), inputs=inputs, digest=digest(inputs))

    def _tested(self, found: _Shared, axes: tuple[tuple[str, str], ...], cell: CampaignCell) -> dict[str, str]:
        """What LoadGen and the harness are told in a test; the same of every repetition."""
        words = tuple(cell.value(name) for name in ("scenario", "duration", "target_qps"))
        key = (axes, cell.mode, words)
        if key not in self._settings:
            assert found.run is not None
            self._settings[key] = _settings(found.run, found.cpus, cell)
        return self._settings[key]


def _words(error: MlorchError) -> str:
    return f"{error.message} [{error.slug}]"


def _first_test(planned: PlannedBenchmark) -> Cell:
    return Cell(scenario=next(iter(planned.workload.benchmark.scenarios)), mode="performance")


def _inputs(run: PlannedRun, planned: PlannedBenchmark, step: RunStep, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What all tests of a benchmark with one image and its parameters depend on.

    Of the image it is the program (`plan.build.content.program_id`): a title or a note that the recipe says otherwise
    changes the image's digest and no result. The host counts with its hardware, not with its name or its load.
    """
    load, host = planned.workload, run.environment.host
    yield "host", host.system_id
    yield "benchmark", load.benchmark.name
    yield "target", load.target.name
    yield "round", load.benchmark.round
    yield "framework", load.framework
    yield "program", load.program_id
    yield "processors", str(len(step.container.cpus or host.allowed_cpus))
    yield "devices", ", ".join(one.product or one.name for one in step.device_injection.devices) or "none"
    yield "model", _data(step.model, planned.model, catalog)
    yield "dataset", _data(step.dataset, planned.dataset, catalog)
    yield "performance_samples", str(min(load.benchmark.performance_samples, load.dataset.samples))
    settings = {name: value for name, value in step.settings.items() if name not in _SETTINGS_OF_A_TEST}
    settings["dataset"] = _without(settings.get("dataset"), "performance_samples")
    program = None if load.harness.program is None else load.harness.program.model_dump(mode="json")
    yield "workload", digest([settings, program])
    yield "container", digest(_options(step))
    if load.benchmark.roles:
        roles = {name: role.model_dump(mode="json") for name, role in load.benchmark.roles.items()}
        servers = {name: server.model_dump(mode="json") for name, server in load.servers.items()}
        yield "servers", digest([roles, servers, dict(load.server_images)])


def _data(ref: AssetRef, entry: Entry[Model] | Entry[Dataset], catalog: Catalog) -> str:
    """A model or data set by the hashes of its files; of a folder beside the recipe by what lies there now."""
    asset, found = entry.definition, [dict(ref.files)]
    if asset.beside is not None:
        found.append({asset.beside.path: folder_sha256(entry, asset.beside, catalog)})
    return f"{ref.name} {digest(found)}"


def _without(values: object, name: str) -> object:
    return {key: value for key, value in values.items() if key != name} if isinstance(values, dict) else values


def _options(step: RunStep) -> list[object]:
    """What the container is given, without what names this run or says how busy the host is."""
    own = step.container
    env = {name: value for name, value in own.env.items() if step.run_id not in value}
    program = [] if step.external is not None else [word for word in own.command if step.run_id not in word]
    return [program, env, own.network, own.shm, own.ipc, sorted(own.ulimits.items()), sorted(own.capabilities)]


def _settings(run: PlannedRun, cpus: tuple[int, ...], cell: CampaignCell) -> dict[str, str]:
    """The settings of a test as it would be started, and where a program has them its parameters.

    Raises `UsageError` [unknown-scenario].
    """
    planned, scenario = run.planned[0], cell.value("scenario")
    benchmark = planned.workload.benchmark
    if scenario not in benchmark.scenarios:
        has = ", ".join(benchmark.scenarios)
        message = f"benchmark `{benchmark.name}` has no scenario {scenario}; it has {has}"
        raise UsageError(message, slug="unknown-scenario")
    duration, rate = cell.value("duration"), cell.value("target_qps")
    planned, choices = run.chosen(
        planned,
        scenario,
        min_duration_ms=duration_ms(duration) if duration else None,
        target_qps=rate_of(rate) if rate else None,
    )
    values, _ = resolved(planned.workload, Cell(scenario=scenario, mode=cell.mode), choices, len(cpus))
    accuracy = cell.mode == "accuracy"
    found = {name: str(it) for name, it in values.items() if it is not None and (name in EXECUTION or not accuracy)}
    found |= {f"parameters.{name}": each.value for name, each in planned.workload.parameters.items()}
    if accuracy:
        found["goals"] = digest([goal.model_dump(mode="json") for goal in benchmark.accuracy.goals])
        found["scored by"] = digest(planned.workload.scoring_image)
    return found
