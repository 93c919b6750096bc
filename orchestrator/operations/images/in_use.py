"""Which content ids the current definitions have: of every target, platform, base source and side image."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from orchestrator.errors import DefinitionError, MlorchError
from orchestrator.operations.plan_cache import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.operations.context import Context


def current_ids(context: Context, *, sure_of: str = "") -> frozenset[str]:
    """The content ids of every plan that can be made of the definitions here.

    A selection that cannot be planned (no lock for its platform, say) needs no image, and a
    line says so once. On the platform ``sure_of`` it is an error: an unreadable
    lock would make every image above it look unneeded.

    Raises:
        DefinitionError: of a selection on ``sure_of``.
    """
    found: set[str] = set()
    lines: dict[str, None] = {}
    for selection in _selections(context):
        try:
            plans = context.plans(selection).plans
        except MlorchError as error:
            if isinstance(error, DefinitionError) and selection.platform == sure_of:
                raise
            lines[f"not planned: {selection.target} on {selection.platform}: {error.message}"] = None
            continue
        found |= {step.content_id for plan in plans for step in plan.layers}
    for line in lines:
        context.talk.say(line, style="dim")
    return frozenset(found)


def _selections(context: Context) -> Iterator[Selection]:
    """Every selection that a command line could make of the definitions here."""
    layers = [entry.definition for entry in context.catalog.layers()]
    sides = [layer.name for layer in layers if layer.level == "side"]
    per_arch = any(layer.per_arch for layer in layers)
    for target in (entry.definition for entry in context.catalog.targets()):
        archs = target.arch.choices if target.arch is not None and per_arch else (None,)
        for platform, arch in product(target.platforms, archs):
            one = Selection(target=target.name, platform=platform, arch=arch)
            for source, side in product(_base_sources(context, one), ("", *sides)):
                yield replace(one, base_source=source, side=side)


def _base_sources(context: Context, selection: Selection) -> tuple[str, ...]:
    """The base sources that can be asked for, the default first; an unlocked base has no option and is the default."""
    try:
        bases = context.bases(selection)
    except MlorchError:
        return ("",)
    return tuple(dict.fromkeys(["", *(base.option for base in bases if not base.unlocked)]))
