"""Page-locked memory of the host from the CUDA runtime that a framework has loaded."""

from __future__ import annotations

import ctypes
import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from . import Array

LIBRARY = "libcudart.so"
MAPS = Path("/proc/self/maps")


def page_locked(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array of zeros; in ordinary memory where the runtime has none to give, as that is slower and no less right.

    It is never given back: to free it waits for the whole device, and other threads compute there.
    """
    size = math.prod(shape) * dtype.itemsize
    runtime, place = _runtime(), ctypes.c_void_p()
    if runtime is None or not size or runtime.cudaHostAlloc(ctypes.byref(place), ctypes.c_size_t(size), 0):
        return np.zeros(shape, dtype)
    memory = memoryview((ctypes.c_uint8 * size).from_address(place.value or 0))
    array: Array = np.frombuffer(memory, dtype).reshape(shape)
    array[...] = 0
    return array


@functools.cache
def _runtime() -> Any:
    """The CUDA runtime of this process; None where none is loaded."""
    lines = MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        path = line.partition("/")[1] + line.partition("/")[2]
        if Path(path).name.startswith(LIBRARY):
            return ctypes.CDLL(path)
    return None
