"""What lies in a store that nobody needs: trees of recipes that are gone, their downloads, what was cut short."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.assets.store import read_downloads, read_recipes
from orchestrator.assets.use import free, unused
from orchestrator.errors import NoLocksError
from orchestrator.host.left_behind import discard
from orchestrator.packages.download import download_path

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that goes: what it is, where it lies, its bytes, why it goes."""

    what: str
    path: Path
    bytes: int
    why: str
    tree: bool = False
    """Whether it is a tree of the store, which a run may use."""
    lock: Path | None = None
    """The lock that whoever works on it holds."""
    also: tuple[Path, ...] = field(default=())
    """Files that go with it: its downloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What stays: the trees ``kind/NAME/KEY`` that recipes name, and all that belongs to other recipes than those.

    ``recipes`` are whose recipes were looked at (`store.recipes_label`).
    """

    trees: frozenset[str]
    recipes: frozenset[str]

    def is_unneeded(self, label: str, path: Path) -> bool:
        """Whether nobody names a tree any more: its recipes were looked at, or are gone."""
        if label in self.trees:
            return False
        recipes = read_recipes(path)
        return recipes in self.recipes or (recipes.startswith("/") and not Path(recipes).is_dir())


def leftovers(root: Path, needed: Needed | None, *, before: float | None = None) -> Iterator[Leftover]:
    """What goes below the store ``root``: what is not ``needed``, or everything where that is None.

    With ``before`` only what was last changed or used before that time, in seconds since 1970.
    """
    for one in (*_trees(root, needed), *_parts(root), *_aside(root)):
        if before is None or _last_used(one.path) < before:
            yield one


def remove_unfinished(root: Path) -> None:
    """Remove the folders that killed processes were filling, below ``root/NAME/``; those of live ones stay.

    Call it when no container of a killed one is left: it would go on writing into nowhere.
    """
    for unfinished in sorted(root.glob("*/.*.new")):
        key = unfinished.name.split(".")[1]
        with contextlib.suppress(OSError, NoLocksError), free(unfinished.with_name(f"{key}.lock")) as ours:
            if ours:
                discard(unfinished)


def remove(one: Leftover, *, dry_run: bool = False) -> str:
    """Remove it; why it stays where it does. With ``dry_run`` only the reason is found."""
    if one.tree:
        with unused(one.path) as ours:
            if not ours:
                return "a run uses it"
            return _remove_locked(one, dry_run=dry_run)
    return _remove_locked(one, dry_run=dry_run)


def _remove_locked(one: Leftover, *, dry_run: bool) -> str:
    if one.lock is None:
        return _gone(one, dry_run=dry_run)
    with free(one.lock) as ours:
        return _gone(one, dry_run=dry_run) if ours else "another mlorch works on it"


def _gone(one: Leftover, *, dry_run: bool) -> str:
    if dry_run:
        return ""
    try:
        if one.tree:
            # Out of sight first: a tree that is half removed is one that nobody finds.
            doomed = one.path.with_name(f".{one.path.name}.gone")
            shutil.rmtree(doomed, ignore_errors=True)
            one.path.replace(doomed)
            shutil.rmtree(doomed)
        elif one.path.is_dir():
            shutil.rmtree(one.path)
        else:
            one.path.unlink(missing_ok=True)
        for path in one.also:
            path.unlink(missing_ok=True)
    except OSError as error:
        return f"it cannot be removed: {error.strerror}"
    return ""


def _trees(root: Path, needed: Needed | None) -> Iterator[Leftover]:
    going: list[Path] = []
    staying: list[Path] = []
    for path in sorted((root / "assets").glob("*/*/*")):
        label = "/".join(path.parts[-3:])
        if path.name.startswith(".") and path.is_dir():
            lock = path.with_name(f"{path.name.split('.')[1]}.lock")
            yield Leftover(what=f"unfinished {label}", path=path, bytes=_size(path), why="it was cut short", lock=lock)
        elif path.is_dir():
            goes = needed is None or needed.is_unneeded(label, path)
            (going if goes else staying).append(path)
    wanted = {file.name for path in staying for file in _downloads(root, path)}
    for path in going:
        downloads = tuple(file for file in _downloads(root, path) if file.name not in wanted)
        yield Leftover(
            what="/".join(path.parts[-3:]),
            path=path,
            bytes=_size(path, *downloads),
            why="everything goes" if needed is None else "no recipe names it any more",
            tree=True,
            lock=path.with_name(f"{path.name}.lock"),
            also=downloads,
        )


def _parts(root: Path) -> Iterator[Leftover]:
    """Downloads that were cut short; who goes on with one holds its lock."""
    for path in sorted((root / "downloads").glob("*/*.part")):
        note = path.with_suffix(".json")
        yield Leftover(
            what=f"unfinished download {path.stem[:16]}",
            path=path,
            bytes=_size(path),
            why="it was cut short",
            lock=path.with_suffix(".lock"),
            also=(note,),
        )


def _aside(root: Path) -> Iterator[Leftover]:
    folder = root / "quarantine"
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        yield Leftover(what=f"wrong {path.name}", path=path, bytes=_size(path), why="it was moved aside as wrong")


def _downloads(root: Path, tree: Path) -> list[Path]:
    """The downloads that a tree says it was made of, as far as they are here."""
    paths = [download_path(root, sha256) for sha256 in read_downloads(tree)]
    return [path for path in paths if path.is_file()]


def _last_used(path: Path) -> float:
    """When it was last changed, or last held by a run."""
    mark = path.with_name(f"{path.name}.used")
    return max(one.stat().st_mtime for one in (path, mark) if one.exists())


def _size(*paths: Path) -> int:
    """Bytes on disk of files and folders, those that several names share counted once."""
    seen: dict[tuple[int, int], int] = {}
    for path in paths:
        for at in [path] if path.is_file() else _files(path):
            facts = os.lstat(at)
            seen[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(seen.values())


def _files(folder: Path) -> Iterator[str]:
    for held, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(held, name)  # noqa: PTH118 (a data set has a hundred thousand of them)
