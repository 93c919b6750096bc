"""Every failure that a user can meet: its exit code, its slug and what to do.

A command never prints a traceback for one of these; `cli` renders them as
``path:line:col: error: what, why, what to do [slug]`` and exits with ``exit_code``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of a text file; lines and columns count from 1, ends are exclusive."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def at(cls, path: str, line: int = 1, column: int = 1, length: int = 1) -> Span:
        """Part of one line, one character at least; without a line the head of the file."""
        return cls(path=path, line=line, column=column, end_line=line, end_column=column + max(1, length))

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of a definition, where it stands, and what to do about it."""

    slug: str
    message: str
    span: Span | None = None
    hint: str = ""
    source_line: str = field(default="", repr=False)
    level: Literal["error", "warning", "notice"] = "error"


class MlorchError(Exception):
    """The root of them all; ``hint`` says what to do next."""

    slug = "error"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        slug: str | None = None,
        span: Span | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.span = span
        self.detail = detail
        if slug is not None:
            self.slug = slug

    def problems(self) -> tuple[Problem, ...]:
        """The located faults behind this error; one for most."""
        return (Problem(slug=self.slug, message=self.message, span=self.span, hint=self.hint),)


class StepFailed(MlorchError):
    """A step of a plan ran and failed: a build step, a harness, an invalid result."""

    slug = "step-failed"
    exit_code = 1


class AssetError(StepFailed):
    """A model, dataset or package could not be had, or is not what its hash says."""

    slug = "asset"


class RegistryError(StepFailed):
    """A container registry did not give or take what was asked of it; the slug says why."""

    slug = "registry"


class NoLocksError(StepFailed):
    """A file system has no locks, and somebody has to be alone there."""

    slug = "no-locks"


class UsageError(MlorchError):
    """The command line asks for something that does not exist or does not fit."""

    slug = "usage"
    exit_code = 2


class DefinitionError(MlorchError):
    """Recipes, templates or locks are invalid; carries every fault found."""

    slug = "definition"
    exit_code = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = tuple(problems)
        first = self._problems[0]
        super().__init__(first.message, hint=first.hint, slug=first.slug, span=first.span)

    @classmethod
    def fault(cls, slug: str, message: str, hint: str = "", span: Span | None = None) -> DefinitionError:
        """The error of one fault."""
        return cls([Problem(slug=slug, message=message, span=span, hint=hint)])

    def problems(self) -> tuple[Problem, ...]:
        return self._problems


class EngineError(MlorchError):
    """The container engine or launcher is missing, too old or stopped answering."""

    slug = "engine"
    exit_code = 4


class HostLimitError(EngineError):
    """The host cannot give what the target asks for; raised before anything starts."""

    slug = "host-limit"


class NothingSelectedError(MlorchError):
    """The selection is empty."""

    slug = "nothing-selected"
    exit_code = 5


class InterruptedRun(MlorchError):
    """Ctrl-C or a signal; what had begun was stopped and recorded."""

    slug = "interrupted"
    exit_code = 130


BUG_EXIT_CODE = 70
