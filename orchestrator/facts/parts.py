"""What processors and accelerators are, and can do at most: figures, found by names. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = re.compile(r"[a-z0-9]+")
_OWN_CORES = re.compile(r"\b([0-9]{1,4})-core\b", re.IGNORECASE)


class AcceleratorPart(NamedTuple):
    """An accelerator; None where nothing is known."""

    words: tuple[str, ...]
    """All of them are in its name."""
    watts: float | None
    tops: float | None
    source: str


class ModelWork(NamedTuple):
    """What a model needs at least."""

    unit: str
    operations: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownParts:
    """All that is known of parts."""

    processors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By the maker and by the word that tells them apart, the cores of one."""
    accelerators: tuple[AcceleratorPart, ...] = ()
    work: Mapping[str, ModelWork] = field(default_factory=dict)

    def cores_of(self, name: str) -> int | None:
        """The cores of the processor that a name is of; None where it is not known, or the name is of several."""
        own = {int(number) for number in _OWN_CORES.findall(name)}
        words = set(words_of(name))
        known = {
            cores
            for maker, processors in self.processors.items()
            for word, cores in processors.items()
            if {maker, word} <= words
        }
        found = own or known
        return found.pop() if len(found) == 1 else None

    def accelerator_of(self, name: str) -> AcceleratorPart | None:
        """The accelerator that a name is of; None where it is not known, or the name is of several.

        A variant with a word more (`H200-SXM-141GB-CTS`) is not what it is a variant of.
        """
        words = set(words_of(name))
        found = [part for part in self.accelerators if words.issuperset(part.words)]
        closest = max(found, key=lambda part: len(part.words), default=None)
        if closest is None or not all(set(closest.words).issuperset(part.words) for part in found):
            return None
        return closest


def words_of(name: str) -> list[str]:
    """The runs of letters and digits of a name, in lower case: `H100-SXM-80GB` is `h100`, `sxm`, `80gb`."""
    return _WORD.findall(name.casefold())
