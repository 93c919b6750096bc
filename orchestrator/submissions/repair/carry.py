"""A planned repair carried out: every step recorded when it is done, and everything kept that it takes away.

The tree may be anybody's: every place is opened from the tree's folder without following a link.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import neutral
from orchestrator.host.file_lock import locked_if_free
from orchestrator.host.files import atomic_write_text
from orchestrator.host.untrusted import (
    LARGEST_HASHED,
    UnreadableFile,
    folder_below,
    hash_file,
    opened,
    read_bytes,
    read_object,
    read_text,
)
from orchestrator.submissions.accuracy_log import KEPT, truncated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.submissions.repair.plan import Step

RECORD = "repair.json"
"""What was planned, and at the end what was done."""
DONE = "done.jsonl"
"""What was done, a line a step: a repair that is killed leaves it."""
_LARGEST_TEXT = 4 << 20
_INDENT = re.compile(r"\{\r?\n([ \t]+)\"")


def carry_out(steps: Sequence[Step], tree: Path, kept: Path, about: Mapping[str, Any]) -> None:
    """Carry out steps in their order; ``kept`` is a new folder for what is taken away, and for the record.

    Raises `StepFailed`: [repair], a place
    that is not what it was when it was planned; `WriteFailed`.
    """
    with locked_if_free(tree.parent / f".{tree.name}.lock") as free:
        if not free:
            raise StepFailed(f"another command writes {tree} now", hint="wait until it is done", slug="repair")
        kept.mkdir(parents=True)
        done: list[dict[str, Any]] = []
        planned = [step.document() for step in steps]
        _record(kept, {**about, "status": "running", "planned": planned})
        with (kept / DONE).open("x", encoding="utf-8") as log:
            for step in steps:
                try:
                    done.append({**step.document(), **_carry(step, tree, kept)})
                except (OSError, UnreadableFile) as error:
                    _record(kept, {**about, "status": "failed", "planned": planned, "done": done})
                    raise _failed(step, error, len(done), len(steps), kept) from None
                log.write(json.dumps(done[-1]) + "\n")
                log.flush()
        _record(kept, {**about, "status": "done", "planned": planned, "done": done})


def _record(kept: Path, document: Mapping[str, Any]) -> None:
    atomic_write_text(kept / RECORD, json.dumps(document, indent=2) + "\n", overwrite=True)


def _failed(step: Step, error: OSError | UnreadableFile, done: int, steps: int, kept: Path) -> StepFailed:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StepFailed(
        f"{neutral(step.path)}: {step.kind}: {why}",
        hint=f"{done} of {steps} steps are done, and recorded in {kept / RECORD}; what is left can be repaired again",
        slug="repair",
    )


def _carry(step: Step, tree: Path, kept: Path) -> dict[str, Any]:
    """Carry out one step; what the record says of it besides."""
    *parents, name = step.path.split("/")
    if step.kind == "map-model":
        return _map_model(step, tree, kept)
    with folder_below(tree, parents) as held:
        if step.kind == "remove-folder":
            os.rmdir(name, dir_fd=held)  # which fails where something came into it
            return {}
        if step.kind == "set-aside":
            target = _place(kept, step.path)
            os.rename(name, target, src_dir_fd=held)
            return {"kept": str(target.relative_to(kept))}
        if step.kind == "hash":
            return _write_hash(step, tree, kept, held)
        if step.kind == "add-fields":
            return _add_fields(step, tree, kept, held)
        return _truncate(step, tree, kept, held)


def _place(kept: Path, path: str) -> Path:
    place = kept / "files" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write_hash(step: Step, tree: Path, kept: Path, held: int) -> dict[str, Any]:
    before = read_bytes(tree, step.path, _LARGEST_TEXT)
    return _replace(step, tree, kept, held, before + f"\nhash={step.value}\n".encode())


def _add_fields(step: Step, tree: Path, kept: Path, held: int) -> dict[str, Any]:
    """Add empty fields to a JSON object, which keeps its order and its indentation."""
    document = read_object(tree, step.path, _LARGEST_TEXT)
    indent = _INDENT.search(read_text(tree, step.path, _LARGEST_TEXT))
    added = dict.fromkeys(step.value.split(","), "")
    text = json.dumps({**document, **added}, indent=indent[1] if indent else 2, ensure_ascii=False)
    return _replace(step, tree, kept, held, f"{text}\n".encode())


def _truncate(step: Step, tree: Path, kept: Path, held: int) -> dict[str, Any]:
    with opened(tree, step.path, LARGEST_HASHED) as stream:
        size = os.fstat(stream.fileno()).st_size
        data, sha256 = truncated(stream)
    if sha256 != step.value or size <= 2 * KEPT:
        raise UnreadableFile(tree, step.path, "is not what it was when the repair was planned")
    return _replace(step, tree, kept, held, data)


def _replace(step: Step, tree: Path, kept: Path, held: int, data: bytes) -> dict[str, Any]:
    """Put other bytes in the place of a file, which is kept; the new ones take its place when they are whole."""
    name = step.path.rpartition("/")[2]
    before, _ = hash_file(tree, step.path)
    target = _place(kept, step.path)
    mode = os.stat(name, dir_fd=held, follow_symlinks=False).st_mode & 0o777
    if not target.exists():  # else an earlier step changed it already, and what it was before that is kept
        try:
            os.link(name, target, src_dir_fd=held, follow_symlinks=False)
        except OSError:  # a file system without links
            with opened(tree, step.path) as stream, target.open("xb") as copy:
                shutil.copyfileobj(stream, copy)
    _put(held, name, data, mode)
    after = hashlib.sha256(data).hexdigest()
    return {"kept": str(target.relative_to(kept)), "sha256_before": before, "sha256_after": after}


def _put(held: int, name: str, data: bytes, mode: int) -> None:
    """Write a file of an open folder, whole or not at all."""
    temporary = f".{name}.{os.getpid()}.{time.monotonic_ns():x}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=held)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=held, dst_dir_fd=held)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=held)
        raise


def _map_model(step: Step, tree: Path, kept: Path) -> dict[str, Any]:
    """Add a name to a submitter's mapping; ``path`` is the folder of the model's results."""
    division, submitter, *_, name = step.path.split("/")
    mapping = f"{division}/{submitter}/model_mapping.json"
    there: dict[str, object] | None = None
    try:
        there = read_object(tree, mapping)
    except UnreadableFile as error:
        if not error.missing:
            raise
    text = json.dumps({**(there or {}), name: step.value}, indent=2) + "\n"
    with folder_below(tree, (division, submitter)) as held:
        if there is not None:
            return _replace(step._replace(path=mapping), tree, kept, held, text.encode())
        _put(held, "model_mapping.json", text.encode(), 0o644)
    return {"sha256_after": hashlib.sha256(text.encode()).hexdigest()}
