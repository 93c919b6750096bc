"""A run's folder on the host: made ready for its container, and its files hashed after it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.containers import RECORD
from orchestrator.facts.neutral import neutral
from orchestrator.facts.record import FileHash
from orchestrator.host.files import atomic_write_text
from orchestrator.host.left_behind import give
from orchestrator.host.untrusted import MOST_FILES, UnreadableFile, hash_file, names_below
from orchestrator.results.store import RESERVE
from orchestrator.runs.external import prepare_files
from orchestrator.runs.failures import RESERVE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.runs import RunStep

_OURS = frozenset({RECORD, "report.html"})


def prepare_folder(folder: Path, step: RunStep) -> None:
    """The harness's settings and the reserve are there, and the container's user may write."""
    atomic_write_text(folder / "settings.json", json.dumps(dict(step.settings), indent=1) + "\n", mode=0o644)
    (folder / RESERVE).write_bytes(bytes(RESERVE_BYTES))
    if step.external is not None:
        prepare_files(folder, step.external, step.container.user)
    give(folder, step.container.user)


def _counts_less(name: str) -> tuple[bool, str]:
    """The order in which files are hashed: LoadGen's logs and ours, at the top, before all that a program left."""
    return ("/" in name or not name.startswith(("mlperf_log_", "console", "settings.", "harness.")), name)


def with_files(record: RunRecord, folder: Path) -> RunRecord:
    """The record with the hashes of the run's regular files, those in its folders among them.

    The record, the report and what begins with a dot have none. Other files that have no hash are in its
    ``left``, each with the reason. Raises OSError.
    """
    hashes: dict[str, FileHash] = {}
    skipped: dict[str, str] = {}
    for name in sorted(names_below(folder), key=_counts_less):
        if name.startswith(".") or name in _OURS:
            continue
        if len(hashes) + len(skipped) >= MOST_FILES:
            skipped["…"] = f"more than {MOST_FILES:,} files; the rest has no hash"
            break
        if neutral(name) != name:
            skipped[neutral(name)] = "its name is no plain text; it has no hash"
            continue
        try:
            sha256, size = hash_file(folder, name)
        except UnreadableFile as error:
            skipped[name] = f"{error.reason}; it has no hash"
            continue
        hashes[name] = FileHash(sha256=sha256, size=size)
    return replace(record, files=hashes, left={**record.left, **skipped})
