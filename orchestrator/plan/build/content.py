"""Identity by content: hashes of files and of the named inputs of a layer."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from orchestrator.facts.build import ContextFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.facts.build import BuildPlan

SCHEME = "2"
"""The version of the hashed form. A change of it renames every image, so it is part of the id."""
EPOCH = 1_700_000_000
"""The time of every file in an image and of the image itself, in seconds since 1970.

A constant: the same content id must give the same bytes whenever and wherever it is
built, so a SOURCE_DATE_EPOCH of the user is ignored. Another value wants another SCHEME.
"""
CONTENT = "content"
"""The folder of a context with what a layer copies, at the paths that it has in the image."""
BENCHMARK_FACTS = f"{CONTENT}/opt/mlorch/benchmark.json"
"""What an image says of its benchmark: titles, goals, scenarios, the hashes of model and data."""
CONTENT_TAR = "content.tar"
"""The same as one archive, made when the context is laid out: what the templates add."""
NORMALISE = "normalise.py"
"""The program of `dockerfiles/` that makes a layer's files the same on every machine, where a template names it."""

_SKIPPED = {"__pycache__", ".DS_Store"}


def sha256_text(text: str) -> str:
    """The SHA-256 of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def content_id(inputs: Mapping[str, str]) -> str:
    """The identity of a layer: a hash over its named inputs in one canonical form."""
    form = {"scheme": SCHEME, "inputs": dict(sorted(inputs.items()))}
    return sha256_text(json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def program_id(plan: BuildPlan) -> str:
    """The identity of all that an image holds but what it says of its benchmark (title, note, goals, scenarios).

    A program does the same in two images that differ in nothing else.
    """
    last = plan.layers[-1]
    return content_id({name: text for name, text in last.inputs.items() if name != f"file:{BENCHMARK_FACTS}"})


def context_files(source: Path, into: str) -> tuple[ContextFile, ...]:
    """The files of `source` (a file or a folder) as they enter a build context at `into`, sorted.

    Only the executable bit of a mode counts, so that a umask changes no identity.
    """
    found = []
    for path, relative in sorted(_walk(source, into), key=lambda pair: pair[1]):
        data = path.read_bytes()
        digest, mode = hashlib.sha256(data).hexdigest(), file_mode(path.stat().st_mode)
        found.append(ContextFile(path=relative, sha256=digest, mode=mode, source=str(path)))
    return tuple(found)


def file_mode(mode: int) -> int:
    """The mode in a build context of a file that has ``mode`` on the host."""
    return 0o755 if mode & 0o100 else 0o644


def text_file(path: str, text: str) -> ContextFile:
    """A file that is made of `text` when the context is laid out."""
    return ContextFile(path=path, sha256=sha256_text(text), text=text)


def empty_folder(path: str) -> ContextFile:
    """An empty folder of a context: its path ends with a slash."""
    return ContextFile(path=f"{path}/", sha256=sha256_text(""), mode=0o755, text="")


def _walk(source: Path, into: str) -> Iterator[tuple[Path, str]]:
    if not source.is_dir():
        yield source, into
        return
    for path in source.iterdir():
        if path.name in _SKIPPED or path.suffix == ".pyc":
            continue
        yield from _walk(path, f"{into}/{path.name}")
