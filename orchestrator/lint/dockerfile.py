"""A Dockerfile as instructions with line and column of every character of them. Pure.

Continued lines are joined as the builder joins them, comments between them are kept
apart, here-documents belong to their instruction, and `# escape=` counts. No library on
PyPI does all of that: dockerfile-parse reads the body of a here-document as instructions.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import Span
from orchestrator.lint.shell import Word, words

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYWORDS = frozenset(
    [
        "FROM",
        "RUN",
        "CMD",
        "LABEL",
        "MAINTAINER",
        "EXPOSE",
        "ENV",
        "ADD",
        "COPY",
        "ENTRYPOINT",
        "VOLUME",
        "USER",
        "WORKDIR",
        "ARG",
        "ONBUILD",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "SHELL",
    ]
)
_INSTRUCTION = re.compile(r"(\s*)([A-Za-z]+)(\s+|$)")
_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*[a-z]+\s*=", re.IGNORECASE)
_HERE = re.compile(r"(?:^|(?<=\s))[0-9]*<<-?(?P<quote>[\"']?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)(?=\s|$)")
_FLAG = re.compile(r"--([a-z][a-z0-9.-]*)(?:=(\S*))?(?:\s+|$)")
_TAKES_HERE = frozenset({"RUN", "COPY", "ADD"})


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment line without its `#`."""

    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """``--name=value`` before an instruction's arguments."""

    name: str
    value: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HereDocument:
    """The lines of a here-document, from line ``line`` on."""

    name: str
    line: int
    text: str


def without_here(text: str) -> str:
    """A command without its here-documents' marks."""
    return _HERE.sub(" ", text).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction: ``text`` is what follows the keyword, continued lines joined."""

    path: str
    keyword: str
    line: int
    column: int
    end_line: int
    text: str
    flags: tuple[Flag, ...] = ()
    start: int = 0
    """Where the arguments begin in `text`, after the flags."""
    here: tuple[HereDocument, ...] = ()
    segments: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)
    """(offset in `text`, line, column) where a physical line begins."""

    @property
    def arguments(self) -> str:
        """`text` without the flags."""
        return self.text[self.start :]

    @property
    def exec_form(self) -> tuple[str, ...] | None:
        """The words of the JSON form, or None where the instruction has another form."""
        if not self.arguments.lstrip().startswith("["):
            return None
        try:
            found = json.loads(self.arguments)
        except (ValueError, RecursionError):
            return None
        return tuple(found) if isinstance(found, list) and all(isinstance(word, str) for word in found) else None

    def words(self) -> tuple[Word, ...]:
        """The arguments as words; of the JSON form its members, each where it stands."""
        members = self.exec_form
        if members is None:
            return words(self.arguments, self.start)
        found, at = [], self.start
        for member in members:
            at = max(self.text.find(json.dumps(member, ensure_ascii=False), at), at)
            found.append(Word(member, at))
        return tuple(found)

    def flag(self, name: str) -> Flag | None:
        """The first flag of a name."""
        return next((flag for flag in self.flags if flag.name == name), None)

    def span(self, offset: int | None = None, length: int = 1) -> Span:
        """Where a part of `text` stands; the keyword where none is given."""
        if offset is None or not self.segments:
            return Span.at(self.path, self.line, self.column, len(self.keyword))
        index = max(0, bisect_right(self.segments, (offset, 1 << 30, 0)) - 1)
        begin, line, column = self.segments[index]
        return Span.at(self.path, line, column + offset - begin, length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A whole file; ``faults`` are (message, span) of what is no Dockerfile."""

    path: str
    lines: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    comments: tuple[Comment, ...]
    faults: tuple[tuple[str, Span], ...] = ()

    def parts(self) -> tuple[tuple[Instruction, ...], ...]:
        """What stands before the first FROM (global arguments), then each stage, its FROM first."""
        starts = [0, *(i for i, one in enumerate(self.instructions) if one.keyword == "FROM")]
        return tuple(self.instructions[begin:end] for begin, end in zip(starts, [*starts[1:], None], strict=True))


