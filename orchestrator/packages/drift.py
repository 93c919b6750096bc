"""Where a lock and what there is now differ: entry by entry, each a fault at its line of the lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from orchestrator.definitions.kinds.lock import LayerLock, PlatformLock
    from orchestrator.definitions.yaml import Document
    from orchestrator.errors import Span

_KINDS = {"bases": "base", "git": "repository", "debs": "package", "wheels": "distribution", "sdists": "source"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One pin that moved: ``was`` is what the lock says, ``now`` what there is; None where it has no such pin."""

    layer: str
    platform: str
    section: str
    """``bases``, ``git``, ``debs``, ``wheels`` or ``sdists``"""
    name: str
    was: str | None
    now: str | None

    def document(self) -> dict[str, str | None]:
        """An element of ``changes`` in the JSON of `images lock`."""
        return {"platform": self.platform, "name": self.name, "was": self.was, "is": self.now}


def changes(old: LayerLock | None, new: LayerLock) -> tuple[Change, ...]:
    """Every pin in which two locks of a layer differ, by platform and name."""
    was, now = _pins(old), _pins(new)
    return tuple(
        Change(layer=new.layer, platform=key[0], section=key[1], name=key[2], was=was.get(key), now=now.get(key))
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    )


def _pins(lock: LayerLock | None) -> dict[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for platform, pins in (lock.platforms if lock is not None else {}).items():
        found |= {(platform, section, name): value for section, _, name, value in _entries(pins)}
    return found


def _entries(pins: PlatformLock) -> Iterator[tuple[str, int, str, str]]:
    """Section, index, name and value of every pin."""
    for index, base in enumerate(pins.bases):
        yield "bases", index, base.image, base.digest
    for index, tree in enumerate(pins.git):
        yield "git", index, f"{tree.url}@{tree.ref}", tree.commit
    for index, deb in enumerate(pins.debs):
        yield "debs", index, deb.name, deb.version
    for index, wheel in enumerate(pins.wheels):
        yield "wheels", index, wheel.name, wheel.version
    for index, sdist in enumerate(pins.sdists):
        yield "sdists", index, sdist.name, sdist.version


def drifted(found: Sequence[Change], path: Path | None, *, only: Collection[str] = ()) -> DefinitionError | None:
    """An error that names every change, each at its line of the lock at ``path``; None where nothing drifted.

    ``only`` are the sections that count, all where it is empty.
    """
    from orchestrator.definitions.yaml import read_document

    counted = [change for change in found if not only or change.section in only]
    if not counted:
        return None
    document = read_document(path) if path is not None else None
    return DefinitionError([_problem(change, document) for change in counted])


def _problem(change: Change, document: Document | None) -> Problem:
    what = f"layer `{change.layer}`, {change.platform}: {_KINDS[change.section]} `{change.name}`"
    if change.was is None:
        message = f"{what} is not in the lock; there is {change.now}"
    elif change.now is None:
        message = f"{what} was {change.was} and is gone"
    else:
        message = f"{what} was {change.was}, is {change.now}"
    name = change.name.rpartition("@")[0] if change.section == "git" else change.name
    moving = f" --update {name}" if change.was is not None and change.now is not None else ""
    hint = f"if that is meant: `mlorch images lock {change.layer}{moving} --no-locked`, and keep the new lock"
    if document is None:
        return Problem(slug="lock-drift", message=message, hint=hint)
    return document.problem("lock-drift", message, _span(change, document), hint)


def _span(change: Change, document: Document) -> Span:
    from orchestrator.definitions.kinds.lock import LayerLock
    from orchestrator.definitions.yaml import decode

    pins = decode(document, LayerLock).platforms.get(change.platform)
    for section, index, name, _ in _entries(pins) if pins is not None else ():
        if (section, name) == (change.section, change.name):
            return document.span(("platforms", change.platform, section, index))
    return document.span(("platforms", change.platform)) if pins is not None else document.span(("platforms",))
