"""The devices of a prepare step that computes on one: those of the target, passed as a run's container gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engines.users import container_user
from orchestrator.errors import AssetError
from orchestrator.plan.run.devices.plan import plan_devices

if TYPE_CHECKING:
    from orchestrator.engines import EngineFacts
    from orchestrator.operations.context import Context
    from orchestrator.plan.run.devices.plan import Devices


def prepare_devices(
    context: Context, target: str | None, selection: str, engine: EngineFacts | None, *, dry: bool = False
) -> Devices:
    """What the container of a step on a device is given; ``selection`` is `--devices`.

    A ``dry`` one for hardware that is not here is shown as with one device.

    Raises:
        AssetError: `prepare-device`, the target has no devices. UsageError, HostLimitError: as `plan_devices`.
    """
    from orchestrator.host.accelerators import found_devices
    from orchestrator.operations.targets import device_inventory, with_pretended_device

    chosen = context.catalog.target(context.target(target).name).definition
    if chosen.passthrough.empty:
        raise AssetError(
            f"a prepare step computes on a device, and target `{chosen.name}` has none",
            hint="name the target whose device it is (--target), or bring what the step makes with --data NAME=FOLDER",
            slug="prepare-device",
        )
    inventory = device_inventory([chosen], found_devices(chosen, context.machine), engine)
    return plan_devices(
        chosen,
        with_pretended_device(inventory, chosen) if dry else inventory,
        selection,
        container_user(engine).on_host,
    )
