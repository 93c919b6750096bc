"""What was found of systems whose files did not change since: kept in the user's cache, so that only others are read.

A system's outcome depends on the files that it is read from, on the rules and on this program. What tells that none
of them changed is their sizes, times and inodes; a file that changed just before the check is not relied on, as it
could change again within the resolution of its time.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.facts.round_form import form_of
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.replacing import replacing
from orchestrator.host.untrusted import UnreadableFile, read_text
from orchestrator.submissions.findings import Finding
from orchestrator.submissions.gather import code_place
from orchestrator.submissions.judge import SystemOutcome
from orchestrator.submissions.places import before, filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.submissions.findings import Rulebook
    from orchestrator.submissions.gather import Source
    from orchestrator.submissions.tree import Folder

_LARGEST = 256 << 20
_YOUNG_NS = 2_000_000_000
"""A file that changed within this time before the check is not relied on."""
_FORM = 1


class Kept:
    """Outcomes of an earlier check of the same tree by the same rules, and those of this one."""

    def __init__(self, folder: Path, root: Path, book: Rulebook) -> None:
        self._folder = folder
        self._about = _about(root, book)
        self._name = f"{hashlib.sha256(self._about.encode()).hexdigest()[:32]}.json"
        self._before = _read(folder, self._name, self._about)
        self._now: dict[str, dict[str, Any]] = {}
        self._began = time.time_ns()

    def outcome(self, name: str, signature: str) -> SystemOutcome | None:
        """The outcome of a system whose files are those of before; None where they are not."""
        entry = self._before.get(name)
        if not isinstance(entry, dict) or entry.get("signature") != signature:
            return None
        try:
            found = _outcome(entry)
        except (KeyError, TypeError, ValueError):
            return None
        self._now[name] = entry
        return found

    def keep(self, name: str, signature: str, outcome: SystemOutcome) -> None:
        """Keep an outcome for the next check."""
        self._now[name] = {
            "signature": signature,
            "findings": [list(found) for found in outcome.findings],
            "rows": [list(row) for row in outcome.rows],
            "results": outcome.results,
            "refused": list(outcome.refused),
        }

    def old_enough(self, changed_ns: int) -> bool:
        """Whether a file's time of change can be relied on."""
        return changed_ns < self._began - _YOUNG_NS

    def write(self) -> None:
        """Write what was kept, where something is new. A cache that cannot be written costs time, and nothing else."""
        if self._now == self._before:
            return
        try:
            with replacing(self._folder / self._name) as temporary:
                text = json.dumps({"form": _FORM, "about": self._about, "systems": self._now})
                temporary.write_text(text, encoding="utf-8")
        except (OSError, ValueError):
            return


def _about(root: Path, book: Rulebook) -> str:
    """What outcomes depend on beside the files: the tree, the rules, this program."""
    program = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        program.update(path.read_bytes())
    rules = hashlib.sha256(json.dumps([form_of(book.round), sorted(book.ignored)]).encode()).hexdigest()
    return json.dumps([str(root.resolve()), __version__, program.hexdigest(), rules, book.as_official])


def _read(folder: Path, name: str, about: str) -> Mapping[str, Any]:
    try:
        document = strict_json(read_text(folder, name, _LARGEST))
    except (UnreadableFile, ValueError, OSError):
        return {}
    if not isinstance(document, dict) or document.get("form") != _FORM or document.get("about") != about:
        return {}
    systems = document.get("systems")
    return systems if isinstance(systems, dict) else {}


def _outcome(entry: Mapping[str, Any]) -> SystemOutcome:
    findings = tuple(Finding(*found) for found in entry["findings"])
    rows = tuple(tuple(row) for row in entry["rows"])
    texts = (*(text for found in findings for text in found), *(text for row in rows for text in row))
    if not all(isinstance(text, str) for text in (*texts, *entry["refused"])):
        raise TypeError
    if any(found.level not in {"error", "warning"} for found in findings):
        raise ValueError(findings)
    return SystemOutcome(findings, rows, int(entry["results"]), tuple(entry["refused"]))


def signature_of(source: Source, kept: Kept, division: str, submitter: str, system: str) -> str:
    """What tells that a system is read from the same files as before; empty where that cannot be told yet."""
    names = {"division": division, "submitter": submitter, "system": system}
    digest = hashlib.sha256()
    for text, changed_ns in _inputs(source, names):
        if not kept.old_enough(changed_ns):
            return ""
        digest.update(text.encode(errors="surrogateescape"))
        digest.update(b"\0")
    return digest.hexdigest()


def _inputs(source: Source, names: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Everything that a system's outcome is made of, as text, and when it changed."""
    layout = source.rules.checker.layout
    for template in (layout.results, layout.measurements, layout.compliance):
        path = filled(before(template, "model"), **names)
        folder = source.folder(path)
        if folder is None:
            yield f"no {path}", 0
        else:
            yield from _below(folder)
    for template in (layout.system, layout.model_mapping):
        yield from _file(source, filled(template, **names))
    for path in _above(filled(before(layout.measurements, "model"), **names)):
        above = source.folder(path)
        for name, fact in above.files.items() if above is not None else ():
            yield f"{path}/{name} {fact}", fact.ctime_ns
    yield from _code(source, names)


def _below(folder: Folder) -> Iterator[tuple[str, int]]:
    for each in folder.walk():
        yield f"{each.path}/", 0
        for name, fact in each.files.items():
            yield f"{name} {fact.size} {fact.mtime_ns} {fact.ctime_ns} {fact.inode}", fact.ctime_ns
        for name, target in each.links.items():
            yield f"{name} -> {target}", 0


def _file(source: Source, path: str) -> Iterator[tuple[str, int]]:
    folder = source.folder(path.rpartition("/")[0])
    fact = folder.files.get(path.rpartition("/")[2]) if folder is not None else None
    yield f"{path} {fact}", fact.ctime_ns if fact is not None else 0


def _above(path: str) -> Iterator[str]:
    for _ in range(2):
        path = path.rpartition("/")[0]
        yield path


def _code(source: Source, names: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Whether the code of each result is there; a file that names another folder is read again, as it is small."""
    layout = source.rules.checker.layout
    folder = source.folder(filled(before(layout.results, "model"), **names))
    for model, of_model in (folder.folders if folder is not None else {}).items():
        for scenario in of_model.folders:
            yield str(code_place(source, {**names, "model": model, "scenario": scenario})), 0
