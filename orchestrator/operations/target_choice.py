"""Which target is meant, decided once for a command, and whether this host can run it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError, HostLimitError, UsageError
from orchestrator.host.detect import best, platform_of
from orchestrator.operations.plan_cache import AUTO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.definitions.settings import Settings
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.build import BuildPlan
    from orchestrator.host.checks import Finding
    from orchestrator.host.detect import Presence
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk


_DETECTED = "detected"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChoice:
    """The target that is meant, and everything that was decided with it.

    ``platform`` is None where this host's is none of the target's: its first one then counts. ``arch`` is what
    device code is built for, None where the target's default counts. ``why`` says who named the target, or that it
    was detected. ``presence`` is what this host has of it.
    """

    name: str
    platform: str | None
    arch: str | None
    why: str
    presence: Presence

    @property
    def named(self) -> bool:
        """Whether somebody named the target."""
        return self.why != _DETECTED


def all_targets(catalog: Catalog) -> tuple[Target, ...]:
    """The targets of a catalogue by name."""
    return tuple(entry.definition for entry in catalog.targets())


def choose_target(
    context: Context, requested: str | None, platform: str | None = None, arch: str | None = None
) -> TargetChoice:
    """The target that ``requested`` means (None or ``auto``: the settings', else the best that is here).

    ``platform`` and ``arch`` are what was asked for; None takes this host's, where the target has it.

    Raises:
        UsageError: `unknown-target`; `no-target`, nothing was named and none is present on this host.
    """
    name, why = _named(context.settings, requested) or _detected(context)
    target = context.catalog.target(name).definition
    here = context.presence(target)
    mine = platform_of(os.uname().machine)
    if not platform:
        platform = mine if mine in target.platforms else None
    return TargetChoice(
        name=name,
        platform=platform,
        arch=arch or _own_arch(target, here),
        why=why,
        presence=here,
    )


def _named(settings: Settings, requested: str | None) -> tuple[str, str] | None:
    """The target that somebody named, and who."""
    if requested and requested != AUTO:
        return requested, "--target"
    if settings.target and settings.target != AUTO:
        return settings.target, settings.sources.get("target", "settings")
    return None


def _detected(context: Context) -> tuple[str, str]:
    targets = all_targets(context.catalog)
    found = best(targets, [context.presence(target) for target in targets])
    if found is None:
        hint = f"name one with --target: {', '.join(context.catalog.names('target'))}; `mlorch targets` says why"
        raise UsageError("no target was detected on this host", hint=hint, slug="no-target")
    return found.name, _DETECTED


def _own_arch(target: Target, here: Presence) -> str | None:
    """What the target's devices here need their code built for, where all are alike and the target has it."""
    if target.arch is None or len(here.archs) != 1 or here.archs[0] not in target.arch.choices:
        return None
    return here.archs[0]


def choice_message(chosen: str, found: Sequence[Presence]) -> str:
    """What was taken by itself and why, and what else is here; empty where there was nothing to choose."""
    here = {each.name: each for each in found if each.present}
    mine = here.pop(chosen, None)
    real = [each for each in here.values() if each.devices]
    if mine is None or not (mine.devices or real):
        return ""
    others = [f"{each.name} ({each.why}{'' if each.usable else '; not usable: ' + each.hint})" for each in real]
    more = f"; also here: {', '.join(others)}; --target takes another" if others else ""
    return f"target {chosen}: {mine.why}{more}"


# -- whether this host can run it ----------------------------------------------------------


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
