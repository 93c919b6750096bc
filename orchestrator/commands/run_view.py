"""What a person sees of a run: a moving line on a terminal, a line a test elsewhere, a table at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.commands.build_view import View
from orchestrator.commands.common import disturbed_text
from orchestrator.facts.metrics import text
from orchestrator.facts.neutral import neutral
from orchestrator.runs.runner import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.progress import Progress, TaskID

    from orchestrator.console import Console
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.run.suite import SuiteRun
    from orchestrator.results.summary import Summary
    from orchestrator.runs.runner import Outcome


_NOTE_WIDTH = 60
"""Of the last line of a program's output, beside the moving line."""


class RunView(View, Watcher):
    """Follows the tests of a run by the harness's own events."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._task: TaskID | None = None
        self._title = ""

    def begin(self, step: RunStep, number: int, total: int) -> None:
        """A test begins; a total of 0 is a test of a search, whose number is not known beforehand."""
        self._title = self.title(step, number, total)
        if self._progress is None:
            self._console.open_fold(self._title)
            self._console.say(f"{self._title} …")
            return
        self._task = self._progress.add_task(self._title, total=None, note="starting")

    def title(self, step: RunStep, number: int, total: int) -> str:
        """What a test is called while it runs."""
        count = f"[{number}/{total}] " if total else f"[{number}] "
        return f"{count}{step.benchmark} {step.scenario} {step.name}"

    def event(self, step: RunStep, event: Mapping[str, object]) -> None:  # noqa: ARG002 (of the protocol)
        """Progress and phases move the line; a log line is shown."""
        kind = event.get("event")
        if kind == "log":
            self._show(str(event.get("text", "")))
        elif self._progress is not None and self._task is not None:
            if kind == "phase":
                self._phase(self._progress, self._task, str(event.get("name", "")))
            elif kind == "progress":
                total = _number(event.get("total"))
                self._progress.update(
                    self._task, completed=_number(event.get("done")) or 0.0, total=total, note=_note(event)
                )

    @staticmethod
    def _phase(progress: Progress, number: TaskID, name: str) -> None:
        """Nobody knows how long a phase takes; one that is over stays as far as it came."""
        for task in progress.tasks:
            if task.id == number and name != "done":
                task.total, task.completed = None, 0  # `update` takes no total for one that stays as it is
        progress.update(number, note=name)

    def line(self, step: RunStep, text: str) -> None:
        """Whatever else a container says is shown as it is; of somebody else's program only how far it is.

        Its whole output is in console.log, and the end of it is shown where the test fails.
        """
        if step.external is None:
            self._show(text)
        elif self._progress is not None and self._task is not None:
            self._progress.update(self._task, note=neutral(text)[:_NOTE_WIDTH])

    def _show(self, text: str) -> None:
        if self._progress is not None:
            self._progress.console.print(f"  {neutral(text)}", markup=False, highlight=False, style="dim")
        else:
            self._console.say(f"  {text}", style="dim")

    def end(self, step: RunStep, outcome: Outcome) -> None:  # noqa: ARG002 (of the protocol)
        """A test ended: its result in a line."""
        from orchestrator.results.summary import summarise

        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._console.close_fold()
        summary = summarise(outcome.record, outcome.folder)
        style = "green" if summary.good else "red"
        self._console.say(f"{self._title}: {headline(summary)}", style=style)


def headline(summary: Summary) -> str:
    """One test in a few words: ``VALID, 2,275 samples/s``."""
    from orchestrator.results.summary import accuracy_text, metric_text

    words = [summary.verdict, *(["disturbed"] if summary.disturbed else [])]
    if summary.accuracy is not None:
        words.append(f"{accuracy_text(summary.accuracy)} of {summary.accuracy.samples:,} samples")
    elif summary.loadgen is not None and summary.loadgen.result is not None:
        words.append(metric_text(summary.loadgen.result))
    return ", ".join(words)


def show(console: Console, summaries: Sequence[Summary], results: str) -> None:
    """The final table, why a test does not count, and where everything lies.

    Of a test that was made again only the last try is explained: it counts, for the exit status too.
    """
    from orchestrator.operations.run.order import last_of_each_test
    from orchestrator.results.summary import DROP, EITHER, table

    if not summaries:
        return
    record = summaries[0].record
    shown = table(summaries)
    title = f"target {record.target}"
    console.table(shown.columns, shown.rows, title=title, right=shown.right, drop=DROP, either=EITHER)
    summarise_step(console, summaries)
    last = last_of_each_test(summaries)
    _explain(console, last)
    _tell_of_earlier_tries(console, summaries, last)
    causes: dict[tuple[str, tuple[str, ...]], list[Summary]] = {}
    for summary in last:
        if not summary.good:
            causes.setdefault((summary.verdict, summary.reasons), []).append(summary)
    for alike in causes.values():
        _complain(console, alike)
    for note in dict.fromkeys(summary.record.note for summary in summaries):
        console.result(note)
    console.say(f"records and reports: {results}")


def _explain(console: Console, summaries: Sequence[Summary]) -> None:
    """What a reader of the table has to know of its results: estimates, guesses, what came in their way."""
    for estimate in dict.fromkeys(filter(None, map(_estimate, summaries))):
        console.result(estimate)
    if any(summary.guessed_rate for summary in summaries):
        console.result("not searched: the rate is a careful guess, and the system may do more; `--find` looks for that")
    for doubt in dict.fromkeys(filter(None, map(_power_doubt, summaries))):
        console.warn(doubt)
    for near in dict.fromkeys(filter(None, map(_near_ceiling, summaries))):
        console.warn(near)
    if disturbed := [(_test(summary), summary.disturbed) for summary in summaries if summary.disturbed]:
        console.warn(disturbed_text(disturbed))


def _tell_of_earlier_tries(console: Console, summaries: Sequence[Summary], last: Sequence[Summary]) -> None:
    """Which tests were made again, and how often; why each try was not good is in its record."""
    runs = {summary.record.run_id for summary in last}
    again = Counter(_test(summary) for summary in summaries if summary.record.run_id not in runs)
    if again:
        tests = ", ".join(f"{test} ({count + 1})" for test, count in again.items())
        console.say(
            f"tries, of which the last counts: {tests}; `mlorch results show RUN` says why another was not good"
        )


def _test(summary: Summary) -> str:
    record = summary.record
    return f"{record.benchmark} {record.scenario} {record.test_name}"


def show_suite(console: Console, suite: SuiteRun) -> None:
    """What a suite did not run, and where the report of all lies."""
    for each in suite.chosen.left_out:
        console.result(f"left out: {each.benchmark}: {each.reason}")
    for name, error in suite.failed:
        console.warn(f"{name} did not run to its end: {error.message} [{error.slug}]")
        if error.hint:
            console.say(f"  {error.hint}")
    if suite.report is not None:
        console.say(f"report of all: {suite.report}")


def summarise_step(console: Console, summaries: Sequence[Summary]) -> None:
    """The table of results in the summary of a CI step."""
    from orchestrator.ci.markers import markdown_table
    from orchestrator.results.summary import table

    shown = table(summaries, marks=False)
    note = "; ".join(dict.fromkeys(summary.record.note for summary in summaries))
    title = f"mlorch: target {summaries[0].record.target}"
    console.summary(markdown_table(title, shown.columns, shown.rows, right=shown.right, note=note))


def _estimate(summary: Summary) -> str:
    """What the result of a stream scenario is, where LoadGen estimates it; empty elsewhere."""
    result = summary.loadgen.result if summary.loadgen is not None else None
    if result is None or "estimate" not in result.title:
        return ""
    return f"result of {summary.record.scenario}: {result.title}"


def _power_doubt(summary: Summary) -> str:
    """Why a power is none that a submission takes; empty where it is one, or was not measured."""
    informal = summary.record.informal_power
    if informal is not None and informal.reasons:
        from orchestrator.facts.energy import REASONS

        what = "no informal power" if informal.watts is None else "its informal power is doubtful"
        return f"{_test(summary)}: {what}: {'; '.join(REASONS.get(code, code) for code in informal.reasons)}"
    power = summary.record.power
    if power is None or power.watts is None or (power.passed and not power.simulated):
        return ""
    checks = [f"{one.name}: {one.why}" for one in power.checks if not one.passed]
    why = [*(["its analyser is simulated"] if power.simulated else []), *(checks or power.faults[:1])]
    return f"{_test(summary)}: its power is no figure for a submission: {'; '.join(why)}"


def _near_ceiling(summary: Summary) -> str:
    """That the client may be what was measured; empty where it could do much more."""
    from orchestrator.facts.measured import NEAR
    from orchestrator.results.summary import ceiling_text

    share = summary.measured.share_of_ceiling if summary.measured is not None else None
    if share is None or summary.measured is None or share < NEAR:
        return ""
    return f"{summary.record.run_id}: the client alone reaches {ceiling_text(summary.measured)}"


def _complain(console: Console, alike: Sequence[Summary]) -> None:
    """Why tests do not count, once for all that have one cause; of one that failed also the end of its log."""
    from orchestrator.runs.console_log import LOG, tail

    first = alike[0]
    which = _test(first) if len(alike) == 1 else f"{len(alike)} tests"
    console.warn(f"{which}: {first.verdict}: {'; '.join(first.reasons) or 'no reason given'}")
    if first.record.status != "done":
        for line in tail(first.folder / LOG, lines=10).splitlines():
            console.say(f"  | {line}", style="dim")
    for summary in alike:
        console.say(f"  the whole log is in {summary.folder / LOG}")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _note(event: Mapping[str, object]) -> str:
    rate, left = _number(event.get("qps")), _number(event.get("left_s"))
    words = [text(rate, "samples/s")] if rate is not None else []
    words += [f"{left:,.0f} s left"] if left is not None else []
    return ", ".join(words)
