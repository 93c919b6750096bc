"""The folder that a container finds at `/artifacts`: lent for a run, checked before it, its files noted after it.

Beside each folder, where no container can write, lies the list of its files with their hashes. What the
list does not have is thrown away before the next use: it was changed between runs, or left by a run that
did not end well. Two runs never share a folder: the second begins with an empty one of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.assets.trees import manifest_sha256
from orchestrator.facts.containers import ARTIFACTS
from orchestrator.facts.neutral import neutral
from orchestrator.facts.record import ArtifactsFact
from orchestrator.host.file_lock import locked_if_free
from orchestrator.host.files import atomic_write_text
from orchestrator.host.folders import LENT, lent_marks
from orchestrator.host.left_behind import take_back, take_over
from orchestrator.host.untrusted import UnreadableFile, hash_file, read_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.facts.containers import ContainerSpec

_LARGEST_LIST = 64 * 2**20
_MOST_NAMED = 200
"""Files of an artefact that a record names; its hash is of all."""


@dataclass(slots=True, kw_only=True)
class LentArtifacts:
    """``container`` has the folder as its mount; with ``keep`` set what is in it at the end is noted as good."""

    container: ContainerSpec
    warnings: tuple[str, ...] = ()
    keep: bool = False
    found: ArtifactsFact | None = None
    """What was in the folder at the start."""
    left: dict[str, str] = field(default_factory=dict)
    """What was done to things that no container may leave, by their path; known at the end."""


@contextmanager
def lent_artifacts(container: ContainerSpec, owner: str) -> Iterator[LentArtifacts]:
    """The container's folder of artefacts, its user's for as long as the block lasts, and ``owner``'s after it.

    Raises OSError where the folder cannot be made, or something in it not be thrown away.
    """
    folder = next((Path(mount.source) for mount in container.mounts if mount.target == ARTIFACTS), None)
    if folder is None:
        yield LentArtifacts(container=container)
        return
    with locked_if_free(_mark(folder)) as free:
        if free:
            yield from _for_a_run(LentArtifacts(container=container), folder, owner)
            return
    spare = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    mounts = tuple(replace(m, source=str(spare)) if m.target == ARTIFACTS else m for m in container.mounts)
    warning = "another run uses the artefacts of this test: this one begins without any"
    try:
        with locked_if_free(_mark(spare)):
            yield from _for_a_run(
                LentArtifacts(container=replace(container, mounts=mounts), warnings=(warning,)), spare, owner
            )
    finally:
        _remove(spare)


def _for_a_run(one: LentArtifacts, folder: Path, owner: str) -> Iterator[LentArtifacts]:
    warnings, known = _checked(folder, one.container.user)
    one.warnings += warnings
    first = dict(sorted(known.items())[:_MOST_NAMED])
    one.found = ArtifactsFact(count=len(known), sha256=manifest_sha256(known), files=first)
    try:
        yield one
    finally:
        one.left = {f"{ARTIFACTS}/{path}": what for path, what in take_back(folder, owner).items()}
        if one.keep:
            _note(folder)


def _remove(spare: Path) -> None:
    shutil.rmtree(spare, ignore_errors=True)
    _list(spare).unlink(missing_ok=True)


# -- the list of a folder's files ----------------------------------------------------------


def _checked(folder: Path, user: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Make the folder hold nothing but what its list has, and belong to ``user``.

    Gives a warning for each file that was thrown away, and the hashes of those that stay.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    take_over(folder, user)
    noted = _read_list(folder)
    known: dict[str, str] = {}
    thrown = []
    for path in _files(folder):
        sha256 = _hash(folder, path) if path in noted else None
        if sha256 is None or noted[path] != sha256:
            thrown.append(path)
            (folder / path).unlink(missing_ok=True)
        else:
            known[path] = sha256
    warnings = (f"artefact {neutral(path)} is not as the last run left it; thrown away" for path in thrown[:20])
    return tuple(warnings), known


def _note(folder: Path) -> None:
    files = {path: found for path in _files(folder) if (found := _hash(folder, path)) is not None}
    atomic_write_text(_list(folder), json.dumps({"version": 1, "files": files}, indent=1) + "\n", overwrite=True)


def _list(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _read_list(folder: Path) -> dict[str, object]:
    try:
        files = read_object(folder.parent, _list(folder).name, _LARGEST_LIST).get("files")
    except UnreadableFile:
        return {}
    return files if isinstance(files, dict) else {}


def _files(folder: Path) -> list[str]:
    """Everything below the folder that is not a folder, by its path; links to folders are not entered."""
    found: list[str] = []
    for path, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(path) / name).is_symlink()]
        found += [os.path.relpath(Path(path) / name, folder) for name in (*files, *links)]
    return sorted(found)


def _hash(folder: Path, path: str) -> str | None:
    """None for what is no regular file of plain name: such a thing is never noted as good."""
    if neutral(path) != path:
        return None
    try:
        return hash_file(folder, path)[0]
    except UnreadableFile:
        return None


def sweep_artifacts(root: Path, owner: str) -> None:
    """Take back the folders whose runs were killed; those of runs that live are left alone."""
    for mark in lent_marks(root):
        image, _, step = mark.name.partition("+")
        folder = root / image / step
        with locked_if_free(mark) as free:
            if not free:
                continue
            take_back(folder, owner)
            if step.startswith("."):
                _remove(folder)


def sizes_of_artifacts(root: Path) -> dict[str, int]:
    """Bytes of the artefacts of each image by its content id, the lists of their files among them."""
    found: dict[str, int] = {}
    for folder in root.glob("[!.]*"):
        with suppress(OSError):  # a run may take some away meanwhile
            found[folder.name] = sum((folder / path).lstat().st_size for path in _files(folder))
    return found


def remove_artifacts(root: Path, content_id: str) -> bool:
    """Throw away the artefacts of an image; False where a run that lives has some of them, which then stay."""
    folder = root / content_id
    for path in [path for path in folder.iterdir() if path.is_dir()]:
        with locked_if_free(_mark(path)) as free:
            if free:
                _remove(path)
    with suppress(OSError):  # not empty: a run has a folder in it
        folder.rmdir()
    return not folder.exists()


def _mark(folder: Path) -> Path:
    """The mark of a folder that is lent; its parent is made."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    marks = folder.parent.parent / LENT
    marks.mkdir(mode=0o700, exist_ok=True)
    return marks / f"{folder.parent.name}+{folder.name}"
