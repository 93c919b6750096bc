"""A sample as a small PNG, from the array that the model reads."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from . import Picture

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..settings import Settings

    Pixels = npt.NDArray[np.uint8]

SIDE = 128
"""Pixels of the longer side at most."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
"""PNG's colour types."""


def picture(settings: Settings, sample: int) -> Picture | None:
    """The first input of the model for a sample; None where it is no picture."""
    stored = np.load(settings.dataset.arrays[settings.model.inputs[0].array], mmap_mode="r", allow_pickle=False)
    pixels = _pixels(np.asarray(stored[sample]))
    if pixels is None:
        return None
    small = _smaller(pixels)
    data = base64.b64encode(png(small)).decode("ascii")
    return Picture(width=small.shape[1], height=small.shape[0], png=data)


def png(pixels: Pixels) -> bytes:
    """A PNG of grey [height, width] or RGB [height, width, 3] bytes."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    unfiltered = np.zeros((height, 1), np.uint8)  # each row begins with its filter: none
    data = np.concatenate([unfiltered, rows], axis=1).tobytes()
    colour = _GREY if pixels.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _pixels(sample: np.ndarray) -> Pixels | None:
    """Grey [h, w] or RGB [h, w, 3] bytes of a sample in any of the usual layouts; None where it has none of them."""
    if sample.ndim == 3 and sample.shape[0] in {1, 3} and sample.shape[2] not in {1, 3}:
        sample = np.moveaxis(sample, 0, -1)
    if sample.ndim == 3 and sample.shape[2] == 1:
        sample = sample[:, :, 0]
    if sample.ndim not in {2, 3} or (sample.ndim == 3 and sample.shape[2] != 3) or min(sample.shape) < 1:
        return None
    if sample.dtype == np.uint8:
        return sample
    return _stretched(sample.astype(np.float64))


def _stretched(values: np.ndarray) -> Pixels:
    """Values that were normalised for the model, from the least to the largest as black to white."""
    if not np.isfinite(values).all():
        raise ValueError("a sample holds values that are no finite numbers")
    low, high = values.min(), values.max()
    found: Pixels = np.rint((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    return found


def _smaller(pixels: Pixels) -> Pixels:
    """At most `SIDE` pixels a side: each is the mean of a square, and what is left at the edges is cut off."""
    height, width = pixels.shape[:2]
    factor = -(-max(height, width) // SIDE)
    rows, columns = height // factor, width // factor
    if factor == 1 or not rows or not columns:
        return pixels[:SIDE, :SIDE]
    squares = pixels[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, -1)
    means: Pixels = np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)
    return means.reshape(rows, columns, *pixels.shape[2:])
