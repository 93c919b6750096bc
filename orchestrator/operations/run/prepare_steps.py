"""What a run would prepare first: the containers of the steps whose models and data are not here, for a dry run."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.assets.beside import folder_beside
from orchestrator.assets.provider import prep_spec, script_files
from orchestrator.assets.store import input_entry
from orchestrator.definitions.asset_locks import full_name
from orchestrator.errors import MlorchError
from orchestrator.operations.assets.devices import prepare_devices
from orchestrator.operations.assets.provider import asset_provider, planned_folder
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.progress import Silent
from orchestrator.operations.run.benchmarks import planned_for
from orchestrator.operations.run.selection import selection_of
from orchestrator.plan.run.devices.plan import Devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.assets.provider import AssetProvider
    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.runs import DeviceInjection
    from orchestrator.operations.context import Context
    from orchestrator.operations.run.request import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPrepareStep:
    """The prepare step of a model or data set that is not here: its container, and the devices that it is given."""

    asset: str
    container: ContainerSpec
    devices: DeviceInjection


def planned_prepare_steps(context: Context, request: RunRequest) -> tuple[PlannedPrepareStep, ...]:
    """The prepare steps that a run would need first, in the order of their assets; nothing is fetched or made.

    Raises:
        UsageError, DefinitionError: as the dry run itself. AssetError: `prepare-device`, a step computes on a device
            and the target has none.
    """
    chosen = context.target(request.target, arch=request.arch)
    selection = selection_of(context, request, chosen)
    planned = planned_for(context, selection, context.plans(selection).plans, replace(request, official=False))
    provider = asset_provider(context, Silent(), target=chosen.name, data=request.data)
    entries: list[Entry[Asset]] = []
    for one in planned:
        entries += [one.model, one.dataset]
    absent = [entry for entry in provider.absent(entries) if entry.definition.prepare is not None]
    return tuple(_planned(context, request, provider, entry, chosen.name) for entry in absent)


def _planned(
    context: Context, request: RunRequest, provider: AssetProvider, entry: Entry[Asset], target: str
) -> PlannedPrepareStep:
    asset = entry.definition
    prepare = asset.prepare
    assert prepare is not None  # the caller looked
    devices = Devices()
    if prepare.needs_device:
        engine = None
        with contextlib.suppress(MlorchError):  # where one answers, it decides how devices are passed
            engine = context.engine.facts()
        devices = prepare_devices(context, target, request.devices, engine, dry=True)
    image = context.plans(Selection(target=target, base_source=request.base_source, side=prepare.layer)).plans[0].image
    folder = planned_folder(context, entry, provider.given).parent
    inputs = {
        name.partition("/")[2]: planned_folder(context, input_entry(context.catalog, name), provider.given)
        for name in prepare.inputs
    }
    sources = None if asset.beside is None else folder_beside(entry, asset.beside)
    spec = prep_spec(asset, prepare, image, folder, script_files(folder, prepare), inputs, sources)
    return PlannedPrepareStep(
        asset=full_name(asset), container=devices.given_to(spec), devices=devices.device_injection
    )


def prepare_steps_document(steps: Sequence[PlannedPrepareStep], printer: Printer) -> list[dict[str, object]]:
    """The JSON of `prepares` in a dry run."""
    return [
        {
            "asset": step.asset,
            "image": step.container.image,
            "argv": printer.argv(step.container),
            "notes": list(printer.notes(step.container)),
            "devices": asdict(step.devices),
        }
        for step in steps
    ]
