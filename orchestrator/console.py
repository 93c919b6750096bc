"""What people and programs see: results on stdout, talk on stderr.

The only module that prints. rich is imported when a table or a live display is
drawn, never for plain lines.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console as RichConsole
    from rich.progress import Progress

    from orchestrator.errors import MlorchError, Problem

_RED, _YELLOW, _GREEN, _BOLD, _DIM = "31", "33", "32", "1", "2"
_STYLES = {"red": _RED, "yellow": _YELLOW, "green": _GREEN, "bold": _BOLD, "dim": _DIM}


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
            "message": p.message,
            "path": p.span.path if p.span else None,
            "line": p.span.line if p.span else None,
            "column": p.span.column if p.span else None,
            "hint": p.hint,
            "level": p.level,
        }
        for p in problems
    ]


class Console:
    """Writes results to stdout and talk to stderr; colour only where a person looks and NO_COLOR is unset."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        self._rich: RichConsole | None = None

    # -- results, on stdout ------------------------------------------------------------

    def document(self, value: object) -> None:
        """One JSON document, the whole of stdout of a `--json` command."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")
        sys.stdout.flush()

    def result(self, text: str = "") -> None:
        """A line of the result itself."""
        sys.stdout.write(text + "\n")

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", right: Sequence[int] = ()
    ) -> None:
        """A table on stdout; `right` names the columns of numbers. Cells may carry `[red]…[/]` marks."""
        from rich import box
        from rich.console import Console as RichConsole
        from rich.table import Table

        class Stdout(RichConsole):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError  # rich would exit with 1; `cli` knows better what a closed pipe means

        table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console = Stdout(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
        if table.__rich_measure__(console, console.options).maximum <= console.width:
            console.print(table)
            return
        if title:  # too narrow for columns: words cut in pieces cannot be read, so a block a row
            console.print(title, style="italic")
        width = max(len(column) for column in columns)
        for row in rows:
            console.print()
            for column, cell in zip(columns, row, strict=True):
                console.print(f"{column:{width}}  {cell}", soft_wrap=True)

    # -- talk, on stderr ---------------------------------------------------------------

    def say(self, text: str = "", *, style: str = "") -> None:
        """A line for people."""
        if not self.quiet:
            self._err(text, style)

    def warn(self, text: str) -> None:
        """Something that a person should know and that stops nothing."""
        self._err(f"warning: {text}", "yellow")

    def problem(self, problem: Problem) -> None:
        """A failure, located where it has a place."""
        from orchestrator.source import render_problem

        self._err(render_problem(problem), "red" if problem.span is None else "")

    def _err(self, text: str, style: str) -> None:
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
        """Whether a moving display makes sense: a terminal, not quiet, not CI."""
        return sys.stderr.isatty() and not self.quiet and not os.environ.get("CI")

    @contextmanager
    def progress(self, *, unit: str = "") -> Iterator[Progress]:
        """A rich progress display on stderr; without a terminal it draws nothing and costs nothing."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}" + unit, style="dim"),
        )
        with Progress(*columns, console=self.rich, disable=not self.live, transient=True) as progress:
            yield progress


def _plain(value: object) -> object:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)  # type: ignore[call-overload]  # narrowed by the attribute above
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)
