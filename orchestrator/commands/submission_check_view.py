"""What `mlorch submission check` shows: text for people, JSON, SARIF, annotations of GitHub Actions."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.common import counted
from orchestrator.facts.neutral import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.console import Console
    from orchestrator.operations.submissions import SubmissionCheck
    from orchestrator.submissions.findings import Finding


def show(console: Console, found: SubmissionCheck, form: str) -> None:
    """All that was found, in one of the forms of `--format`."""
    if form == "json":
        console.document(found.document())
    elif form == "sarif":
        from orchestrator.operations.submission_forms import sarif_of

        console.document(sarif_of(found, _top()))
    elif form == "github":
        _show_annotations(console, found)
    else:
        _show_text(console, found)


def _top() -> Path:
    """The folder from which files are named: the repository of a workflow, else where the command was called."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())


def _show_text(console: Console, found: SubmissionCheck) -> None:
    show_findings(console, found.findings)
    _show_refused(console, found)
    console.result()
    show_counts(console, found)
    if found.good:
        _show_next(console, found)


def _show_next(console: Console, found: SubmissionCheck) -> None:
    """The command that packs a tree of which nothing would be refused, with what was asked for here."""
    asked = found.request
    words = ["mlorch", "submission", "pack", str(asked.tree), "--round", asked.round]
    words += ["--submitter", asked.submitter] if asked.submitter else []
    words += [word for rule in asked.skip for word in ("--skip", rule)]
    words += ["-o", f"{asked.submitter or 'submission'}.tar.gz"]
    console.say(f"next: {shlex.join(words)}")


def show_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Each with what to do."""
    for finding in findings:
        for line in finding_lines(finding):
            console.result(line)


def finding_lines(finding: Finding) -> Iterator[str]:
    """A line of what was found, and one of what to do."""
    where, message = one_line(finding.path or "."), one_line(finding.message)
    yield f"{where}: {finding.level}: {message} [{finding.rule}]"
    if finding.hint:
        yield f"  = help: {one_line(finding.hint)}"


def _show_annotations(console: Console, found: SubmissionCheck) -> None:
    """Annotations, and all that GitHub has no room for as text; none of it can be a command of the log."""
    from orchestrator.ci.markers import GitHub, markdown_table
    from orchestrator.operations.submission_forms import SHOWN, annotated

    top = str(_top())
    console.ci = GitHub(workspace=top, folder=top, summary=os.environ.get("GITHUB_STEP_SUMMARY", ""))
    shown = annotated(found, Path(top))
    for problem in shown.problems:
        console.annotation(problem)
    if shown.others:
        console.result(f"GitHub shows {SHOWN} annotations of a level for a step; {len(shown.others):,} more:")
        show_findings(console, shown.others)
    _show_refused(console, found)
    show_counts(console, found)
    levels = {finding.rule: finding.level for finding in found.findings}
    rows = [(rule, levels[rule], f"{count:,}") for rule, count in found.by_rule().items()]
    title = f"Submission check, {found.checked.round}"
    console.summary(markdown_table(title, ("rule", "level", "findings"), rows, right=(2,), note=counts_text(found)))


def _show_refused(console: Console, found: SubmissionCheck) -> None:
    if found.checked.refused:
        console.result()
        console.result("would be refused:")
        for path in found.checked.refused:
            console.result(f"  {one_line(path) or '(everything)'}")


def show_counts(console: Console, found: SubmissionCheck) -> None:
    """How much was looked at, and the verdict."""
    console.result(counts_text(found))


def counts_text(found: SubmissionCheck) -> str:
    """The same as a line."""
    checked = found.checked
    errors = sum(finding.level == "error" for finding in found.findings)
    warnings = sum(finding.level == "warning" for finding in found.findings)
    hints = len(found.findings) - errors - warnings
    verdict = "nothing would be refused" if found.good else f"{len(checked.refused):,} would be refused"
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    if hints:
        told += f", {counted(hints, 'hint')}"
    looked = f"{counted(checked.results, 'result')}, {counted(len(checked.rows), 'row')}"
    return f"{checked.round}: {looked}, {told}: {verdict}"
