"""Which steps mend what a check found. Pure: from findings, a listing and what accuracy logs say.

Only what is mechanical: nothing that somebody would have to know. Nothing is lost either: what is moved out of the
tree, or truncated, is kept as it was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping, Sequence

    from orchestrator.submissions.findings import Finding
    from orchestrator.submissions.tree import Folder

Kind = Literal["truncate", "hash", "set-aside", "remove-folder", "add-fields", "map-model"]
ACCURACY_LOG = "mlperf_log_accuracy.json"
_SET_ASIDE = ("hidden-names", "pycache")
_OF_LOGS = ("accuracy-hash", "accuracy-log-size", "file-size")
_FIELDS = "system-fields"
_LACKS = re.compile(r"has no `([^`,]+)`")
_LEAST = 2
"""Folders from the root to a submitter's, which stays even where it is empty."""


class LogFacts(NamedTuple):
    """An accuracy log and the accuracy.txt beside it."""

    folder: str
    size: int
    sha256: str
    """Of the log as it is there."""
    truncated: bool
    text: bool
    """Whether there is an accuracy.txt that can be read."""
    hash: str
    """What that says; empty where it says nothing."""


class Step(NamedTuple):
    """One change to a tree."""

    kind: Kind
    path: str
    rule: str
    what: str
    """What is done, for people."""
    value: str = ""
    """The hash that is written, the fields that are added, the model that a name is mapped to."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {"kind": self.kind, "path": self.path, "rule": self.rule, "what": self.what, "value": self.value or None}


class RepairPlan(NamedTuple):
    """The steps in their order, and what no step mends."""

    steps: tuple[Step, ...]
    left: tuple[Finding, ...]


def plan_repairs(
    findings: Sequence[Finding],
    root: Folder,
    logs: Mapping[str, LogFacts],
    *,
    mapped: Mapping[str, str],
    must_say: Container[str],
) -> RepairPlan:
    """What mends the findings of a check.

    ``logs`` are the accuracy logs by their folders; ``mapped`` are models by the paths of their folders, for those
    that the round cannot know by their names and somebody named; ``must_say`` are the fields of a description that
    must not be empty.
    """
    aside = _aside_steps(findings)
    gone = {step.path for step in aside}
    steps = [
        *_log_steps(findings, logs),
        *aside,
        *_folder_steps(root, gone, {found.path for found in findings if found.rule == "empty-folders"}),
        *_field_steps(findings, must_say),
        *_model_steps(findings, mapped),
    ]
    return RepairPlan(tuple(steps), _left(findings, steps, gone, must_say))


def _aside_steps(findings: Iterable[Finding]) -> list[Step]:
    """What is moved away; of what lies in something that is, nothing is said."""
    rule_of = {found.path: found.rule for found in findings if found.rule in _SET_ASIDE}
    return [
        Step("set-aside", path, rule_of[path], "is moved out of the tree")
        for path in sorted(rule_of)
        if not _lies_in(path, rule_of)
    ]


def _model_steps(findings: Iterable[Finding], mapped: Mapping[str, str]) -> Iterable[Step]:
    for found in findings:
        if found.rule == "model" and found.path in mapped:
            model = mapped[found.path]
            yield Step("map-model", found.path, "model", f"is {model} by model_mapping.json", model)


def _left(
    findings: Iterable[Finding], steps: Sequence[Step], gone: Collection[str], must_say: Container[str]
) -> tuple[Finding, ...]:
    """The findings that no step mends."""
    mended = {(step.rule, step.path) for step in steps}
    logs = {step.path for step in steps if step.rule in _OF_LOGS}

    def is_mended(found: Finding) -> bool:
        if found.path in gone or _lies_in(found.path, gone):
            return True
        if found.rule in _OF_LOGS:
            return found.path in logs
        return (found.rule, found.path) in mended and _field(found) not in must_say

    return tuple(found for found in findings if not is_mended(found))


def log_folders(findings: Iterable[Finding]) -> list[str]:
    """The folders whose accuracy logs have to be looked at."""
    found = {each.path.rpartition("/")[0]: None for each in findings if _is_of_log(each)}
    return list(found)


def _is_of_log(found: Finding) -> bool:
    name = found.path.rpartition("/")[2]
    return found.rule in _OF_LOGS and name in {ACCURACY_LOG, "accuracy.txt"}


def _log_steps(findings: Sequence[Finding], logs: Mapping[str, LogFacts]) -> Iterable[Step]:
    """The hash first, then the log: a run that is cut between the two goes on from there."""
    by_folder: dict[str, set[str]] = defaultdict(set)
    for found in findings:
        if _is_of_log(found):
            by_folder[found.path.rpartition("/")[0]].add(found.rule)
    for folder, rules in by_folder.items():
        log = logs.get(folder)
        if log is None or log.truncated or not log.text or (log.hash and log.hash != log.sha256):
            continue
        if not log.hash:
            yield Step(
                "hash", f"{folder}/accuracy.txt", "accuracy-hash", f"gets the hash of {ACCURACY_LOG}", log.sha256
            )
        for rule in sorted(rules - {"accuracy-hash"}):
            what = f"is truncated to its two ends ({log.size:,} bytes now)"
            yield Step("truncate", f"{folder}/{ACCURACY_LOG}", rule, what, log.sha256)
            break


def _folder_steps(root: Folder, aside: Collection[str], empty: set[str]) -> list[Step]:
    """Folders that are empty, and those that are when others have gone, the innermost first."""
    gone = set(aside)
    steps: list[Step] = []
    for folder in reversed(list(root.walk())):
        if folder.path.count("/") < _LEAST or folder.path in gone or _lies_in(folder.path, aside):
            continue
        names = (*folder.files, *folder.links, *folder.folders)
        if any(folder.below(name) not in gone for name in names) or not (names or folder.path in empty):
            continue
        gone.add(folder.path)
        steps.append(Step("remove-folder", folder.path, "empty-folders", "is an empty folder, and is removed"))
    return steps


def _field(found: Finding) -> str:
    """The field that a description lacks; empty where the finding is of something else."""
    name = _LACKS.fullmatch(found.message) if found.rule == _FIELDS else None
    return name[1] if name is not None else ""


def _field_steps(findings: Iterable[Finding], must_say: Container[str]) -> Iterable[Step]:
    """Fields that have to be there and may be empty: somebody would have to know what is in the others."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for found in findings:
        field = _field(found)
        if field and field not in must_say:
            lacking[found.path].append(field)
    for path, fields in lacking.items():
        yield Step("add-fields", path, _FIELDS, f"gets, empty: {', '.join(fields)}", ",".join(fields))


def _lies_in(path: str, others: Container[str]) -> bool:
    """Whether a folder that a path lies in is one of others."""
    while path := path.rpartition("/")[0]:
        if path in others:
            return True
    return False
