"""`mlorch submission check --watch`: what is otherwise than before, until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.commands.common import counted
from orchestrator.commands.submission_check_view import finding_lines, show_counts
from orchestrator.facts.neutral import one_line
from orchestrator.operations.submission_watch import watch_submission
from orchestrator.operations.submissions import write_summary

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.submission_watch import WatchStep
    from orchestrator.operations.submissions import CheckRequest

_MOST_WAITING = 8


def watch(console: Console, context: Context, request: CheckRequest, csv: Path | None) -> int:
    """Show each difference; the exit status is that of the last check."""
    last: WatchStep | None = None
    try:
        for step in watch_submission(context, request):
            last = step
            _show(console, step)
            if csv is not None and step.check is not None:
                write_summary(step.check, csv)
    except KeyboardInterrupt:
        console.say("ended")
    return 0 if last is not None and last.check is not None and last.check.good else 1


def _show(console: Console, step: WatchStep) -> None:
    for sign, findings in (("-", step.gone), ("+", step.new)):
        for finding in findings:
            first, *rest = finding_lines(finding)
            console.result(f"{sign} {first}")
            for line in rest if sign == "+" else ():
                console.result(f"  {line}")
    for path in step.waiting[:_MOST_WAITING]:
        console.result(f"  {one_line(path) or '.'}: not complete yet: files of it are still being written")
    if len(step.waiting) > _MOST_WAITING:
        console.result(f"  and {len(step.waiting) - _MOST_WAITING:,} more")
    console.say(time.strftime("%H:%M:%S"), style="dim")
    if step.check is None:
        console.result("no results yet")
    elif step.waiting:
        checked = step.check.checked
        looked = f"{counted(checked.results, 'result')}, {counted(len(checked.rows), 'row')}"
        console.result(f"{checked.round}: {looked} so far")
    else:
        show_counts(console, step.check)
    console.flush()
