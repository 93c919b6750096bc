"""Backends behind one Protocol; a name maps to a module, imported on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .settings import Settings

    Array = npt.NDArray[np.generic]

BACKENDS = {"onnxruntime": ".onnx", "openvino": ".openvino"}


class Backend(Protocol):
    """A model that can be run.

    ``load`` makes one loaded copy with ``threads`` threads of its own. It runs on the device
    that the settings' providers name or not at all: what could not be had is an error, never
    a number of another device.
    """

    def shares(self, settings: Settings, threads: int) -> bool:
        """Whether one copy serves all instances, from several threads at once; asked before ``load``."""
        ...

    def load(self, settings: Settings, threads: int) -> None: ...

    def settle(self, batch: int) -> bool:
        """Make batches of this size quicker, where that can be had; whether anything was done."""
        ...

    def predict(self, batch: Array) -> Array:
        """The output [n, ...] for a batch [n, ...] of the model's input; good until the thread's next call."""
        ...

    def about(self) -> dict[str, object]:
        """On what it really runs, as the framework says after loading: for harness.json."""
        ...


def create(name: str) -> Backend:
    """An unloaded backend; raises `ValueError` for a name that is not known."""
    if name not in BACKENDS:
        raise ValueError(f"backend {name!r} is none of {', '.join(BACKENDS)}")
    backend: Backend = import_module(BACKENDS[name], __package__).create()
    return backend
