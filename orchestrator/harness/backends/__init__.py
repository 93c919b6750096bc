"""Backends behind one Protocol; a name maps to a module, imported on use."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from ..settings import Settings

    Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A framework: the module of its backend, and the distributions whose versions are worth knowing."""

    module: str
    packages: tuple[str, ...]


FRAMEWORKS = {
    "onnxruntime": Framework(module=".onnx", packages=("onnxruntime", "onnxruntime-gpu")),
    "qaic": Framework(module=".qaic", packages=("onnxruntime-qaic",)),
    "openvino": Framework(module=".openvino", packages=("openvino",)),
    "pytorch": Framework(module=".pytorch", packages=("torch", "torch-xla", "torch-neuronx", "habana-torch-plugin")),
    "jax": Framework(module=".jax", packages=("jax", "jaxlib", "libtpu")),
}
"""By the name that the settings call it."""


class Backend(Protocol):
    """A model that can be run.

    ``load`` makes one loaded copy with ``threads`` threads of its own. It runs on the device
    that the settings' providers name or fails: there is no fallback to another device.
    """

    def shares(self, settings: Settings, threads: int) -> bool:
        """Whether one copy serves all instances, from several threads at once; asked before ``load``."""
        ...

    def load(self, settings: Settings, threads: int) -> None: ...

    def tune(self, batch: int) -> bool:
        """Make batches of this size quicker where the framework can; whether anything changed."""
        ...

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        """The outputs [n, ...], in the settings' order, for the inputs [n, ...] in theirs.

        Good until the thread's next call.
        """
        ...

    def describe(self) -> dict[str, object]:
        """The devices that it really runs on, as the framework reports after loading: for harness.json."""
        ...


def create(name: str) -> Backend:
    """An unloaded backend; raises `ValueError` for a name that is not known."""
    if name not in FRAMEWORKS:
        raise ValueError(f"backend {name!r} is none of {', '.join(FRAMEWORKS)}")
    backend: Backend = import_module(FRAMEWORKS[name].module, __package__).create()
    return backend
