"""What was made of the recipes, kept in the cache beside the signature of all files that it was made of.

Planning and listing import pydantic, jinja2 and yaml and read every recipe; with the result kept,
`mlorch plan`, `mlorch benchmarks list` and a build that finds everything cost one stat per file. A kept form is
used only while the files' signature, what was asked, the environment's MLORCH_* and mlorch's version are the same,
so a stale one cannot be met.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.facts.redact import is_secret_name
from orchestrator.host.files import atomic_write_text
from orchestrator.host.signature import signature

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A form of JSON, and the folders whose files it was made of."""

    form: object
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """The place in the cache of one answer."""

    path: Path

    def read(self, of_files: str = "") -> Kept | None:
        """What is kept; None where it is absent, torn, of another version, or a file has changed since.

        ``of_files`` is the signature of the roots' files where it is known already.
        """
        try:
            # Not `strict_json`, which takes four times as long for a large plan: what is read here is decoded by type.
            document = json.loads(self.path.read_text(encoding="utf-8"))
            roots = tuple(document["roots"])
            if document["signature"] != (of_files or signature(roots)):
                return None
            return Kept(form=document["form"], roots=roots)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self, form: object, roots: Sequence[str], of_files: str = "") -> None:
        """Keep a form of JSON; ``of_files`` is the signature of the roots' files before they were read.

        The cache is a convenience: a full or read-only disk stops nothing.
        """
        document = {"roots": list(roots), "signature": of_files or signature(roots), "form": form}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_text(self.path, json.dumps(document), overwrite=True)
        except OSError:
            pass


def slot(folder: Path, asked: object, *, watched: Sequence[str] = (), decided_by: Sequence[object] = ()) -> Slot:
    """The place of what ``asked`` (a form of JSON) selects.

    ``watched`` are files that decide which roots there are (mlorch.yaml), in place or not; ``decided_by`` is
    what else the answer follows: recipes by commit, --locked, the devices that decided target or arch.
    """
    # A name in a folder is read by others: no secret is hashed into it, and none decides an answer.
    environment = sorted((k, v) for k, v in os.environ.items() if k.startswith("MLORCH_") and not is_secret_name(k))
    form = [__version__, asked, str(Path.cwd()), environment, [_stat(path) for path in watched], list(decided_by)]
    name = hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()
    return Slot(folder / f"{name}.json")


def _stat(path: str) -> list[object]:
    try:
        found = os.stat(path)  # noqa: PTH116 (one call, on the hot path)
    except OSError:
        return [path, None]
    return [path, found.st_mtime_ns, found.st_size, found.st_ino]
