"""What all recipes of kind `parts` say together. Pure over the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.parts import AcceleratorPart, KnownParts, ModelWork

if TYPE_CHECKING:
    from orchestrator.definitions.catalog.entries import Catalog


def known_parts(catalog: Catalog) -> KnownParts:
    """The figures of all parts that are defined; of two of the same words, models or name the later one counts."""
    processors: dict[str, dict[str, int]] = {}
    accelerators: dict[frozenset[str], AcceleratorPart] = {}
    work: dict[str, ModelWork] = {}
    for entry in catalog.parts():
        for group in entry.definition.processors:
            named = {name.casefold(): cores for name, cores in group.cores.items()}
            processors[group.maker] = processors.get(group.maker, {}) | named
        for each in entry.definition.accelerators:
            words = frozenset(each.words)
            accelerators[words] = AcceleratorPart(tuple(each.words), each.watts, each.tops, each.source)
        for needed in entry.definition.work:
            said = ModelWork(needed.unit, needed.operations, needed.source)
            work |= dict.fromkeys(needed.models, said)
    return KnownParts(processors=processors, accelerators=tuple(accelerators.values()), work=work)
