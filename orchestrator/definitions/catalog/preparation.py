"""How photos become what a model takes: what a recipe says, what a model's own description says, what its input is.

Each value v of a pixel becomes (v × scale − mean) ÷ std, after the photo was resized and cut to the middle. What is
not said and does not follow with certainty is asked for: a wrong guess would show only as a bad accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.kinds.beside import Layout, SampleFolder
    from orchestrator.facts.model_file import TensorFacts

SHORT_SIDE = 8 / 7
"""Of the size: 256 pixels for 224, as ImageNet's photos are prepared."""


class PreparationFault(Exception):
    """The photos cannot be prepared as it stands: a message, what to do, and the key that is to be written."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Everything that is done to a photo. ``resize``: nothing, the short side, or height and width."""

    size: tuple[int, int]
    resize: tuple[int, ...]
    resample: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str
    channels: str
    dtype: str

    def words(self) -> tuple[str, ...]:
        """The options of `orchestrator/prepare/samples.py`."""
        words = ["--size", *map(str, self.size)]
        words += ["--resize", *map(str, self.resize), "--resample", self.resample] if self.resize else []
        if self.dtype == "float32":
            words += ["--scale", repr(self.scale)]
            words += ["--mean", *map(repr, self.mean), "--std", *map(repr, self.std)] if self.mean else []
        return (*words, "--channels", self.channels, "--layout", self.layout, "--dtype", self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a model's own description says of photos; None and empty where it says nothing."""

    whose: str = ""
    size: tuple[int, int] | None = None
    resize: tuple[int, ...] | None = None
    """empty: not resized"""
    resample: str | None = None
    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: str | None = None
    layout: Layout | None = None


def prepared(said: SampleFolder, described: Described, tensor: TensorFacts, model: str) -> Preparation:
    """How photos become the input ``tensor`` of ``model``; raises `PreparationFault`."""
    layout, size, channels = _input(said, described, tensor, model)
    resize = _resize(said, described, size)
    colour = said.channels or described.channels or ("L" if channels == 1 else "RGB")
    if (colour == "L") != (channels == 1):
        raise PreparationFault(f"`{model}` takes {channels} channels, not {colour}", "write `channels: RGB` or `L`")
    scale, mean, std = _values(said, described, tensor, model)
    if mean and len(mean) not in {1, channels}:
        raise PreparationFault(
            f"`{model}` takes {channels} channels, and `mean` has {len(mean)} numbers", "one for each, or one for all"
        )
    return Preparation(
        size=size,
        resize=resize,
        resample=said.resample if "resample" in said.model_fields_set else described.resample or said.resample,
        scale=scale,
        mean=mean,
        std=std,
        layout=layout,
        channels=colour,
        dtype=tensor.dtype,
    )


def _input(
    said: SampleFolder, described: Described, tensor: TensorFacts, model: str
) -> tuple[str, tuple[int, int], int]:
    """Layout, height and width, and the number of channels of a model's input."""
    shape = tensor.shape or (0, 0, 0, 0)
    if len(shape) != 4:
        raise PreparationFault(f"`{model}` takes an array of {len(shape)} dimensions, which is no photo", _ARRAYS)
    layout = said.layout or described.layout or _layout(shape[1], shape[3])
    if layout is None:
        raise PreparationFault(
            f"`{model}` does not say where its channels are: {_shape(shape)}", "write `layout: NCHW` or `NHWC`"
        )
    if layout == "NCHW":
        channels, height, width = shape[1:]
    else:
        height, width, channels = shape[1:]
    if channels not in {0, 1, 3}:
        raise PreparationFault(f"`{model}` takes {channels} channels: {layout} of {_shape(shape)}", _ARRAYS)
    return layout, _size(said.size or described.size, (height, width), model, shape), channels or 3


def _size(given: tuple[int, int] | None, fixed: tuple[int, int], model: str, shape: Sequence[int]) -> tuple[int, int]:
    """Height and width: what is said, which the model must be able to take, or the only one that it takes."""
    if given is None and not all(fixed):
        raise PreparationFault(
            f"`{model}` does not say which size it takes: {_shape(shape)}", "write `size: [HEIGHT, WIDTH]`"
        )
    size = given or fixed
    if any(side and side != other for side, other in zip(fixed, size, strict=True)):
        raise PreparationFault(
            f"`{model}` takes {fixed[0] or '?'} x {fixed[1] or '?'} pixels, not {size[0]} x {size[1]}",
            "leave `size` out: the file says it",
        )
    return size


_ARRAYS = "prepare the samples yourself and name a folder of arrays"


def _layout(first: int, last: int) -> str | None:
    """Where the channels are, if only one of two places can have them."""
    if first in {1, 3} and last not in {0, 1, 3}:
        return "NCHW"
    if last in {1, 3} and first not in {0, 1, 3}:
        return "NHWC"
    return "NCHW" if first in {1, 3} and last == 0 else "NHWC" if last in {1, 3} and first == 0 else None


def _shape(shape: Sequence[int]) -> str:
    return f"[{', '.join(str(each or '?') for each in shape)}]"


def _resize(said: SampleFolder, described: Described, size: tuple[int, int]) -> tuple[int, ...]:
    if said.resize is not None:
        resize: tuple[int, ...] = said.resize
    elif said.short_side is not None:
        resize = (said.short_side,)
    elif described.resize is not None:
        resize = described.resize
    else:
        resize = (round(max(size) * SHORT_SIDE),)
    if len(resize) == 1 and resize[0] < max(size):
        raise PreparationFault(
            f"a short side of {resize[0]} pixels is less than the {size[0]} x {size[1]} that are cut out",
            "make `short_side` as long as `size`, or longer",
        )
    if len(resize) == 2 and (resize[0] < size[0] or resize[1] < size[1]):
        raise PreparationFault(
            f"{resize[0]} x {resize[1]} is less than the {size[0]} x {size[1]} that are cut out",
            "make `resize` as large as `size`, or larger",
        )
    return resize


def _values(
    said: SampleFolder, described: Described, tensor: TensorFacts, model: str
) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    """Scale, mean and deviation of the values."""
    own = said.scale is not None or bool(said.mean)
    scale, mean, std = (said.scale, said.mean, said.std) if own else (described.scale, described.mean, described.std)
    if tensor.dtype == "uint8":
        if scale not in {None, 1.0} or mean:
            whose = "the recipe" if own else described.whose
            raise PreparationFault(
                f"`{model}` takes bytes as they are, and {whose} says how to scale them",
                "leave `scale`, `mean` and `std` out, or export the model with a float32 input",
            )
        return 1.0, (), ()
    if tensor.dtype != "float32":
        raise PreparationFault(f"`{model}` takes {tensor.dtype or 'no numbers'}; photos are uint8 or float32", _ARRAYS)
    if scale is None and not mean:
        raise PreparationFault(
            f"`{model}` takes float32, and nothing says which values its pixels have",
            "write `mean: [0.485, 0.456, 0.406]` and `std: [0.229, 0.224, 0.225]` (of 0 to 1), or `scale: 1` for 0 to "
            "255, or `scale: 0.00392156862745098` for 0 to 1",
        )
    return (1 / 255 if scale is None else scale), mean, std
