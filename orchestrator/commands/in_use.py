"""Which content ids the current definitions have: of every target, platform, base source and side image."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.commands.wiring import Workbench
    from orchestrator.compiled import Selection
    from orchestrator.console import Console


def current_ids(bench: Workbench, console: Console, *, sure_of: str = "") -> frozenset[str]:
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
    for selection in _selections(bench):
        try:
            found |= {step.content_id for plan in bench.plans(selection).plans for step in plan.layers}
        except MlorchError as error:
            if isinstance(error, DefinitionError) and selection.platform == sure_of:
                raise
            said[f"not planned: {selection.target} on {selection.platform}: {error.message}"] = None
    for line in said:
        console.say(line, style="dim")
    return frozenset(found)


def _selections(bench: Workbench) -> Iterator[Selection]:
    from dataclasses import replace
    from itertools import product

    from orchestrator.compiled import Selection
    from orchestrator.errors import MlorchError
    from orchestrator.model.definitions import Layer, Target

    sides = [
        entry.definition.name
        for entry in bench.catalog.entries("layer")
        if isinstance(entry.definition, Layer) and entry.definition.level == "side"
    ]
    layers = [entry.definition for entry in bench.catalog.entries("layer")]
    per_arch = any(isinstance(layer, Layer) and layer.per_arch for layer in layers)
    for entry in bench.catalog.entries("target"):
        if not isinstance(entry.definition, Target):
            continue
        axis = entry.definition.arch
        archs = axis.choices if axis is not None and per_arch else (None,)
        for platform, arch in product(entry.definition.platforms, archs):
            one = Selection(target=entry.definition.name, platform=platform, arch=arch)
            try:
                # An unlocked base has no wish that a command line could name; it is planned as the default.
                wishes = [base.wish for base in bench.bases(one) if not base.unlocked]
            except MlorchError:
                wishes = [""]
            for wish in dict.fromkeys(("", *wishes)):
                yield replace(one, base_source=wish)
                yield from (replace(one, base_source=wish, side=side) for side in sides)
