"""A run's folder on the host: made ready for its container, and its files hashed after it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.containers import RECORD
from orchestrator.facts.neutral import neutral
from orchestrator.facts.record import FileHash
from orchestrator.host.files import atomic_write_text
from orchestrator.host.left_behind import give
from orchestrator.host.untrusted import MOST_FILES, MOST_LISTED, UnreadableFile, hash_file, names_below, read_text
from orchestrator.results.store import REPORT, RESERVE
from orchestrator.results.verify.rest import not_named, rest_of_files
from orchestrator.runs.external import prepare_files
from orchestrator.runs.failures import RESERVE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.runs import RunStep

SETTINGS = "settings.json"
_NOT_HASHED = frozenset({RECORD, RESERVE})
_MOST_NAME_BYTES = 2**20
"""Of the names of all files that are hashed one by one: a record that is too large could not be read again."""


def prepare_folder(folder: Path, step: RunStep) -> None:
    """The harness's settings and the reserve are there, and the container's user may write."""
    atomic_write_text(folder / SETTINGS, _settings_text(step), mode=0o644)
    (folder / RESERVE).write_bytes(bytes(RESERVE_BYTES))
    if step.external is not None:
        prepare_files(folder, step.external, step.container.user)
    give(folder, step.container.user)


def _settings_text(step: RunStep) -> str:
    return json.dumps(dict(step.settings), indent=1) + "\n"


def changed_settings(folder: Path, step: RunStep) -> StepFailed | None:
    """Whether what the harness was told is still what lies there: verifying and counting read it again."""
    try:
        if read_text(folder, SETTINGS) == _settings_text(step):
            return None
        why = "was changed"
    except UnreadableFile as error:
        why = error.reason
    return StepFailed(
        f"{SETTINGS}, which mlorch wrote for the harness, {why}",
        hint="what it was told is not known any more, so the result does not count",
        slug="config-changed",
    )


def _counts_less(record: RunRecord, name: str) -> tuple[bool, bool, str]:
    """The order in which files are hashed: LoadGen's logs and ours, at the top, before all that a program left.

    Of that first what the record tells of already, as the one hash of the rest is not of those.
    """
    ours = "/" not in name and name.startswith(("mlperf_log_", "console", "settings.", "harness."))
    return (not ours, neutral(name) not in record.left, name)


def with_files(record: RunRecord, folder: Path) -> RunRecord:
    """The record with the hashes of the run's regular files, those in its folders among them.

    Files that have no hash are in its ``left``, each with the reason. Of more than `MOST_FILES` the rest has one hash
    together (``rest``). Raises OSError.
    """
    hashes: dict[str, FileHash] = {}
    skipped: dict[str, str] = {}
    found = (name for name in names_below(folder) if name not in _NOT_HASHED)
    names = sorted(found, key=lambda name: _counts_less(record, name))
    size, taken = 0, 0
    for name in names:
        size += len(name)
        if taken >= MOST_FILES or size > _MOST_NAME_BYTES:
            break
        taken += 1
        if neutral(name) != name:
            skipped[neutral(name)] = "its name is no plain text; it has no hash"
            continue
        try:
            sha256, length = hash_file(folder, name)
        except UnreadableFile as error:
            skipped[name] = f"{error.reason}; it has no hash"
            continue
        hashes[name] = FileHash(sha256=sha256, size=length)
    if len(names) >= MOST_LISTED:
        skipped["…"] = f"{MOST_LISTED:,} files and more; what is not named here has no hash"
    named = replace(record, files=hashes, left={**record.left, **skipped}, rest=None)
    if taken < len(names) < MOST_LISTED:
        return replace(named, rest=rest_of_files(folder, not_named(named, names)))
    return named


def with_report(record: RunRecord, folder: Path) -> RunRecord:
    """The record with the hash of its report, which is made of the record."""
    sha256, size = hash_file(folder, REPORT)
    return replace(record, files={**record.files, REPORT: FileHash(sha256=sha256, size=size)})
