"""Folders of definitions: what lies where in one, and how to stay inside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orchestrator
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 20_000
SETTINGS_NAME = "mlorch.yaml"
LOCK_SUFFIX = ".lock.yaml"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of definitions: `recipes/`, `dockerfiles/` and `images/`, or YAML files without order.

    ``origin`` is ``builtin``, ``path:DIR`` or ``git:URL@COMMIT``.
    """

    path: Path
    origin: str

    @property
    def recipes(self) -> Path:
        """Where its YAML files are."""
        ordered = self.path / "recipes"
        return ordered if ordered.is_dir() else self.path

    @property
    def dockerfiles(self) -> Path:
        """Where its templates are; may not exist."""
        return self.path / "dockerfiles"

    @property
    def images(self) -> Path:
        """Where its locks are; may not exist."""
        return self.path / "images"


def package_folder() -> Path:
    """The folder of the `orchestrator` package, which `builtin:PATH` is relative to."""
    return Path(str(orchestrator.__file__)).resolve().parent


def data_root() -> Path:
    """Where the built-in definitions are: in the package when installed, else the repository."""
    package = package_folder()
    shipped = package / "_data"
    return shipped if shipped.is_dir() else package.parent


def builtin_root() -> Root:
    """The definitions that come with mlorch."""
    return Root(path=data_root(), origin="builtin")


def definition_files(root: Root) -> Iterator[Path]:
    """The YAML files of a root in a fixed order; hidden files, locks, templates and settings are not recipes.

    Raises `UsageError` for a folder of more than 20,000 files: the wrong one, most likely.
    """
    seen = 0
    for folder, folders, files in os.walk(root.recipes):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        if here == root.path:
            folders[:] = [f for f in folders if f not in {"dockerfiles", "images"}]
        seen += len(files)
        if seen > MAX_FILES:
            raise UsageError(
                f"{root.path} holds more than {MAX_FILES} files",
                hint="give the folder of the recipes itself",
                slug="too-many-files",
            )
        for name in sorted(files):
            if is_recipe(name):
                yield here / name


def is_recipe(name: str) -> bool:
    """Whether a file of this name in a folder of recipes is one."""
    if name.startswith(".") or name == SETTINGS_NAME or name.endswith(LOCK_SUFFIX):
        return False
    return name.endswith((".yaml", ".yml"))


def inside(path: Path, tree: Path) -> Path | None:
    """The real path where it lies in `tree` (links followed), else None; `path` must exist."""
    real = path.resolve(strict=True)
    return real if real.is_relative_to(tree.resolve()) else None
