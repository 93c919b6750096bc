"""A Dockerfile's text to problems, with the exceptions that it asks for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import Problem, Span
from orchestrator.lint import bases, order, packages, rights
from orchestrator.lint.catalogue import RULES
from orchestrator.lint.dockerfile import parse
from orchestrator.lint.view import Finding, make_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.lint.dockerfile import Dockerfile
    from orchestrator.lint.view import File

CHECKS: tuple[Callable[[File], Iterator[Finding]], ...] = (
    bases.bases,
    bases.git,
    bases.unused,
    packages.apt,
    packages.pip,
    packages.downloads,
    rights.secrets,
    rights.rights,
    order.copies,
    order.pins,
    order.accelerators,
)
_ALLOW = re.compile(
    r"mlorch\s+lint:\s*allow\s+(?P<rules>[a-z0-9, -]*?)(?:\s+because\b\s*(?P<reason>.*))?$", re.IGNORECASE
)
_SECRETS = frozenset({"secret-in-env", "secret-in-run", "key-copied"})
_MOST_STAGES, _MOST_LINES = 200, 5_000
_LEAST_REASON = 8
"""Characters; `ok` is no reason."""


@dataclass(slots=True)
class _Allowed:
    """A comment that accepts rules for the instruction below it."""

    rules: frozenset[str]
    span: Span
    begin: int
    end: int
    used: bool = False


def lint(
    text: str, path: str, *, tag: str = "", contexts: tuple[str, ...] = (), runs: bool = True
) -> tuple[Problem, ...]:
    """What is wrong in a Dockerfile, in the order of its lines.

    ``tag`` is what the build tags the result with, where that is known; ``contexts`` are
    named build contexts (no image comes from elsewhere under these names); ``runs`` is False
    for a layer that other layers stand on and no container is started of.
    """
    dockerfile = parse(text, path)
    if why := _too_much(dockerfile):
        return (_problem(Finding(rule="dockerfile-syntax", span=Span.at(path), message=why), dockerfile),)
    findings = [Finding(rule="dockerfile-syntax", span=span, message=message) for message, span in dockerfile.faults]
    file = make_file(dockerfile, tag=tag, contexts=contexts, runs=runs)
    for check in CHECKS:
        findings += check(file)
    allowed, faults = _allowed(dockerfile)
    kept = [finding for finding in dict.fromkeys(findings) if not _accepted(finding, allowed)]
    for each in allowed:
        if not each.used and each.rules:
            names = ", ".join(sorted(each.rules))
            faults.append(Finding(rule="allow-unused", span=each.span, message=f"nothing below breaks {names}"))
    ordered = sorted([*kept, *faults], key=lambda finding: (finding.span.line, finding.span.column, finding.rule))
    return tuple(_problem(finding, dockerfile) for finding in ordered)


def _too_much(dockerfile: Dockerfile) -> str:
    """Why a file is not checked that no person wrote: stages stand on each other, and checks look at each with all."""
    stages = sum(one.keyword == "FROM" for one in dockerfile.instructions)
    for count, most, what in ((stages, _MOST_STAGES, "stages"), (len(dockerfile.lines), _MOST_LINES, "lines")):
        if count > most:
            return f"there are {count:,} {what}, and no more than {most:,} are checked"
    return ""


def _allowed(dockerfile: Dockerfile) -> tuple[list[_Allowed], list[Finding]]:
    """The exceptions, each with the lines that it is for; and what is wrong with them."""
    found: list[_Allowed] = []
    faults: list[Finding] = []
    for comment in dockerfile.comments:
        match = _ALLOW.match(comment.text)
        if match is None:
            continue
        span = Span.at(dockerfile.path, comment.line, comment.column, len(comment.text) + 2)
        rules = {name for name in re.split(r"[,\s]+", match["rules"].strip()) if name}
        unknown = sorted(rules - RULES.keys())
        if unknown or not rules:
            name = unknown[0] if unknown else ""
            faults.append(Finding(rule="allow-unknown", span=span, message=f"there is no rule `{name}`"))
        if len((match["reason"] or "").strip()) < _LEAST_REASON:
            faults.append(Finding(rule="allow-no-reason", span=span, message="the exception gives no reason"))
            continue
        begin, end = _lines(dockerfile, comment.line)
        found.append(_Allowed(frozenset(rules) & RULES.keys(), span, begin, end))
    return found, faults


def _lines(dockerfile: Dockerfile, line: int) -> tuple[int, int]:
    """The lines of the instruction that a comment belongs to: the one that it is inside of, or the next."""
    for one in dockerfile.instructions:
        if one.end_line >= line:
            return one.line, one.end_line
    return line, line


def _accepted(finding: Finding, allowed: list[_Allowed]) -> bool:
    for each in allowed:
        if finding.rule in each.rules and each.begin <= finding.span.line <= each.end:
            each.used = True
            return True
    return False


def _problem(finding: Finding, dockerfile: Dockerfile) -> Problem:
    rule, line = RULES[finding.rule], finding.span.line
    source = dockerfile.lines[line - 1] if line <= len(dockerfile.lines) else ""
    return Problem(
        slug=finding.rule,
        message=f"{finding.message}: {rule.why}",
        span=finding.span,
        hint=rule.do,
        source_line=_masked(source, finding) if finding.rule in _SECRETS else source,
        level=rule.level,
    )


def _masked(line: str, finding: Finding) -> str:
    """The source line of a secret up to its name: what it is stays where it is."""
    end = finding.span.end_column - 1 if finding.rule != "secret-in-run" else finding.span.column - 1
    return line[:end] + ("…" if len(line) > end else "")
