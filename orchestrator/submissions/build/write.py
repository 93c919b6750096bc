"""A planned tree written: beside its place first, then each result moved into it whole.

A result counts from the moment that its folder of logs is there, which comes last; of one that is replaced it goes
first. So a build that is killed leaves results whole or absent, and the next one writes those that lack. What killed
builds left beside the tree is removed by the next. The tree may be anybody's: no link in it is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import neutral
from orchestrator.host.file_lock import locked_if_free
from orchestrator.host.files import write_failure
from orchestrator.host.scratch import scratch_folder
from orchestrator.host.untrusted import (
    LARGEST_HASHED,
    UnreadableFile,
    names_below,
    opened,
    read_bytes,
    read_object,
    read_text,
    require_dense,
)
from orchestrator.submissions.accuracy_log import KEPT, truncated
from orchestrator.submissions.build.layout import MODEL_MAPPING
from orchestrator.submissions.build.plan import json_text
from orchestrator.submissions.build.readme import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

    from orchestrator.submissions.build.plan import Copy, ResultPlan, TreePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a build did to a tree; ``unchanged`` are results that were there, byte for byte, and were not touched.

    ``kept`` are systems whose file in the tree says something else, with the fields.
    """

    added: int
    replaced: int
    unchanged: int = 0
    kept: tuple[tuple[str, tuple[str, ...]], ...] = ()


def write_tree(plan: TreePlan, tree: Path, *, renew_systems: bool = False) -> Written:
    """Write what is planned into ``tree``; what else is there stays as it is.

    A system that the tree has already keeps its file, which may have been changed by hand, unless ``renew_systems``.
    Raises `StepFailed`: [submission-tree] for a place that a link or somebody else's result has, [changed-run] for a
    log that is not the one of its record; `WriteFailed`.
    """
    tree = tree.resolve()
    parent = tree.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with (
            locked_if_free(parent / f".{tree.name}.lock") as free,
            scratch_folder(parent, f".{tree.name}.build-") as scratch,
        ):
            if not free:
                raise StepFailed(
                    f"another build writes {tree} now", hint="wait until it is done", slug="submission-tree"
                )
            return _written(plan, tree, scratch, renew_systems=renew_systems)
    except OSError as error:
        if isinstance(error, StepFailed):
            raise
        raise write_failure(tree, error) from error


