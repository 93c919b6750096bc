"""The targets as ``mlorch targets`` shows them: what this host has of each, and what an engine can pass."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError, UsageError
from orchestrator.facts.runs import DeviceInjection
from orchestrator.host.detect import Passable, presence
from orchestrator.host.process import this_user
from orchestrator.operations.device_inventory import device_inventory
from orchestrator.operations.host_ready import findings
from orchestrator.operations.target_choice import all_targets
from orchestrator.plan.run.devices import plan_devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.recipes import Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.host.checks import Finding
    from orchestrator.host.detect import Judge, Presence
    from orchestrator.operations.context import Context


# -- what an engine can pass ---------------------------------------------------------------


def judge(engine: EngineFacts | None) -> Judge | None:
    """Says whether ``engine`` can pass a target's devices to containers; None where no engine answered."""
    if engine is None:
        return None

    def say(target: Target, devices: Sequence[FoundDevice]) -> Passable:
        try:
            injection = device_injection(target, devices, engine)
        except MlorchError as error:
            return Passable(ok=False, trouble=error.message, hint=error.hint)
        return Passable(ok=True, how="" if injection.method == "none" else f"{injection.method}: {injection.why}")

    return say


def device_injection(target: Target, devices: Sequence[FoundDevice], engine: EngineFacts | None) -> DeviceInjection:
    """How all devices of the target would be passed to a container here. Raises as `plan_devices`."""
    inventory = device_inventory([target], devices, engine)
    return plan_devices(target, inventory, "", this_user().inside).device_injection


# -- list and show -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetList:
    """Every target, what this host has of it, and the one that a run would take (empty where none is here)."""

    presences: tuple[Presence, ...]
    titles: dict[str, str]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """A target: its recipe, what this host has of it, and how a container would be given its devices."""

    entry: Entry[Target]
    presence: Presence
    findings: tuple[Finding, ...]
    injection: DeviceInjection
    injection_error: str = ""
    """Why the devices cannot be passed here; empty where they can."""

    def document(self) -> dict[str, object]:
        """The JSON of `targets show`; ``passage`` is the name that ``device_injection`` had in mlorch 0.1."""
        injection = {**asdict(self.injection), "error": self.injection_error}
        return {
            **asdict(self.presence),
            "checks": [asdict(finding) for finding in self.findings],
            "path": str(self.entry.path),
            "origin": self.entry.origin,
            "definition": self.entry.definition.model_dump(mode="json", by_alias=True),
            "device_injection": injection,
            "passage": {**injection, "way": self.injection.method},
        }


def list_targets(context: Context) -> TargetList:
    """Every target in its three states, as ``mlorch targets`` shows them."""
    targets = all_targets(context.catalog)
    judged = judge(context.try_facts())
    return TargetList(
        presences=tuple(presence(target, context.machine, judged) for target in targets),
        titles={target.name: target.title for target in targets},
        default=_default(context),
    )


def _default(context: Context) -> str:
    try:
        return context.target(None).name
    except UsageError as error:
        if error.slug != "no-target":
            raise
        return ""


def show_target(context: Context, name: str) -> TargetReport:
    """One target. Raises `UsageError` for a name that does not exist."""
    entry = context.catalog.target(name)
    target, engine = entry.definition, context.try_facts()
    here = presence(target, context.machine, judge(engine))
    injection, error_message = DeviceInjection(), ""
    try:
        injection = device_injection(target, here.devices, engine)
    except MlorchError as error:
        error_message = error.message
    return TargetReport(
        entry=entry,
        presence=here,
        findings=findings(context, target),
        injection=injection,
        injection_error=error_message,
    )
