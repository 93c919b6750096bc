"""One hash for the many files of a run that are not named one by one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orchestrator.facts.containers import RECORD
from orchestrator.facts.neutral import neutral
from orchestrator.facts.record import RestOfFiles
from orchestrator.host.untrusted import UnreadableFile, hash_file
from orchestrator.results.store import REPORT, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.facts.record import RunRecord


def not_named(record: RunRecord, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that a record does not name: they have no hash of their own, and `left` does not tell of them.

    What is hashed together at a run's end and what is held to that hash later are both this.
    """
    ours = {RECORD, REPORT, SIGNATURE, *record.files}
    return [name for name in names if name not in ours and neutral(name) not in record.left]


def rest_of_files(folder: Path, names: Iterable[str]) -> RestOfFiles:
    """Names and hashes of files below ``folder`` as one hash, in whatever order they are given.

    What cannot be read (a link, a sparse file) counts with its name.
    """
    digest, count, size = hashlib.sha256(), 0, 0
    for name in sorted(names):
        count += 1
        try:
            sha256, length = hash_file(folder, name)
        except UnreadableFile:
            sha256, length = "-", 0
        size += length
        digest.update(f"{sha256}  {name}\0".encode(errors="surrogateescape"))
    return RestOfFiles(count=count, size=size, sha256=digest.hexdigest())
