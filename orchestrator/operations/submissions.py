"""`submission`: a tree checked by the rules of its round, and its summary."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.facts.checker_rules import CHECKS
from orchestrator.facts.round_form import form_of, parts_from, rules_from
from orchestrator.host.folders import cache_home
from orchestrator.host.replacing import replacing
from orchestrator.submissions.check import Checked, check_tree
from orchestrator.submissions.findings import Rulebook
from orchestrator.submissions.kept import Kept
from orchestrator.submissions.plausibility.hints import HINTS, hints_of, systems_without_rows
from orchestrator.submissions.reading import Reader
from orchestrator.submissions.rows import summary_text
from orchestrator.submissions.rules import ALL_RULES

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.parts import KnownParts
    from orchestrator.facts.rounds import RoundRules
    from orchestrator.operations.context import Context
    from orchestrator.submissions.findings import Finding, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What is checked, and how."""

    tree: Path
    round: str
    """The round whose rules hold."""
    submitter: str = ""
    """Only this one's part; everybody's where it is empty."""
    skip: tuple[str, ...] = ()
    """Rules that are not looked at."""
    as_official: bool = False
    """Whether the known defects of the official checker are kept, so that the summary is the official one."""
    processes: int = 0
    """Processes side by side; one a processor where it is 0."""
    cache: bool = True
    """Whether what was found of systems that did not change since the last check is taken from the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionCheck:
    """A tree that was checked."""

    request: CheckRequest
    checked: Checked
    hints: tuple[Finding, ...] = ()
    """What is odd although no rule forbids it."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that was found, of whatever level."""
        return (*self.checked.findings, *self.hints)

    @property
    def rules(self) -> tuple[Rule[Any], ...]:
        """Every rule that was looked at, and a finding can be of."""
        return (*ALL_RULES, *HINTS)

    @property
    def good(self) -> bool:
        """Whether nothing would be refused."""
        return self.checked.good

    @property
    def summary(self) -> str:
        """The official summary as CSV."""
        checked = self.checked
        form = checked.form if self.request.as_official else ""
        return summary_text(checked.columns, checked.rows, as_official=form)

    def by_rule(self) -> dict[str, int]:
        """How often each rule is broken, the most frequent first."""
        return dict(Counter(found.rule for found in self.findings).most_common())

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        checked = self.checked
        return {
            "round": checked.round,
            "tree": str(self.request.tree),
            "submitter": self.request.submitter or None,
            "as_official": self.request.as_official,
            "good": self.good,
            "files": checked.files,
            "results": checked.results,
            "rows": len(checked.rows),
            "refused": list(checked.refused),
            "rules": self.by_rule(),
            "findings": [found.document() for found in self.findings],
        }


def check_submission(context: Context, request: CheckRequest) -> SubmissionCheck:
    """Check a submission tree by the rules of its round.

    Raises:
        UsageError: `unknown-round`; `no-checker-rules`, a round that says nothing of trees; `unknown-rule`;
            `no-tree`, where there is no folder; `no-submitter`.
        NothingSelectedError: `no-results`.
    """
    book = rulebook_of(context, request.round, request.tree, skip=request.skip, as_official=request.as_official)
    rules = book.round
    _require_submitter(request, rules.checker.divisions)
    processes = request.processes or len(os.sched_getaffinity(0))
    kept = Kept(cache_home() / "submissions", request.tree, book) if request.cache else None
    checked = check_tree(request.tree, book, submitter=request.submitter, processes=processes, kept=kept)
    if not checked.results and not checked.refused:
        raise NothingSelectedError(
            f"there are no results in {request.tree}",
            hint=f"a tree has DIVISION/SUBMITTER/results, and divisions are {', '.join(rules.checker.divisions)}",
            slug="no-results",
        )
    return SubmissionCheck(request=request, checked=checked, hints=_hints(context, request.tree, checked, book))


def _hints(context: Context, tree: Path, checked: Checked, book: Rulebook) -> tuple[Finding, ...]:
    parts, reader = kept_parts(context), Reader(tree, frozenset())
    try:
        others = list(systems_without_rows(checked, reader, parts, book))
    finally:
        reader.close()
    return hints_of(checked.columns, checked.rows, parts, book, others)


def rulebook_of(
    context: Context, round_name: str, tree: Path, *, skip: tuple[str, ...] = (), as_official: bool = False
) -> Rulebook:
    """The rules by which a tree is looked at.

    Raises `UsageError`: `unknown-round`, `no-checker-rules`, `unknown-rule`, `no-tree`.
    """
    rules = kept_rules(context, round_name)
    if not rules.checker.divisions:
        from orchestrator.definitions.catalog.rounds import round_names

        able = [name for name in round_names(context.catalog) if context.catalog.round_rules(name).checker.divisions]
        raise UsageError(
            f"{rules.name} does not say what its submissions look like",
            hint=f"rounds that do: {', '.join(able)}",
            slug="no-checker-rules",
        )
    known = {rule.id for rule in (*ALL_RULES, *HINTS)} | set(CHECKS)
    for name in skip:
        if name not in known:
            from orchestrator.definitions.catalog.rounds import near

            raise UsageError(f"there is no rule `{name}`", hint=near(name, known), slug="unknown-rule")
    if not tree.is_dir():
        raise UsageError(
            f"there is no folder {tree}",
            hint="name the folder that holds the divisions (closed/, open/)",
            slug="no-tree",
        )
    return Rulebook(rules, as_official=as_official, ignored=frozenset(skip))


def kept_rules(context: Context, name: str) -> RoundRules:
    """The rules of a round, from the cache where no recipe changed. Raises as `Catalog.round_rules`."""
    form = context.kept_document(f"rules of round {name}", lambda: form_of(context.catalog.round_rules(name)))
    try:
        return rules_from(form)
    except (ValueError, KeyError, TypeError):  # somebody wrote into the cache
        return context.catalog.round_rules(name)


def kept_parts(context: Context) -> KnownParts:
    """The figures of parts, from the cache where no recipe changed."""

    def known() -> KnownParts:
        from orchestrator.definitions.catalog.parts import known_parts

        return known_parts(context.catalog)

    form = context.kept_document("parts", lambda: form_of(known()))
    try:
        return parts_from(form)
    except (ValueError, KeyError, TypeError):  # somebody wrote into the cache
        return known()


def _require_submitter(request: CheckRequest, divisions: tuple[str, ...]) -> None:
    there = {path.name for division in divisions for path in (request.tree / division).glob("*") if path.is_dir()}
    if request.submitter and request.submitter not in there:
        from orchestrator.definitions.catalog.rounds import near

        raise UsageError(
            f"no division has a submitter `{request.submitter}`",
            hint=near(request.submitter, there),
            slug="no-submitter",
        )


def write_summary(check: SubmissionCheck, path: Path) -> None:
    """Write the summary; the file takes its place when it is whole."""
    with replacing(path) as temporary:
        temporary.write_text(check.summary, encoding="utf-8")


def write_page(context: Context, check: SubmissionCheck, path: Path) -> None:
    """Write the summary as one HTML page, with what is found of each result; it takes its place when it is whole."""
    from orchestrator.submissions.page import page_html

    layout = context.catalog.round_rules(check.request.round).checker.layout
    name = check.request.tree.resolve().name
    with replacing(path) as temporary:
        temporary.write_text(page_html(replace(check.checked, findings=check.findings), name, layout), encoding="utf-8")
