"""A model's file beside a recipe: read safely, hashed once.

Its hash is part of what a recipe means, so it is wanted whenever recipes are read. What was found is remembered in
the cache by the file's place, size, times and inode: of a file of gigabytes the next `plan` costs one stat.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import TYPE_CHECKING

from orchestrator.facts.codec import from_plain, to_plain
from orchestrator.facts.model_file import FileFacts, FileFault
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.files import atomic_write_text
from orchestrator.host.folders import cache_home
from orchestrator.host.onnx import NotOnnxError, OtherFilesError, read_interface
from orchestrator.host.untrusted import UnreadableFile, hash_file, opened

if TYPE_CHECKING:
    from pathlib import Path

_SCHEME = 2
_SETTLED_NS = 2_000_000_000
"""A file that changed less than this before could change again within one tick of the file system's clock."""


def look(folder: Path, name: str) -> FileFacts | FileFault:
    """What the ONNX file ``name`` below ``folder`` is; no link is followed. Nothing is raised."""
    try:
        with opened(folder, name) as stream:
            state = _state(stream.fileno())
        place = cache_home() / "model-files" / f"{_key(folder / name)}.json"
        known = _known(place, state)
        if known is not None:
            return known
        found = _read(folder, name)
        with opened(folder, name) as stream:
            same = _state(stream.fileno()) == state
    except UnreadableFile as error:
        if error.missing:
            return FileFault(slug="file-missing", message=f"there is no file `{name}` beside this recipe")
        hint = "copy the file itself beside the recipe"
        return FileFault(slug="file-kind", message=f"`{name}` {error.reason}", hint=hint)
    except OtherFilesError:
        message = f"`{name}` keeps its weights in other files"
        hint = "save it as one file, or write a recipe of the model that names all: `mlorch recipes new model NAME`"
        return FileFault(slug="model-parts", message=message, hint=hint)
    except NotOnnxError as error:
        message = f"`{name}` is no ONNX model: {error}"
        return FileFault(slug="not-onnx", message=message, hint="export the model to ONNX, and name that file")
    if same and abs(time.time_ns() - state[2]) > _SETTLED_NS:  # the clock may have been set back since
        _remember(place, state, found)
    return found


def _read(folder: Path, name: str) -> FileFacts:
    with opened(folder, name) as stream:
        interface = read_interface(stream, os.fstat(stream.fileno()).st_size)
    sha256, size = hash_file(folder, name)
    return FileFacts(sha256=sha256, size=size, inputs=interface.inputs, outputs=interface.outputs)


def _state(descriptor: int) -> list[int]:
    """What changes when the file does; the third is when that was, in nanoseconds."""
    found = os.fstat(descriptor)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:24]


def _known(place: Path, state: list[int]) -> FileFacts | None:
    try:
        document = strict_json(place.read_text(encoding="utf-8"))
        if document["scheme"] != _SCHEME or document["state"] != state:
            return None
        return from_plain(FileFacts, document["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, torn or of another version


def _remember(place: Path, state: list[int], found: FileFacts) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        document = {"scheme": _SCHEME, "state": state, "facts": to_plain(found)}
        atomic_write_text(place, json.dumps(document), overwrite=True)
    except OSError:
        pass  # the cache is a convenience
