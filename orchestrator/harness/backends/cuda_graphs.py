"""PyTorch on CUDA: a stream, page-locked memory and CUDA graphs for each caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..lines import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from . import Array

    Module = Callable[[Sequence[torch.Tensor]], list[torch.Tensor]]
    """The outputs for the inputs, each in the settings' order."""

    Shape = tuple[tuple[int, ...], torch.dtype]
    """An input without its batch: its other dimensions, and its type."""

WARM_CALLS = 3
"""Before a graph is recorded: libraries choose their kernels and take their memory in the first calls."""


@dataclass(frozen=True)
class _Recorded:
    """Work on buffers that stay where they are: ``graph`` computes ``found`` from ``given``, both on the device."""

    graph: torch.cuda.CUDAGraph
    given: list[torch.Tensor]
    found: list[torch.Tensor]
    answers: list[torch.Tensor]


class StreamLane:
    """Copies in, computes and copies out in a stream of its own; only its caller waits for it."""

    def __init__(self, device: torch.device, module: Module, shapes: Sequence[Shape] | None) -> None:
        """``shapes`` None: inputs vary in more than the batch, so nothing is recorded."""
        self._device, self._module, self._shapes = device, module, shapes
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle() if shapes else None
        self._recorded: dict[int, _Recorded | None] = {}

    def ready(self, size: int) -> bool:
        return size in self._recorded

    def prepare(self, size: int) -> None:
        """Record the model for a batch of ``size``; a model that cannot be recorded is called each time."""
        if None in self._recorded.values():
            self._recorded[size] = None
            return
        try:
            self._recorded[size] = self._record(size)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            log(f"no CUDA graph for a batch of {size}: {str(error).strip().partition(chr(10))[0]}")
            self._recorded[size] = None

    def predict(self, batch: Sequence[Array], size: int | None) -> list[Array]:
        """The outputs for ``batch``, by what was recorded for ``size`` (not less than the batch) where there is any."""
        recorded = None if size is None else self._recorded[size]
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            hosts = [_page_locked(torch.from_numpy(array)) for array in batch]
            if recorded is None:
                given = [host.to(self._device, non_blocking=True) for host in hosts]
                values = self._module(given)
                answers = [torch.empty(value.shape, dtype=value.dtype, pin_memory=True) for value in values]
            else:
                count = len(batch[0])
                for target, host in zip(recorded.given, hosts, strict=True):
                    target[:count].copy_(host, non_blocking=True)
                recorded.graph.replay()
                values = [value[:count] for value in recorded.found]
                answers = [answer[:count] for answer in recorded.answers]
            for answer, value in zip(answers, values, strict=True):
                answer.copy_(value, non_blocking=True)
            self._stream.synchronize()
            return [answer.numpy().copy() for answer in answers]  # the next caller writes where these lie

    def _record(self, size: int) -> _Recorded:
        """Raises `RuntimeError` where the model waits for the device, `ValueError` where outputs are no batch."""
        with torch.inference_mode():
            given = [torch.zeros((size, *rest), dtype=kind, device=self._device) for rest, kind in self._shapes or ()]
            torch.cuda.synchronize(self._device)  # the zeros are there before another stream reads them
            with torch.cuda.stream(self._stream):
                values = self._module(given)
                for _ in range(1, WARM_CALLS):
                    self._module(given)
            self._stream.synchronize()
            if any(len(value) != size for value in values):
                raise ValueError(f"outputs of {[list(value.shape) for value in values]} have no row for each sample")
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                found = self._module(given)
            answers = [torch.empty(value.shape, dtype=value.dtype, pin_memory=True) for value in found]
        return _Recorded(graph, given, found, answers)


def _page_locked(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in memory that the device reads by itself, beside what the processor does."""
    return tensor if tensor.is_pinned() else tensor.pin_memory()


def room(shape: tuple[int, ...], dtype: torch.dtype) -> Array:
    """Page-locked memory as a numpy array."""
    array: Array = torch.empty(shape, dtype=dtype, pin_memory=True).numpy()
    return array
