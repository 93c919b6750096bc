"""What a cell's result depends on, the key made of it, and what changed between two of them; pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.campaigns.expand import CampaignCell  # noqa: TC001 (a field)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEME = 1
"""The version of what is hashed. A change of it makes every cell a new one, so it is part of the key."""
_ABOUT = {
    "program": "the program in the image: harness, framework, base or their locks",
    "workload": "what the recipe says of model, data or harness",
    "goals": "the accuracy to reach",
    "container": "what the container is given",
}
"""Inputs whose hash says nothing to a person, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """A cell with all that decides its result, by name: what others have too, its own, and the hash of both.

    ``obstacle`` says why it cannot be run on this host (a message and a slug); it has no key then.
    """

    cell: CampaignCell
    key: str = ""
    shared: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    obstacle: str = ""

    @property
    def inputs(self) -> dict[str, str]:
        """All of it."""
        return {**self.shared, **self.own}

    @property
    def folder(self) -> str:
        """The name of its folder: readable, and another one for another key."""
        parts = (self.cell.value("benchmark"), self.cell.value("scenario"), self.cell.mode, self.key[:16])
        return "-".join(part.lower() for part in parts if part)


def key_of(shared: str, own: Mapping[str, str]) -> str:
    """The key of a cell: a sha256 over the `digest` of what it shares with others and its own named inputs."""
    form = [SCHEME, shared, sorted(own.items())]
    return hashlib.sha256(json.dumps(form, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


def digest(value: object) -> str:
    """16 hex digits of a plain value of JSON: enough to tell two inputs apart."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(was: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What changed between the inputs of two keys, in words."""
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return tuple(_difference(name, was.get(name), now.get(name)) for name in sorted(names))


def _difference(name: str, was: str | None, now: str | None) -> str:
    if name in _ABOUT:
        return f"{_ABOUT[name]} changed"
    if was is None:
        return f"{name} is {now}, and was not said"
    if now is None:
        return f"{name} was {was}, and is not said"
    return f"{name} was {was}, is {now}"


def common(groups: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """How many cells have the same changes, in the order of their first."""
    found: dict[tuple[str, ...], int] = {}
    for changes in groups:
        found[changes] = found.get(changes, 0) + 1
    return found
