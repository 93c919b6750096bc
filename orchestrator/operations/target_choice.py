"""Which target is meant: decided once for a command, from what was asked, the settings and what this host has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.host.detect import best, platform_of
from orchestrator.operations.plan_cache import AUTO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.recipes import Target
    from orchestrator.definitions.settings import Settings
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.host.detect import Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChoice:
    """The target that is meant, and everything that was decided with it.

    ``platform`` is None where this host's is none of the target's: its first one then counts. ``arch`` is what
    device code is built for, None where the target's default counts. ``named`` says that somebody named the
    target; ``why`` says who, or what was detected. ``presence`` is what this host has of it.
    """

    name: str
    platform: str | None
    arch: str | None
    named: bool
    why: str
    presence: Presence

    @property
    def devices(self) -> tuple[FoundDevice, ...]:
        """The target's devices on this host."""
        return self.presence.devices


def all_targets(catalog: Catalog) -> tuple[Target, ...]:
    """The targets of a catalogue by name."""
    return tuple(entry.definition for entry in catalog.targets())


def choose_target(
    catalog: Catalog,
    settings: Settings,
    presence_of: Callable[[Target], Presence],
    *,
    requested: str | None,
    platform: str | None = None,
    arch: str | None = None,
) -> TargetChoice:
    """The target that ``requested`` means (None or ``auto``: the settings', else the best that is here).

    ``platform`` and ``arch`` are what was asked for; None takes this host's, where the target has it.

    Raises:
        UsageError: `unknown-target`; `no-target`, nothing was named and none is present on this host.
    """
    name, why = _named(settings, requested)
    if not name:
        name, why = _detected(catalog, presence_of)
    target = catalog.target(name).definition
    here = presence_of(target)
    return TargetChoice(
        name=name,
        platform=platform or own_platform(target),
        arch=arch or _own_arch(target, here),
        named=why != "detected",
        why=why,
        presence=here,
    )


def _named(settings: Settings, requested: str | None) -> tuple[str, str]:
    """The target that somebody named, and who; empty where nobody did."""
    if requested and requested != AUTO:
        return requested, "--target"
    if settings.target and settings.target != AUTO:
        return settings.target, settings.sources.get("target", "settings")
    return "", ""


def _detected(catalog: Catalog, presence_of: Callable[[Target], Presence]) -> tuple[str, str]:
    targets = all_targets(catalog)
    found = best(targets, [presence_of(target) for target in targets])
    if found is None:
        hint = f"name one with --target: {', '.join(catalog.names('target'))}; `mlorch targets` says why"
        raise UsageError("no target was detected on this host", hint=hint, slug="no-target")
    return found.name, "detected"


def own_platform(target: Target) -> str | None:
    """This host's platform where the target has images for it; None otherwise."""
    mine = platform_of(os.uname().machine)
    return mine if mine in target.platforms else None


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
