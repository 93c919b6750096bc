"""What MLCommons' script said of a compliance test: read strictly from the files that it left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.compliance import FOLDER
from orchestrator.facts.neutral import one_line
from orchestrator.host.untrusted import UnreadableFile, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.compliance import ComplianceFact

LOG = "console-compliance.log"
"""What the script printed."""
_LONGEST = 2**20
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Whether a test is passed, None where the script does not say; ``reasons`` why it is not."""

    passed: bool | None
    reasons: tuple[str, ...] = ()


def verified(fact: ComplianceFact, folder: Path) -> Verified:
    """The verdict on the test in ``folder``.

    Passed is a test only where each file that has to say so has the line that does, and none says otherwise; it is
    undecided where a file is missing, or says neither.
    """
    failed: list[str] = []
    unsaid: list[str] = []
    for name, line in fact.passes.items():
        said = _said(fact, folder, name, line)
        if said.passed is False:
            failed += [f"{fact.test}, {name}: {reason}" for reason in said.reasons]
        elif said.passed is None:
            unsaid += [f"{fact.test}, {name}: {reason}" for reason in said.reasons]
    if failed:
        return Verified(passed=False, reasons=tuple(failed))
    if unsaid:
        # Scripts of older rounds say on another stream that a test fails because a result is INVALID.
        printed = _failures(fact, _text(folder, LOG))
        if printed:
            return Verified(passed=False, reasons=tuple(f"{fact.test}: {line}" for line in printed))
        return Verified(passed=None, reasons=tuple(unsaid))
    return Verified(passed=True)


def _said(fact: ComplianceFact, folder: Path, name: str, passes: str) -> Verified:
    try:
        text = read_text(folder, f"{FOLDER}/{fact.test}/{name}", _LONGEST)
    except UnreadableFile as error:
        return Verified(passed=None, reasons=(error.reason,))
    failures = _failures(fact, text)
    if failures:
        return Verified(passed=False, reasons=failures)
    if passes in (line.strip() for line in text.splitlines()):
        return Verified(passed=True)
    return Verified(passed=None, reasons=("it says neither that the test is passed nor that it is not",))


def _failures(fact: ComplianceFact, text: str) -> tuple[str, ...]:
    lines = (line.strip() for line in text.splitlines())
    return tuple(one_line(line)[:_LONGEST_REASON] for line in lines if line.startswith(fact.fails))


def _text(folder: Path, name: str) -> str:
    try:
        return read_text(folder, name, _LONGEST)
    except UnreadableFile:
        return ""
