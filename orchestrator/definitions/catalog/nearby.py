"""Recipes in the current folder that nobody named: an unknown name may be one of theirs."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.roots import is_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.definitions.catalog.roots import Root

USUAL = "recipes"
"""The folder that `mlorch recipes new` writes to."""
_MOST_FOLDERS, _MOST_FILES, _LARGEST = 40, 400, 2**16
"""That are looked at, and bytes of a file: this is a hint, and the folder may be anybody's home."""


def nearby(kind: str, name: str, roots: Sequence[Root], here: Path | None = None) -> str:
    """How `--recipes` would find a definition, in words; empty where nothing in ``here`` looks like it.

    ``here`` is the current folder where it is left out; folders among ``roots`` are known already.
    """
    here = here or Path()
    known = {path.resolve() for root in roots for path in (root.path, root.recipes)}
    usual = ""
    for folder in _folders(here):
        if folder.resolve() in known:
            continue
        shown = f"./{folder.relative_to(here)}" if folder != here else "."
        for text in _texts(folder, deep=folder != here):
            if not _says(text, "kind", kind):
                continue
            if _says(text, "name", name):
                return f"`{name}` is in {shown}: add `--recipes {shown}`"
            if folder.name == USUAL:
                usual = f"recipes in {shown} count with `--recipes {shown}`"
    return usual


def _folders(here: Path) -> list[Path]:
    """The usual one first, then the folder itself, then what lies in it."""
    try:
        with os.scandir(here) as found:
            names = sorted(one.name for one in found if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return []
    others = [here / name for name in names[:_MOST_FOLDERS] if name != USUAL]
    return [*([here / USUAL] if USUAL in names else []), here, *others]


def _texts(folder: Path, *, deep: bool) -> Iterator[str]:
    """The texts of a folder's recipes."""
    for path in islice(_files(folder, deep=deep), _MOST_FILES):
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST:
                yield path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def _files(folder: Path, *, deep: bool) -> Iterator[Path]:
    for count, (place, folders, names) in enumerate(os.walk(folder)):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if is_recipe(name))
        if count >= _MOST_FOLDERS:
            return


def _says(text: str, key: str, value: str) -> bool:
    """Whether a line of the text is ``key: value``, at its left edge."""
    return re.search(rf"""^{key}:[ \t]+["']?{re.escape(value)}["']?[ \t]*(#.*)?$""", text, re.MULTILINE) is not None
