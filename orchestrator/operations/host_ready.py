"""Whether this host can run a target, told before anything is built: its devices, their driver, its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError, HostLimitError
from orchestrator.operations.target_choice import all_targets, choice_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.kinds.recipes import Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.build import BuildPlan
    from orchestrator.host.checks import Finding
    from orchestrator.host.detect import Presence
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk
    from orchestrator.operations.target_choice import TargetChoice


def require_host(context: Context, chosen: TargetChoice, talk: Talk) -> None:
    """Say what was chosen and what could be better; stop where the target cannot run here.

    Raises `HostLimitError`: `device-missing`, `driver-not-ok`, or `host-setting` for a setting that
    the target cannot do without.
    """
    target = context.catalog.target(chosen.name).definition
    if not chosen.named:
        message = choice_message(chosen.name, [context.presence(each) for each in all_targets(context.catalog)])
        if message:
            talk.say(message)
    require_present(target, chosen.presence)
    found = findings(context, target)
    require_settings(target, found)
    failed = [finding.name for finding in found if finding.ok is False]
    if failed:
        talk.say(f"results could be higher or steadier: {', '.join(failed)}; see `mlorch targets show {chosen.name}`")


def require_present(target: Target, here: Presence) -> None:
    """Raise `HostLimitError` where the hardware or its driver is not here.

    A target whose recipe says nothing of detection is trusted: its passthrough tells what lacks.
    """
    if not target.detect.says_something:
        return
    if not here.present:
        raise HostLimitError(
            f"target `{target.name}` is not on this host: {here.why}",
            hint=here.hint or "`mlorch targets` says what is here; `mlorch run` without --target takes it",
            slug="device-missing",
        )
    if here.driver_ok is False:
        raise HostLimitError(
            f"target `{target.name}` cannot be used on this host: {here.why}", hint=here.hint, slug="driver-not-ok"
        )


def require_settings(target: Target, found: Sequence[Finding]) -> None:
    """Raise `HostLimitError` for the first setting that the target cannot do without."""
    for finding in found:
        if finding.stops:
            raise HostLimitError(
                f"target `{target.name}` needs {finding.file} to be {finding.wanted}, and it is {finding.found}: "
                f"{finding.why}",
                hint=finding.hint,
                slug="host-setting",
            )


EMULATORS = {"linux/arm64": "qemu-aarch64", "linux/amd64": "qemu-x86_64"}
"""What the kernel calls the emulator that lets it start programs of another platform (binfmt_misc)."""


def require_platform(plans: Sequence[BuildPlan], engine: EngineFacts, root: Path = Path("/")) -> None:
    """Layers of another platform than the engine's can only be built where their programs start.

    Raises:
        EngineError: `foreign-platform`. An engine on another host is trusted: its emulators are not visible.
    """
    for plan in plans:
        emulator = root / "proc/sys/fs/binfmt_misc" / EMULATORS.get(plan.platform, "none")
        here = engine.host.startswith("unix://")
        if plan.platform != engine.platform and here and not emulator.exists():
            raise EngineError(
                f"images for {plan.platform} cannot be built here: the engine runs {engine.platform}, "
                "and programs of the other kind do not start",
                hint=f"build on a {plan.platform} host and publish from there, or install an emulator "
                f"({emulator.name} of qemu-user-static with binfmt-support); plan and render work as it is",
                slug="foreign-platform",
            )


def findings(context: Context, target: Target) -> tuple[Finding, ...]:
    """What the checks of a target find on this host."""
    from orchestrator.host.checks import check_host, checks_of

    return tuple(check_host(checks_of(target, context.catalog), context.machine))
