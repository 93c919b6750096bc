"""What a model's file says of itself, or why it says nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFacts:
    """One input or output; ``dtype`` as numpy calls it, empty where it is no array of numbers."""

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    """with the batch; 0 for a dimension that is not fixed, empty where nothing is said"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """An ONNX file: the hash of its bytes, how many they are, and what its graph takes and gives."""

    sha256: str
    size: int
    inputs: tuple[TensorFacts, ...] = ()
    outputs: tuple[TensorFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """Why a file is not taken, for the place that names it."""

    slug: str
    message: str
    hint: str = ""
