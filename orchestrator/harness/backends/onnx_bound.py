"""ONNX Runtime on CUDA: a session for each caller, with buffers that stay where they are and CUDA graphs over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from .page_locked import page_locked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from . import Array

    Port = tuple[str, tuple[int, ...], np.dtype[Any]]
    """An input or output: its name, its dimensions after the batch, and its type."""

WARM_RUNS = 3
"""ONNX Runtime records what its second run of a size launches; the first one chooses kernels and takes memory."""
TYPES = {
    "tensor(float)": "f4",
    "tensor(float16)": "f2",
    "tensor(double)": "f8",
    "tensor(uint8)": "u1",
    "tensor(int32)": "i4",
    "tensor(int64)": "i8",
    "tensor(bool)": "?",
}
"""ONNX Runtime's names of types that a numpy array has too."""


@dataclass(frozen=True)
class _Bound:
    """Buffers for batches of one size: in the host's memory, and on the device what a session is bound to."""

    staged: list[Array]
    given: list[onnxruntime.OrtValue]
    found: list[onnxruntime.OrtValue]
    binding: onnxruntime.IOBinding
    options: onnxruntime.RunOptions


class BoundLane:
    """A session and its stream. ``device`` is ONNX Runtime's name and number of where the buffers lie."""

    def __init__(
        self, session: Any, device: tuple[str, int], inputs: Sequence[Port], outputs: Sequence[Port], *, locked: bool
    ) -> None:
        """``locked``: have host buffers in page-locked memory, which CUDA copies from without one more copy."""
        self.session, self._device = session, device
        self._inputs, self._outputs, self._locked = inputs, outputs, locked
        self._bound: dict[int, _Bound] = {}

    def ready(self, size: int) -> bool:
        return size in self._bound

    def prepare(self, size: int) -> None:
        """Bind buffers for a batch of ``size`` and run it until its graph is recorded."""
        staged = [self._host(size, rest, kind) for _, rest, kind in self._inputs]
        given, found = self._values(size, self._inputs), self._values(size, self._outputs)
        binding, options = self.session.io_binding(), onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(size))
        for (name, _, _), value in zip(self._inputs, given, strict=True):
            binding.bind_ortvalue_input(name, value)
        for (name, _, _), value in zip(self._outputs, found, strict=True):
            binding.bind_ortvalue_output(name, value)
        for value, array in zip(given, staged, strict=True):
            value.update_inplace(array)
        for _ in range(WARM_RUNS):
            self.session.run_with_iobinding(binding, options)
        self._bound[size] = _Bound(staged, given, found, binding, options)

    def predict(self, batch: Sequence[Array], size: int) -> list[Array]:
        """The outputs for ``batch``, computed in the buffers for ``size``, which is not less than the batch."""
        bound, count = self._bound[size], len(batch[0])
        for staged, value, array in zip(bound.staged, bound.given, batch, strict=True):
            staged[:count] = array
            value.update_inplace(staged)
        self.session.run_with_iobinding(bound.binding, bound.options)
        return [value.numpy()[:count] for value in bound.found]

    def _host(self, size: int, rest: tuple[int, ...], kind: np.dtype[Any]) -> Array:
        return page_locked((size, *rest), kind) if self._locked else np.zeros((size, *rest), kind)

    def _values(self, size: int, ports: Sequence[Port]) -> list[onnxruntime.OrtValue]:
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        return [make([size, *rest], kind.type, *self._device) for _, rest, kind in ports]


def ports(nodes: Sequence[Any], names: Sequence[str]) -> list[Port] | None:
    """The nodes of those names; None where a dimension beside the batch is not fixed, or numpy has no such type."""
    by_name = {node.name: node for node in nodes}
    found: list[Port] = []
    for name in names:
        shape, kind = by_name[name].shape, TYPES.get(by_name[name].type)
        if not shape or kind is None or not all(isinstance(each, int) for each in shape[1:]):
            return None
        found.append((name, tuple(shape[1:]), np.dtype(kind)))
    return found
