"""Lays out the build context of a layer: the same bytes, modes and times on every machine."""

from __future__ import annotations

import hashlib
import os
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.host.files import sha256_file
from orchestrator.host.scratch import scratch_folder
from orchestrator.plan.build.content import CONTENT, CONTENT_TAR, EPOCH, file_mode
from orchestrator.plan.build.layers import PIP_WHEEL, SDISTS, TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.engines import BuildEvent
    from orchestrator.facts.build import ContextFile, LayerStep, SdistPin, TreePin

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the big parts of a context come from: functions, so that a plan needs no network."""

    rootfs: Callable[[LayerStep, Path, Callable[[BuildEvent], None]], None]
    """Write the root file system of a step's packages to a path."""
    pip: Callable[[LayerStep, Path], None]
    """Write the wheel of the step's pip to a path."""
    tree: Callable[[TreePin, Path], None]
    """Write the files of a commit to a path that is not there yet."""
    tools: Callable[[LayerStep, Path, Callable[[BuildEvent], None]], None]
    """Write the root file system of a step's compiler to a path."""
    sdist: Callable[[SdistPin, Path], None]
    """Write the source of a distribution to a path."""


@contextmanager
def laid_out(step: LayerStep, cache: Path, parts: Parts, on_event: Callable[[BuildEvent], None]) -> Iterator[Path]:
    """The build context of `step` in a folder of its own below `cache`, removed afterwards.

    Raises:
        AssetError: a package cannot be had.
        StepFailed: `context`, the disk is full or a copied file went away; `source-changed`, a file
            is another one than the plan read.
    """
    parent = cache / "contexts"
    try:
        with scratch_folder(parent, "") as folder:  # those of killed builds go first, whatever their layer
            lay_out(step, folder, parts, on_event)
            yield folder
    except OSError as error:
        raise StepFailed(
            f"the build context of `{step.name}` could not be laid out: {error}",
            hint=f"check space and rights of {parent}",
            slug="context",
        ) from error


def lay_out(step: LayerStep, folder: Path, parts: Parts, on_event: Callable[[BuildEvent], None]) -> None:
    """Write everything that a build of `step` reads into `folder`; what is there already is replaced.

    Raises:
        AssetError: a package cannot be had.
        StepFailed: `source-changed`, a file is another one than the plan read.
        OSError: the disk is full, or a copied file went away.
    """
    (folder / "Dockerfile").write_text(step.dockerfile, encoding="utf-8")
    for file in step.files:
        _add_file(file, folder)
    for tree in step.trees:
        _tree(tree, folder, parts)
    if CONTENT_TAR in step.dockerfile:
        _write_content(folder / CONTENT, folder / CONTENT_TAR)
    _add_parts(step, folder, parts, on_event)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)  # whatever the umask of this process
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def _add_parts(step: LayerStep, folder: Path, parts: Parts, on_event: Callable[[BuildEvent], None]) -> None:
    """The parts that are fetched: packages, a compiler, sources to compile, pip."""
    if step.debs:
        parts.rootfs(step, folder / "rootfs.tar", on_event)
    if step.tools:
        parts.tools(step, folder / TOOLS, on_event)
    for sdist in step.sdists:
        path = folder / SDISTS / sdist.filename
        path.parent.mkdir(exist_ok=True)
        parts.sdist(sdist, path)
        if sha256_file(path) != sdist.sha256:
            raise _changed(f"{sdist.filename} in the cache")
    if step.pip is not None:
        parts.pip(step, folder / PIP_WHEEL)


def _tree(tree: TreePin, folder: Path, parts: Parts) -> None:
    """The files of a repository; a link that another one brought must not lead them out of the context."""
    target = folder / tree.path
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise StepFailed(f"`{tree.path}` of the build context lies behind a link that leads out", slug="context")
    target.parent.mkdir(parents=True, exist_ok=True)
    parts.tree(tree, target)


def _add_file(file: ContextFile, folder: Path) -> None:
    target = folder / file.path
    if file.path.endswith("/"):
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.text is not None:
        target.write_text(file.text, encoding="utf-8")
    else:
        _copy(file, target)
    target.chmod(file.mode)


def _copy(file: ContextFile, target: Path) -> None:
    """Copy a file whose bytes and mode have to be those that the content id was made of."""
    digest = hashlib.sha256()
    with open(file.source, "rb") as source, target.open("wb") as out:  # noqa: PTH123 (a text, as the plan has it)
        mode = file_mode(os.fstat(source.fileno()).st_mode)
        while block := source.read(_BLOCK):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != file.sha256 or mode != file.mode:
        raise _changed(file.source)


def _changed(what: str) -> StepFailed:
    return StepFailed(
        f"{what} changed after the build was planned",
        hint="run it again: the plan is made anew, with the file as it is now",
        slug="source-changed",
    )


def _write_content(content: Path, out: Path) -> None:
    """What lies below `content` as one tar: sorted, owned by root, of one time.

    An archive and not a folder to COPY, as the folders that COPY makes on the way have
    the time of the build, and a builder's cache does not look at times.
    """
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in _sorted(content):
            info = tarfile.TarInfo(path.relative_to(content).as_posix())
            info.mtime = EPOCH
            if path.is_symlink():
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, str(path.readlink())
                archive.addfile(info)
                continue
            if path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
                continue
            found = path.stat()
            info.size, info.mode = found.st_size, found.st_mode & 0o777
            with path.open("rb") as data:
                archive.addfile(info, data)


def _sorted(folder: Path) -> Iterator[Path]:
    """Everything below `folder`, folders before what they hold."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _sorted(path)
