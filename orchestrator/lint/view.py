"""What the rules look at: stages with the variables that hold at each instruction, and the scripts of RUN. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.errors import Span
from orchestrator.lint.dockerfile import without_here
from orchestrator.lint.shell import SHELLS, Command, Word, commands, variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.lint.dockerfile import Dockerfile, Flag, HereDocument, Instruction

_LONGEST = 4096
"""Characters of a name with its variables filled in; a longer one stays as it is written."""
_GIVEN = tuple(f"{side}{part}" for side in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "ARCH", "VARIANT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that a part of the file breaks."""

    rule: str
    span: Span
    message: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """A piece of shell in a RUN: its own text or a here-document."""

    run: Instruction
    text: str
    offset: int = 0
    here: HereDocument | None = None
    is_shell: bool = True
    """False for a here-document that another program reads: its text counts, its lines are no commands."""

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        return commands(self.text, self.offset) if self.is_shell else ()

    def span(self, word: Word) -> Span:
        """Where a word of it stands."""
        if self.here is None:
            return self.run.span(word.offset, len(word.text))
        before = self.text[: word.offset]
        line, column = self.here.line + before.count("\n"), word.offset - before.rfind("\n")
        return Span.at(self.run.path, line, column, len(word.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """``NAME=value`` of an ENV or ARG; ``value`` None for an ARG without a default."""

    instruction: Instruction
    name: str
    value: str | None
    offset: int

    @property
    def span(self) -> Span:
        return self.instruction.span(self.offset, len(self.name))


@dataclass(frozen=True, kw_only=True)
class View:
    """A stage with what it inherits: its FROM and what follows it, and the stage that it stands on."""

    name: str
    source: Instruction
    image: str
    """Of the FROM, arguments filled in; a variable without a value stays as it is written."""
    body: tuple[Instruction, ...]
    parent: View | None
    args: Mapping[str, str | None]
    """Global arguments, which an ARG without a default takes its value from."""

    @property
    def below(self) -> tuple[View, ...]:
        """The stages that it stands on, the nearest first."""
        return (self.parent, *self.parent.below) if self.parent else ()

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(pair for one in self.body if one.keyword in {"ENV", "ARG"} for pair in pairs_of(one))

    @cached_property
    def scripts(self) -> tuple[Script, ...]:
        return tuple(script for one in self.body if one.keyword == "RUN" for script in scripts_of(one))

    @cached_property
    def environment(self) -> dict[str, str | None]:
        """What this stage hands to those that stand on it: ENV, not ARG."""
        inherited = self.parent.environment if self.parent else {}
        return {**inherited, **{pair.name: pair.value for pair in self.pairs if pair.instruction.keyword == "ENV"}}

    def known(self, until: Instruction) -> dict[str, str | None]:
        """The variables at an instruction: None for an argument that has no value unless one is given."""
        found: dict[str, str | None] = dict(self.parent.environment) if self.parent else {}
        found |= dict.fromkeys(_GIVEN, "given")
        for pair in self.pairs:
            if pair.instruction.line >= until.line:
                break
            value = pair.value
            if pair.instruction.keyword == "ARG" and value is None:
                value = self.args.get(pair.name)
            found[pair.name] = value
        return found


@dataclass(frozen=True, kw_only=True)
class File:
    """A Dockerfile and what is known of its build: the tag it gets, contexts that have a name, whether it is run."""

    dockerfile: Dockerfile
    tag: str
    contexts: tuple[str, ...]
    runs: bool
    """Whether containers are started of it, not only layers put on top."""
    global_pairs: tuple[Pair, ...]
    """Global arguments."""
    views: tuple[View, ...]

    @property
    def scripts(self) -> Iterator[Script]:
        """Those of all stages."""
        return (script for view in self.views for script in view.scripts)


def make_file(dockerfile: Dockerfile, *, tag: str, contexts: tuple[str, ...], runs: bool) -> File:
    """A file with its views."""
    head, *stages = dockerfile.parts()
    pairs = tuple(pair for one in head if one.keyword == "ARG" for pair in pairs_of(one))
    args = {pair.name: pair.value for pair in pairs}
    made: list[View] = []
    by_name: dict[str, View] = {}
    for source, *body in stages:
        given = source.words()
        name = given[2].text.lower() if len(given) >= 3 and given[1].text.upper() == "AS" else ""
        image = filled(given[0].text, args) if given else ""
        parent = by_name.get(image.lower())
        made.append(View(name=name, source=source, image=image, body=tuple(body), parent=parent, args=args))
        if name:
            by_name.setdefault(name, made[-1])
    return File(dockerfile=dockerfile, tag=tag, contexts=contexts, runs=runs, global_pairs=pairs, views=tuple(made))


def pairs_of(one: Instruction) -> Iterator[Pair]:
    """The variables that an ENV or ARG sets; ``ENV NAME value`` of old as well."""
    found = one.words()
    if one.keyword == "ENV" and found and "=" not in found[0].text:
        rest = one.text[found[0].offset + len(found[0].text) :].strip()
        yield Pair(instruction=one, name=found[0].text, value=rest, offset=found[0].offset)
        return
    for word in found:
        name, has, value = word.text.partition("=")
        yield Pair(instruction=one, name=name, value=value if has else None, offset=word.offset)


def scripts_of(one: Instruction) -> Iterator[Script]:
    """The shell in a RUN: its line, the argument of ``sh -c``, or its here-documents."""
    argv = one.exec_form
    if argv is None:
        yield Script(run=one, text=one.arguments, offset=one.start)
        reader = without_here(one.arguments).partition(" ")[0].rpartition("/")[2]
        for here in one.here:
            yield Script(run=one, text=here.text, here=here, is_shell=reader in {"", *SHELLS})
        return
    given = one.words()
    if len(argv) >= 3 and argv[0].rpartition("/")[2] in SHELLS and argv[1].startswith("-") and "c" in argv[1]:
        yield Script(run=one, text=argv[2], offset=given[2].offset + 1)
        return
    yield Script(run=one, text=" ".join(f"'{word}'" for word in argv), offset=one.start)


def filled(text: str, known: Mapping[str, str | None]) -> str:
    """`text` with the variables that have a value, or a default in braces, replaced."""
    parts: list[str] = []
    end = 0
    for name, rest, at in variables(text):
        value = known.get(name)
        if value is None and rest.startswith((":-", "-")):
            value = rest.lstrip(":-")
        if value is not None:
            parts += [text[end:at], value[:_LONGEST]]
            end = at + len(name) + len(rest) + (3 if text.startswith("${", at) else 1)
        if sum(map(len, parts)) > _LONGEST:
            return text
    return "".join([*parts, text[end:]])


def mounts(one: Instruction) -> Iterator[tuple[Flag, dict[str, str]]]:
    """The ``--mount`` flags of a RUN, their options taken apart."""
    for flag in one.flags:
        if flag.name == "mount":
            yield flag, dict(part.partition("=")[::2] for part in flag.value.split(","))
