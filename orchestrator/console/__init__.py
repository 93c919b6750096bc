"""What people, programs and CI systems see: results on stdout, talk on stderr.

The only module that prints. rich is imported when a table or a live display is
drawn, never for plain lines. In CI the log folds and annotates itself (`orchestrator.ci`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from orchestrator.ci import detect
from orchestrator.facts.neutral import neutral, neutral_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console as RichConsole
    from rich.progress import Progress, Task
    from rich.text import Text

    from orchestrator.errors import MlorchError, Problem

_ROOM_FOR_A_BAR = 100
"""Columns of a terminal from which on a bar has room beside the words of a test."""
_STYLES = {"red": "31", "yellow": "33", "green": "32", "bold": "1", "dim": "2"}


def error_document(error: MlorchError) -> dict[str, object]:
    """The JSON form of a failure: `{"error": {...}}`, with every problem where there are several."""
    problems = problem_documents(error.problems())
    first: dict[str, object] = {**problems[0], "exit_code": error.exit_code}
    if len(problems) > 1:
        first["problems"] = problems
    return {"error": first}


def problem_documents(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """The JSON form of faults."""
    return [
        {
            "slug": p.slug,
            "message": _redacted(p.message),
            "path": p.span.path if p.span else None,
            "line": p.span.line if p.span else None,
            "column": p.span.column if p.span else None,
            "hint": _redacted(p.hint),
            "level": p.level,
        }
        for p in problems
    ]


class Console:
    """Writes results to stdout and talk to stderr; colour only where a person looks and NO_COLOR is unset."""

    def __init__(self, *, quiet: bool = False, markers: bool = True) -> None:
        self.quiet = quiet
        self.ci = detect(os.environ, _folder()) if markers and not quiet else None
        """The CI system whose marks are written; with --json none is, as a program reads."""
        self._fold = ""
        self.colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and not _is_dumb()
        self._rich: RichConsole | None = None

    # -- results, on stdout ------------------------------------------------------------

    def document(self, value: object) -> None:
        """One JSON document, the whole of stdout of a `--json` command."""
        text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
        sys.stdout.write(neutral_json(text) + "\n")
        sys.stdout.flush()

    def result(self, text: str = "") -> None:
        """A line of the result itself."""
        sys.stdout.write(self._clean(text) + "\n")

    def flush(self) -> None:
        """Hand on what was written, where more comes later: a pipe would keep it."""
        sys.stdout.flush()

    def annotation(self, problem: Problem) -> None:
        """A fault as a result, in the form of the CI system; nothing where there is none."""
        if self.ci is not None:
            told = replace(problem, message=_redacted(problem.message), hint=_redacted(problem.hint))
            sys.stdout.write(self.ci.annotation(told) + "\n")

    def facts(self, lines: Sequence[tuple[str, str]]) -> None:
        """Labels and what they say, in two columns; where the width is known long ones break between words."""
        import shutil
        import textwrap

        width = max((len(label) for label, _ in lines), default=0)
        columns = _asked_columns() or (shutil.get_terminal_size().columns if sys.stdout.isatty() else 0)
        room = columns - width - 5
        for label, value in lines:
            parts = textwrap.wrap(value, room, break_long_words=False, break_on_hyphens=False) if room > 0 else [value]
            for index, part in enumerate(parts or [""]):
                self.result(f"  {'' if index else label:{width}}  {part}")

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        title: str = "",
        right: Sequence[int] = (),
        drop: Sequence[int] = (),
        either: tuple[int, int] | None = None,
    ) -> None:
        """A table on stdout; `right` names the columns of numbers. Cells may carry `[red]…[/]` marks.

        Where it is too wide, the second column of `either` is laid into the first (no row has both), the columns of
        `drop` are left out one after the other, then words break into lines.
        Where that does not help it is a block a row, as words cut in pieces cannot be read.
        """
        from rich.console import Console as RichConsole

        from orchestrator.console.tables import print_table

        class Stdout(RichConsole):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError  # rich would end the process; the streams of a command go on (`host.streams`)

        width = None if sys.stdout.isatty() else _asked_columns() or 160
        console = Stdout(file=sys.stdout, width=width, highlight=False)
        title = self._clean(title)
        clean = [[self._clean(cell) for cell in row] for row in rows]
        left_out = print_table(console, columns, clean, title=title, right=right, drop=drop, either=either)
        if left_out:
            self.say(f"left out, as there is no room: {', '.join(left_out)}", style="dim")

    # -- talk, on stderr ---------------------------------------------------------------

    def say(self, text: str = "", *, style: str = "") -> None:
        """A line for people."""
        if not self.quiet:
            self._err(text, style)

    def warn(self, text: str) -> None:
        """Something that a person should know and that stops nothing."""
        if self.ci is not None:
            self._mark(self.ci.warning(_redacted(text)))
            return
        self._err(f"warning: {text}", "yellow")

    def problem(self, problem: Problem) -> None:
        """A failure, with its position where it has one."""
        from orchestrator.definitions.yaml import render_problem

        self._err(render_problem(problem), "red" if problem.span is None else "")
        if self.ci is not None:
            told = replace(problem, message=_redacted(problem.message), hint=_redacted(problem.hint))
            self._mark(self.ci.annotation(told))

    # -- marks for CI systems ------------------------------------------------------------

    def open_fold(self, title: str) -> None:
        """Begin a part of the log that folds; ends the one that is open, as they do not nest everywhere."""
        self.close_fold()
        if self.ci is not None:
            self._fold = title
            self._mark(self.ci.opening(title, int(time.time())))

    def close_fold(self) -> None:
        """End the part that is open, if one is."""
        if self.ci is not None and self._fold:
            self._mark(self.ci.closing(self._fold, int(time.time())))
        self._fold = ""

    def summary(self, text: str) -> None:
        """Add Markdown to the summary of the step, where the CI system keeps one; a full one is left as it is."""
        path = self.ci.summary if self.ci is not None else ""
        if not path:
            return
        from orchestrator.ci.markers import SUMMARY_LIMIT

        try:
            with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 (appended; the file is the system's)
                if file.tell() + len(text.encode()) < SUMMARY_LIMIT:
                    file.write(text)
        except OSError as error:
            self.say(f"no summary: {path}: {error.strerror}")

    def _clean(self, text: str) -> str:
        """``text`` as it may be shown: anybody may have written it."""
        return self.ci.plain(text) if self.ci else neutral(text)

    def _mark(self, text: str) -> None:
        """A line for the CI system, as it is."""
        if text:
            sys.stdout.flush()
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def _err(self, text: str, style: str) -> None:
        text = self._clean(_redacted(text))
        if style and self.colour:
            text = f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @property
    def rich(self) -> RichConsole:
        """The rich console on stderr, made when first used."""
        if self._rich is None:
            from rich.console import Console as RichConsole

            self._rich = RichConsole(stderr=True, highlight=False, quiet=self.quiet)
        return self._rich

    @property
    def live(self) -> bool:
        """Whether a moving display makes sense: a terminal that can move, not quiet, not CI."""
        return sys.stderr.isatty() and not self.quiet and not os.environ.get("CI") and not _is_dumb()

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A rich progress display on stderr; without a terminal it draws nothing and costs nothing.

        A long title leaves room for what is said beside it, and a narrow terminal has the percentage alone.
        """
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column
        from rich.text import Text

        class Words(TextColumn):
            """Anybody may have written them: no marks, no control characters."""

            def render(self, task: Task) -> Text:
                return Text(neutral(self.text_format.format(task=task)), style=self.style)

        width = self.rich.width
        columns = (
            SpinnerColumn(),
            Words("{task.description}", table_column=Column(no_wrap=True, max_width=width * 9 // 20)),
            *((BarColumn(bar_width=28),) if width >= _ROOM_FOR_A_BAR else ()),
            TaskProgressColumn(),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=len("0:00:00"))),
            Words("{task.fields[note]}", style="dim"),
        )
        with Progress(*columns, console=self.rich, disable=not self.live, transient=True) as progress:
            yield progress


def _redacted(text: str) -> str:
    """``text`` without what addresses in it hold of users and passwords: a git address may be anybody's."""
    if "://" not in text:
        return text
    from orchestrator.facts.redact import redacted_text

    return redacted_text(text)


def _is_dumb() -> bool:
    """Whether the terminal shows nothing but lines of letters, as an editor's may."""
    return os.environ.get("TERM", "") in {"dumb", "unknown"}


def _asked_columns() -> int:
    """The width that COLUMNS asks for, which counts for a pipe too; 0 where it says nothing."""
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() else 0


def _folder() -> str:
    """The working folder; empty where it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109 (pathlib costs more than the whole of this module)
    except OSError:
        return ""


def _plain(value: object) -> object:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)  # type: ignore[call-overload]  # narrowed by the attribute above
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)
