"""What a check of a submission found, in the forms that other programs read: SARIF, annotations of GitHub Actions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.errors import Problem, Span
from orchestrator.submissions.lines import Lines
from orchestrator.submissions.sarif import sarif_document

if TYPE_CHECKING:
    from typing import Literal

    from orchestrator.operations.submissions import SubmissionCheck
    from orchestrator.submissions.findings import Finding

SHOWN = 10
"""Annotations of one level that GitHub shows of a step; it drops the others without a word."""
_LEVELS: dict[str, Literal["error", "warning", "notice"]] = {"error": "error", "warning": "warning", "hint": "notice"}


@dataclass(frozen=True, slots=True)
class Annotated:
    """Findings for a log of GitHub Actions."""

    problems: tuple[Problem, ...]
    """Those that are annotated, at most `SHOWN` of a level."""
    others: tuple[Finding, ...]
    """Those for which there is no room."""


def sarif_of(check: SubmissionCheck, top: Path) -> dict[str, Any]:
    """The findings as SARIF; ``top`` is the folder from which files are named, a repository's as a rule."""
    findings = check.findings
    return sarif_document(
        check.rules,
        list(zip(findings, _lines(check, findings), strict=True)),
        round_name=check.checked.round,
        version=__version__,
        folder=_below(check.request.tree, top),
    )


def annotated(check: SubmissionCheck, top: Path) -> Annotated:
    """The findings as annotations; where there are too many, each rule is shown before one is shown twice."""
    turn: Counter[tuple[str, str]] = Counter()
    turns: list[tuple[int, int]] = []
    for index, found in enumerate(check.findings):
        turns.append((turn[found.level, found.rule], index))
        turn[found.level, found.rule] += 1
    shown: list[int] = []
    room = dict.fromkeys(_LEVELS, SHOWN)
    for _, index in sorted(turns):
        level = check.findings[index].level
        if room[level]:
            room[level] -= 1
            shown.append(index)
    shown.sort()
    findings = [check.findings[index] for index in shown]
    folder = _below(check.request.tree, top)
    problems = [_problem(found, line, folder) for found, line in zip(findings, _lines(check, findings), strict=True)]
    kept = set(shown)
    return Annotated(tuple(problems), tuple(each for index, each in enumerate(check.findings) if index not in kept))


def _problem(found: Finding, line: int, folder: str) -> Problem:
    path = "/".join(part for part in (folder, found.path) if part) or "."
    outside = folder.startswith("/")  # no file of the repository: it has an annotation without a place
    message = f"{found.path}: {found.message}" if outside and found.path else found.message
    return Problem(
        slug=found.rule, message=message, hint=found.hint, level=_LEVELS[found.level], span=Span.at(path, line or 1)
    )


def _lines(check: SubmissionCheck, findings: tuple[Finding, ...] | list[Finding]) -> list[int]:
    lines = Lines(check.request.tree)
    try:
        return lines.of_findings(findings)
    finally:
        lines.close()


def _below(tree: Path, top: Path) -> str:
    """The tree's path below a folder, with `/`; empty for the folder itself. What lies elsewhere has its whole path."""
    whole = tree.resolve()
    try:
        path = whole.relative_to(top.resolve())
    except ValueError:
        return whole.as_posix()
    return "" if path == Path() else path.as_posix()
