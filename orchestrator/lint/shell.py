"""The commands of a shell script, well enough for a linter: words, pipes, substitutions, each where it stands. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
INTERPRETERS = SHELLS | {"python", "python3", "perl", "ruby", "node"}
_DEEPEST = 16
_OPERATORS = ("&&", "||", ";;", "|&", ";", "|", "&", "\n", "(", ")")
_RESERVED = frozenset({"if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "time"})
_WRAPPERS = frozenset({"sudo", "env", "exec", "nice", "nohup", "xargs", "eatmydata", "command", "busybox"})
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,+@%^~{}\[\]-]+")
"""Characters that mean themselves wherever they stand in a word: most of a script is read in runs of them."""
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>[^}]*)\}|(?P<plain>[A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its quotes removed, and the offset at which it begins."""

    text: str
    offset: int
    literal: bool = False
    """Whether it was in single quotes: no variable in it means anything to the shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One simple command; ``after`` is the operator before it: ``|``, ``&&``, ``$(``, ``<(`` or empty."""

    words: tuple[Word, ...]
    after: str = ""

    @property
    def assigned(self) -> tuple[str, ...]:
        """The names that it sets before its program or on its own: ``A=1 B=2 make``, ``export A=1``."""
        found = []
        for word in self.words:
            if word.text in {"export", "declare", "local", "readonly"}:
                continue
            if not _ASSIGNMENT.match(word.text):
                break
            found.append(word.text.partition("=")[0].rstrip("+"))
        if self.words and self.words[0].text in {"read", "for"}:
            found += [word.text for word in self.words[1:2]]
        return tuple(found)

    @property
    def program(self) -> tuple[Word, ...]:
        """The program and its arguments, without assignments, reserved words and wrappers such as sudo."""
        rest = list(self.words)
        while rest:
            text = rest[0].text
            if text in _RESERVED or _ASSIGNMENT.match(text):
                rest.pop(0)
            elif text.rpartition("/")[2] in _WRAPPERS and len(rest) > 1:
                rest.pop(0)
                while len(rest) > 1 and rest[0].text.startswith("-"):
                    rest.pop(0)
            else:
                break
        return tuple(rest)

    @property
    def name(self) -> str:
        """The program's name without its folder; empty where there is none."""
        program = self.program
        return program[0].text.rpartition("/")[2] if program else ""

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.program[1:]

    def has(self, *texts: str) -> bool:
        """Whether one of the arguments is one of these."""
        return any(word.text in texts for word in self.arguments)


def commands(text: str, offset: int = 0, depth: int = 0) -> tuple[Command, ...]:
    """The simple commands of a script in order, those inside substitutions after the one that holds them.

    ``depth`` is how many substitutions it stands in; what stands in more than a person writes is not looked at.
    """
    return tuple(_Scanner(text, offset, depth=depth).commands()) if depth <= _DEEPEST else ()


def words(text: str, offset: int = 0) -> tuple[Word, ...]:
    """The words of a line without looking for operators, as ENV, ARG and COPY have them."""
    scanner = _Scanner(text, offset, operators=())
    found: list[Word] = []
    while scanner.at < len(text):
        if (word := scanner.word()) is not None:
            found.append(word)
    return tuple(found)


def variables(text: str) -> Iterator[tuple[str, str, int]]:
    """Name, what follows it in braces (``:-default``) and offset of every ``$NAME`` in a text."""
    for match in VARIABLE.finditer(text):
        if match.start() and text[match.start() - 1] == "\\":
            continue
        yield match["braced"] or match["plain"], match["rest"] or "", match.start()


def reads(text: str, name: str) -> bool:
    """Whether a text has a variable of this name."""
    return any(found == name for found, _, _ in variables(text))


