"""A model file and a folder of samples beside a benchmark, which then need no recipes of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.definitions.kinds.base import Line, Strict
from orchestrator.definitions.kinds.sources import Licence  # noqa: TC001 (pydantic reads it)

Side = Annotated[int, Field(gt=0, le=16384)]
Positive = Annotated[float, Field(gt=0)]
Layout = Literal["NCHW", "NHWC"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class ModelFile(Strict):
    """A file beside a benchmark as its model, which then needs no recipe of its own."""

    file: str = Field(min_length=1, max_length=1000)
    title: Line = Field(default="", max_length=120)
    trained_by: str = ""
    licence: Licence | None = None


class SampleFolder(Strict):
    """A folder beside a benchmark as its data set, which then needs no recipe of its own.

    Photos are resized, cut to the middle, and each value v of a pixel becomes (v × scale − mean) ÷ std; arrays are
    taken as they are. What is left out is read from the model where that is certain.
    """

    folder: str = Field(min_length=1, max_length=1000)
    title: Line = Field(default="", max_length=120)
    licence: Licence | None = None
    size: tuple[Side, Side] | None = None
    """Height and width that the model takes, in pixels."""
    short_side: Side | None = None
    """Photos are resized so that their short side has so many pixels; 8/7 of the size where nothing is said."""
    resize: tuple[Side, Side] | None = None
    """Height and width that photos are stretched to, instead of `short_side`."""
    resample: Resample = "bilinear"
    scale: float | None = Field(default=None, gt=0)
    mean: tuple[float, ...] = ()
    std: tuple[Positive, ...] = ()
    layout: Layout | None = None
    channels: Literal["RGB", "BGR", "L"] | None = None

    @model_validator(mode="after")
    def _fits(self) -> SampleFolder:
        if self.short_side is not None and self.resize is not None:
            raise ValueError("`short_side` keeps the shape of a photo and `resize` does not: say one of them")
        if bool(self.mean) != bool(self.std) or len(self.mean) not in {0, 1, 3} or len(self.std) != len(self.mean):
            raise ValueError("`mean` and `std` go together, with one number or three each")
        return self
