"""Which content ids the current definitions have: of every target, platform, base source and side image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection
    from orchestrator.operations.progress import Talk


def current_ids(context: Context, talk: Talk, *, sure_of: str = "") -> frozenset[str]:
    """The content ids of every plan that can be made of the definitions here.

    A selection that cannot be planned (no lock for its platform, say) needs no image, and is
    said where a person looks, once. On the platform ``sure_of`` it is an error: an unreadable
    lock would make every image above it look unneeded.

    Raises:
        DefinitionError: of a selection on ``sure_of``.
    """
    from orchestrator.errors import DefinitionError, MlorchError

    found: set[str] = set()
    said: dict[str, None] = {}
    for selection in _selections(context):
        try:
            found |= {step.content_id for plan in context.plans(selection).plans for step in plan.layers}
        except MlorchError as error:
            if isinstance(error, DefinitionError) and selection.platform == sure_of:
                raise
            said[f"not planned: {selection.target} on {selection.platform}: {error.message}"] = None
    for line in said:
        talk.say(line, style="dim")
    return frozenset(found)


def _selections(context: Context) -> Iterator[Selection]:
    from dataclasses import replace
    from itertools import product

    from orchestrator.errors import MlorchError
    from orchestrator.operations.kept_plans import Selection

    layers = [entry.definition for entry in context.catalog.layers()]
    sides = [layer.name for layer in layers if layer.level == "side"]
    per_arch = any(layer.per_arch for layer in layers)
    for entry in context.catalog.targets():
        axis = entry.definition.arch
        archs = axis.choices if axis is not None and per_arch else (None,)
        for platform, arch in product(entry.definition.platforms, archs):
            one = Selection(target=entry.definition.name, platform=platform, arch=arch)
            try:
                # An unlocked base has no option that a command line could name; it is planned as the default.
                sources = [base.option for base in context.bases(one) if not base.unlocked]
            except MlorchError:
                sources = [""]
            for source in dict.fromkeys(("", *sources)):
                yield replace(one, base_source=source)
                yield from (replace(one, base_source=source, side=side) for side in sides)