class _Scanner:
    """Reads words and operators left to right."""

    def __init__(self, text: str, offset: int, operators: tuple[str, ...] = _OPERATORS, depth: int = 0) -> None:
        self.text, self.base, self.operators, self.depth = text, offset, operators, depth
        self.at = 0
        self.inner: list[Command] = []

    def commands(self) -> Iterator[Command]:
        found: list[Word] = []
        after = ""
        while self.at < len(self.text):
            operator = self._operator()
            if operator:
                yield from self._flush(found, after)
                found, after = [], operator
            elif (word := self.word()) is not None:
                found.append(word)
        yield from self._flush(found, after)

    def _flush(self, found: list[Word], after: str) -> Iterator[Command]:
        if found:
            yield Command(words=tuple(found), after="" if after in {"(", ")"} else after)
        yield from self.inner
        self.inner = []

    def _operator(self) -> str:
        """The operator here, taken; blanks before it and comments are passed over."""
        while self.at < len(self.text) and self.text[self.at] in " \t\r":
            self.at += 1
        if self.operators and self.text.startswith("#", self.at):
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        for operator in self.operators:
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return operator
        return ""

    def word(self) -> Word | None:
        """The word here; None at the end or at something that is none."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        began, parts = self.at, []
        literal = self.text.startswith("'", self.at)
        while self.at < len(self.text) and not self._ends():
            parts.append(self._piece())
        if began == self.at:
            self.at += 1
            return None
        return Word("".join(parts), self.base + began, literal)

    def _ends(self) -> bool:
        character = self.text[self.at]
        if character.isspace():
            return True
        if character == "&" and self.at and self.text[self.at - 1] in "<>":  # 2>&1
            return False
        if character == "(" and self.at and self.text[self.at - 1] in "<>":  # <( … )
            return False
        return any(self.text.startswith(operator, self.at) for operator in self.operators)

    def _piece(self, *, quoted: bool = False) -> str:
        """A run of plain characters, or one quoted or substituted part; ``quoted``: in double quotes."""
        plain = _PLAIN.match(self.text, self.at)
        if plain is None:
            return self._special(quoted=quoted)
        self.at = plain.end()
        return plain.group()

    def _special(self, *, quoted: bool) -> str:
        """A part that begins with a character of some meaning, or that character alone."""
        text, at = self.text, self.at
        character = text[at]
        if character == "\\" and at + 1 < len(text):
            self.at += 2
            return text[at + 1] if text[at + 1] != "\n" else ""
        if character == "'" and not quoted:
            end = text.find("'", at + 1)
            self.at = len(text) if end < 0 else end + 1
            return text[at + 1 : self.at - 1] if end >= 0 else text[at + 1 :]
        if character == '"':
            return self._double()
        if text.startswith("$(" if quoted else ("$(", "<(", ">("), at) and self.operators:
            return self._substitution(text[at : at + 2])
        if character == "`" and self.operators:
            return self._back()
        self.at += 1
        return character

    def _double(self) -> str:
        self.at += 1
        parts = []
        while self.at < len(self.text) and self.text[self.at] != '"':
            parts.append(self._piece(quoted=True))
        self.at += 1
        return "".join(parts)

    def _substitution(self, opening: str) -> str:
        """``$( … )`` as it stands; the commands in it are kept for after this one."""
        began = self.at
        depth, self.at = 1, self.at + 2
        while self.at < len(self.text) and depth:
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            self.at += 1
        inside = self.text[began + 2 : self.at - 1]
        self._keep(inside, began + 2, opening)
        return self.text[began : self.at]

    def _back(self) -> str:
        began = self.at
        end = self.text.find("`", began + 1)
        self.at = len(self.text) if end < 0 else end + 1
        self._keep(self.text[began + 1 : self.at - 1], began + 1, "$(")
        return self.text[began : self.at]

    def _keep(self, text: str, at: int, opening: str) -> None:
        for index, command in enumerate(commands(text, self.base + at, self.depth + 1)):
            self.inner.append(command if index else Command(words=command.words, after=opening))
