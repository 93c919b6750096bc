"""Settings of a host that a run should find: a file of the kernel, the value it should have, why, and what to do."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from orchestrator.definitions.kinds.base import Definition, Name, Strict
from orchestrator.definitions.kinds.detection import HostPath, Pattern  # noqa: TC001 (pydantic reads it)


class HostCheck(Strict):
    """One file and the value that it should have.

    The value is the file's text without blanks around it, or what the first group of
    ``pattern`` takes from it. With a glob in ``file`` every file must agree. ``need`` stops
    a run, ``note`` is only reported. A file that is not there is skipped, unless ``absent`` is ``fail``.
    """

    name: Name
    file: HostPath
    pattern: Pattern = ""
    expected: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    level: Literal["need", "note"]
    why: str = Field(min_length=8)
    hint: str = Field(min_length=8)
    machine: tuple[str, ...] = ()
    absent: Literal["skip", "fail"] = "skip"
    source: str = ""

    @model_validator(mode="after")
    def _says_what_it_expects(self) -> Self:
        bounded = self.minimum is not None or self.maximum is not None
        if bool(self.expected) == bounded:
            raise ValueError("a check has either `expected` words, or `minimum` and `maximum`")
        return self

    @property
    def wanted(self) -> str:
        """The expected value, for people."""
        if self.expected:
            return " or ".join(self.expected)
        low = f"at least {self.minimum}" if self.minimum is not None else ""
        high = f"at most {self.maximum}" if self.maximum is not None else ""
        return " and ".join(filter(None, (low, high)))


class HostChecks(Definition):
    """Checks that several targets share."""

    kind: Literal["hostchecks"]
    checks: tuple[HostCheck, ...] = Field(min_length=1)
