"""What processors and accelerators are, and can do at most: figures, each with where it was read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import Definition, Line, Strict

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+\Z", max_length=32)]
"""Of a part's name, in lower case: a name's words are its runs of letters and digits."""
Number = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+\Z", max_length=32)]
Source = Annotated[Line, StringConstraints(min_length=8, max_length=400)]
"""What was read for the figure: not a document that may say it too."""


class Processors(Strict):
    """Processors of a maker, by the word that tells them apart, and the cores that one has."""

    maker: Word
    source: Source
    cores: dict[Number, Annotated[int, Field(ge=1, le=4096)]] = Field(min_length=1)


class Accelerator(Strict):
    """An accelerator: ``words`` that all stand in its name; the power that it draws at most, its highest rate."""

    words: tuple[Word, ...] = Field(min_length=1)
    watts: float | None = Field(default=None, gt=0)
    tops: float | None = Field(default=None, gt=0)
    """10¹² operations a second, of whatever precision, sparsity counted."""
    source: Source


class Work(Strict):
    """The operations that models need at least for a sample, or for a token that is generated."""

    models: tuple[str, ...] = Field(min_length=1)
    """The checker's names."""
    unit: Literal["Samples/s", "Tokens/s"]
    operations: float = Field(gt=0)
    source: Source


class Parts(Definition):
    """Figures of parts, by which odd fields and figures of a submission are told."""

    kind: Literal["parts"]
    processors: tuple[Processors, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    work: tuple[Work, ...] = ()