def parse(text: str, path: str) -> Dockerfile:
    """Read a Dockerfile; whatever cannot be one is among `Dockerfile.faults`, never an error."""
    return _Reader(text, path).read()


class _Reader:
    """Goes through the lines once."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        # As Docker splits it: no other character ends a line.
        lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n") if text else []
        self.lines = tuple(line.removesuffix("\r") for line in lines)
        self.at = 0
        self.escape = self._escape_character()
        self.instructions: list[Instruction] = []
        self.comments: list[Comment] = []
        self.faults: list[tuple[str, Span]] = []

    def read(self) -> Dockerfile:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip():
                self.at += 1
            elif line.lstrip().startswith("#"):
                self._comment()
            else:
                self._instruction()
        if not any(one.keyword == "FROM" for one in self.instructions):
            self.faults.append(("there is no FROM: this is no Dockerfile", Span.at(self.path)))
        return Dockerfile(
            path=self.path,
            lines=self.lines,
            instructions=tuple(self.instructions),
            comments=tuple(self.comments),
            faults=tuple(self.faults),
        )

    def _escape_character(self) -> str:
        """`# escape=` among the directives at the very top, else a backslash."""
        for line in self.lines:
            if found := _ESCAPE.match(line.strip()):
                return found[1]
            if not _DIRECTIVE.match(line.strip()):
                break
        return "\\"

    def _comment(self) -> None:
        line = self.lines[self.at]
        column = len(line) - len(line.lstrip()) + 1
        self.comments.append(Comment(self.at + 1, column, line.lstrip()[1:].strip()))
        self.at += 1

    def _instruction(self) -> None:
        began, line = self.at, self.lines[self.at]
        match = _INSTRUCTION.match(line)
        keyword = match[2].upper() if match else ""
        if match is None or keyword not in KEYWORDS:
            shown = line.split()[0]
            self.faults.append((f"`{shown[:40]}` is no instruction", Span.at(self.path, began + 1, 1, len(shown))))
            self.at += 1
            return
        text, segments = self._logical(match.end(0))
        flags, start = _flags(text) if keyword in {"FROM", "RUN", "COPY", "ADD", "HEALTHCHECK"} else ((), 0)
        made = Instruction(
            path=self.path,
            keyword=keyword,
            line=began + 1,
            column=len(match[1]) + 1,
            end_line=self.at,
            text=text,
            flags=flags,
            start=start,
            here=tuple(self._here(text)) if keyword in _TAKES_HERE else (),
            segments=segments,
        )
        self.instructions.append(made)

    def _logical(self, skip: int) -> tuple[str, tuple[tuple[int, int, int], ...]]:
        """The text of an instruction from column `skip` of the line at hand, and where its lines begin in it."""
        parts: list[str] = []
        segments: list[tuple[int, int, int]] = []
        length = 0
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if parts and (not line.strip() or line.lstrip().startswith("#")):
                if line.strip():
                    self._comment()
                else:
                    self.at += 1
                continue
            content = line[skip:].rstrip()
            goes_on = content.endswith(self.escape)
            content = content[:-1] if goes_on else content
            segments.append((length, self.at + 1, skip + 1))
            parts.append(content)
            length += len(content)
            skip = 0
            self.at += 1
            if not goes_on:
                break
        return "".join(parts), tuple(segments)

    def _here(self, text: str) -> Iterator[HereDocument]:
        for match in _HERE.finditer(text):
            began, body = self.at, []
            while self.at < len(self.lines) and self.lines[self.at].strip("\t") != match["name"]:
                body.append(self.lines[self.at])
                self.at += 1
            if self.at >= len(self.lines):
                message = f"the here-document `{match['name']}` has no end"
                self.faults.append((message, Span.at(self.path, max(began, 1))))
            self.at += 1
            yield HereDocument(name=match["name"], line=began + 1, text="\n".join(body))


def _flags(text: str) -> tuple[tuple[Flag, ...], int]:
    """The flags at the head of an instruction's text, and where its arguments begin."""
    found, at = [], len(text) - len(text.lstrip())
    while match := _FLAG.match(text, at):
        found.append(Flag(match[1], match[2] or "", at))
        at = match.end()
    return tuple(found), at
