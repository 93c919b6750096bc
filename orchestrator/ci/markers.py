"""Folds, annotations and summaries of GitHub Actions and GitLab CI. Pure.

Both systems read commands out of the log itself, so whatever a recipe, a container or a
file says is made harmless before it is printed: no text of theirs can start a command.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.errors import Problem

_COMMAND = re.compile(r"^(\s*)::(?=\S)", re.MULTILINE)
_OLD_COMMAND = "##["
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+.!|~&@:-])")
SUMMARY_LIMIT = 900_000
"""Bytes; GitHub takes 1 MiB a step and drops what is larger."""


@dataclass(frozen=True, slots=True)
class GitHub:
    """Workflow commands of GitHub Actions."""

    workspace: str = ""
    """The top of the repository: a file is annotated by its path below it."""
    folder: str = ""
    summary: str = ""
    """The file that takes a summary in Markdown, or empty."""

    def opening(self, title: str, now: int) -> str:  # noqa: ARG002 (GitLab's wants it)
        """The line that begins a fold; ``now`` is in seconds since 1970. Every text may come from anybody."""
        return f"::group::{_data(title)}"

    def closing(self, title: str, now: int) -> str:  # noqa: ARG002 (GitLab's wants both)
        """The line that ends the fold with this title."""
        return "::endgroup::"

    def annotation(self, problem: Problem) -> str:
        """The line that puts a fault where it stands; empty where the system has none."""
        words = {"title": f"mlorch: {problem.slug}"}
        if problem.span is not None and (file := self._file(problem.span.path)):
            span = problem.span
            words = {"file": file, "line": str(span.line), "col": str(span.column), **words}
            if span.end_line == span.line:
                words["endColumn"] = str(span.end_column)
        text = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
        given = ",".join(f"{name}={_property(value)}" for name, value in words.items())
        return f"::{problem.level} {given}::{_data(text)}"

    def warning(self, text: str) -> str:
        """A warning, for a line of its own."""
        return f"::warning title=mlorch::{_data(text)}"

    def plain(self, text: str) -> str:
        """`text` with everything gone that the system would take for a command."""
        return _COMMAND.sub(r"\1: :", neutral(text)).replace(_OLD_COMMAND, "## [")

    def _file(self, path: str) -> str:
        """The path from the top of the repository; empty for a file that is none of its own."""
        full = posixpath.normpath(posixpath.join(self.folder, path))
        below = posixpath.normpath(self.workspace) + "/" if self.workspace else ""
        return full.removeprefix(below) if below and full.startswith(below) else ""


@dataclass(frozen=True, slots=True)
class GitLab:
    """Collapsible sections of GitLab's job logs, by the methods of `GitHub`; it has no annotations in a log."""

    summary: str = ""

    def opening(self, title: str, now: int) -> str:
        one_line = self.plain(title).replace("\n", " ")
        return f"\x1b[0Ksection_start:{now}:{_key(title)}[collapsed=true]\r\x1b[0K{one_line}"

    def closing(self, title: str, now: int) -> str:
        return f"\x1b[0Ksection_end:{now}:{_key(title)}\r\x1b[0K"

    def annotation(self, problem: Problem) -> str:  # noqa: ARG002 (GitHub has them)
        return ""

    def warning(self, text: str) -> str:
        return self.plain(f"warning: {text}")

    def plain(self, text: str) -> str:
        return neutral(text)


def _data(text: str) -> str:
    """A command's text: one line, whatever it holds."""
    return neutral(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    """A command's property: nor may it end the property or the command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _key(text: str) -> str:
    """The name of a section: letters, digits and ``_ . -``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:100] or "part"


# -- Markdown for summaries --------------------------------------------------------------------


def markdown(text: str) -> str:
    """`text` as it reads, in one cell of a table: no mark of it means anything."""
    return _MARKDOWN.sub(r"\\\1", neutral(text).replace("\n", " "))


def markdown_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), note: str = ""
) -> str:
    """A heading, a table and a line below it; every text is escaped."""
    lines = [f"### {markdown(title)}", ""]
    lines.append("| " + " | ".join(markdown(column) for column in columns) + " |")
    lines.append("|" + "|".join("---:" if index in right else "---" for index in range(len(columns))) + "|")
    lines += ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in rows]
    if note:
        lines += ["", markdown(note)]
    return "\n".join(lines) + "\n\n"