def _written(plan: TreePlan, tree: Path, scratch: Path, *, renew_systems: bool) -> Written:
    there = {one.place for one in plan.results if _is_there(plan, tree, one)}
    systems, kept = _systems(plan, tree, renew=renew_systems)
    texts = {**_shared(plan, tree), **systems, **_mapping(plan, tree)}
    new = scratch / "tree"
    for path, text in texts.items():
        _write(new / plan.root / path, text.encode())
    changed = []
    for result in plan.results:
        files = _made(result)
        if result.place not in there or not _is_same(tree / plan.root, result, files):
            changed.append(result)
            for path, data in files.items():
                _write(new / plan.root / path, data)
    added, unchanged = len(plan.results) - len(there), len(plan.results) - len(changed)
    written = Written(added=added, replaced=len(changed) - added, unchanged=unchanged, kept=kept)
    if not any(_entries(tree)):
        with contextlib.suppress(FileNotFoundError):
            tree.rmdir()
        new.rename(tree)
        return written
    for path in texts:
        target = _below(tree, f"{plan.root}/{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        (new / plan.root / path).replace(target)
    for number, result in enumerate(changed):
        _move(result, plan, new, tree, scratch / f"old-{number}")
    return written


def _entries(tree: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(tree) as found:
            return list(found)
    except FileNotFoundError:
        return []


# -- files ---------------------------------------------------------------------------------


def _made(result: ResultPlan) -> dict[str, bytes]:
    """The files of a result as they stand in the tree, by path; raises as `_copied`."""
    texts = {path: text.encode() for path, text in result.texts.items()}
    return texts | {path: _copied(copy) for path, copy in result.copies.items()}


def _is_same(root: Path, result: ResultPlan, files: Mapping[str, bytes]) -> bool:
    """Whether the tree has exactly these files of a result already."""
    try:
        there = {f"{unit}/{name}" for unit in result.units for name in names_below(root / unit)}
        return there == files.keys() and all(read_bytes(root, path, len(data)) == data for path, data in files.items())
    except (OSError, UnreadableFile):
        return False


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _copied(copy: Copy) -> bytes:
    """A log as it stands in the tree; raises `StepFailed` where it is not what its record says."""
    try:
        with opened(copy.folder, copy.name, min(copy.known.size, LARGEST_HASHED)) as stream:
            require_dense(stream, copy.folder, copy.name)
            data, sha256 = truncated(stream) if copy.cut and copy.known.size >= KEPT else _whole(stream)
    except UnreadableFile as error:
        raise _changed(copy, error.reason) from None
    if sha256 != copy.known.sha256:
        raise _changed(copy, "is not what the record of its run says")
    return data


def _whole(stream: BinaryIO) -> tuple[bytes, str]:
    data = stream.read()
    return data, hashlib.sha256(data).hexdigest()


def _changed(copy: Copy, why: str) -> StepFailed:
    return StepFailed(
        f"{neutral(str(copy.folder / copy.name))} {why}",
        hint="`mlorch results verify` tells what was changed; nothing was written to the tree",
        slug="changed-run",
    )


# -- what is there -------------------------------------------------------------------------


def _below(tree: Path, path: str) -> Path:
    """A place in the tree, in folders that are none of anybody's links; raises `StepFailed` [submission-tree]."""
    at = tree
    for part in path.split("/"):
        at /= part
        try:
            mode = at.lstat().st_mode
        except FileNotFoundError:
            break
        if stat.S_ISLNK(mode) or (at != tree / path and not stat.S_ISDIR(mode)):
            raise _in_the_way(at, "is a link, or no folder")
    return tree / path


def _in_the_way(path: Path, why: str) -> StepFailed:
    hint = "move it away, or build into another folder"
    return StepFailed(f"{neutral(str(path))} {why}", hint=hint, slug="submission-tree")


def _is_there(plan: TreePlan, tree: Path, result: ResultPlan) -> bool:
    """Whether the tree has this result, or a part of it; raises `StepFailed` where that is not mlorch's."""
    places = [_below(tree, f"{plan.root}/{unit}") for unit in result.units]
    if not any(os.path.lexists(place) for place in places):
        return False
    readme = _read(tree, f"{plan.root}/{result.units[0]}/README.md")
    if os.path.lexists(places[0]) and not readme.startswith(MARK):
        raise _in_the_way(places[0], "has a result that mlorch did not make")
    if not os.path.lexists(places[0]) and places[-1].is_dir():
        raise _in_the_way(places[-1], "has a result that mlorch did not make")
    return True


def _read(tree: Path, path: str) -> str:
    """A text of the tree; empty where there is none."""
    try:
        return read_text(tree, path, errors="replace")
    except UnreadableFile:
        return ""


def _shared(plan: TreePlan, tree: Path) -> dict[str, str]:
    """The texts that results share, without those in whose place somebody wrote a text of their own."""
    texts = {}
    for path, text in plan.texts.items():
        there = _below(tree, f"{plan.root}/{path}")
        if not os.path.lexists(there) or _read(tree, f"{plan.root}/{path}").startswith(MARK):
            texts[path] = text
    return texts


def _systems(
    plan: TreePlan, tree: Path, *, renew: bool
) -> tuple[dict[str, str], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The systems' files that are written, and those that stay though they say something else."""
    texts, kept = {}, []
    for path, document in plan.systems.items():
        _below(tree, f"{plan.root}/{path}")
        try:
            there = read_object(tree, f"{plan.root}/{path}")
        except UnreadableFile as error:
            if not error.missing and not renew:
                raise _in_the_way(tree / plan.root / path, error.reason) from None
            there = None
        if there is None or renew:
            texts[path] = json_text(document)
            continue
        different = tuple(sorted(key for key in there.keys() | document.keys() if there.get(key) != document.get(key)))
        if different:
            kept.append((path, different))
    return texts, tuple(kept)


def _mapping(plan: TreePlan, tree: Path) -> dict[str, str]:
    """The mapping of models: what the tree has, and what is new."""
    if not plan.mapping:
        return {}
    path = f"{plan.root}/{MODEL_MAPPING}"
    _below(tree, path)
    try:
        there = read_object(tree, path)
    except UnreadableFile as error:
        if not error.missing:
            raise _in_the_way(tree / path, error.reason) from None
        there = {}
    return {MODEL_MAPPING: json_text({**there, **plan.mapping})}


def _move(result: ResultPlan, plan: TreePlan, new: Path, tree: Path, old: Path) -> None:
    """Put one result in place: what was there goes, the logs first; what is new comes, the logs last."""
    places = [_below(tree, f"{plan.root}/{unit}") for unit in result.units]
    for number, place in enumerate(reversed(places)):
        if os.path.lexists(place):
            old.mkdir(exist_ok=True)
            place.rename(old / str(number))
    for unit, place in zip(result.units, places, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        (new / plan.root / unit).rename(place)
    shutil.rmtree(old, ignore_errors=True)
