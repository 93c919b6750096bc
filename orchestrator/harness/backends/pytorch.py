"""The PyTorch backend: an exported program (`torch.export`), on the device that is named."""

from __future__ import annotations

import importlib
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import check_names, only_provider
from .cuda_graphs import StreamLane, room
from .lanes import Lanes, recorded_size
from .shapes import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..settings import Settings
    from . import Array

PLUGINS = {"hpu": "habana_frameworks.torch", "xla": "torch_xla"}
"""The package that brings a device which PyTorch itself does not have."""
COMPILED = frozenset({"hpu", "xla"})
"""Devices that compile a graph for every size of a batch: they get few sizes."""

_LOADING = threading.Lock()
"""PyTorch reads one program at a time."""


class PytorchBackend:
    """The module of an exported program, in inference mode.

    On a processor the intra-op threads are OpenMP's. Each calling thread has a team of its own, whose
    size PyTorch keeps for the thread that sets it and whose helpers take the processors of the thread
    that starts them. So every thread says once how many it wants, after it was pinned: instances
    neither share threads nor leave their processors.

    On CUDA callers have streams of their own, so that the copies of one overlap with the work of another, and
    where only the batch varies in shape the work is a CUDA graph (`cuda_graphs`).
    """

    def shares(self, settings: Settings, threads: int) -> bool:
        """The module holds nothing of a call; but a copy knows how many threads its callers may have."""
        return threads == 1 or settings.providers != ("cpu",)

    def load(self, settings: Settings, threads: int) -> None:
        """Raises `ValueError` when the model or the device is not what the settings say."""
        self._device = _device(settings.providers)
        self._threads, self._own = threads, threading.local()
        _take_threads(threads)
        # An archive of others could hold a pickle; this makes every one in it plain data or an error.
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        with _LOADING:
            program = torch.export.load(settings.model.path)
        wanted = [each.name for each in settings.model.inputs]
        names = _names(program)
        for what, each in (("input", wanted), ("output", settings.model.outputs)):
            _check_names(what, each, names[what])
        self._order = [wanted.index(name) for name in names["input"]]
        self._outputs = [names["output"].index(name) for name in settings.model.outputs]
        if self._device.type == "cpu":
            # Convolutions of oneDNN want it: 1.2 to 1.5 times the samples per second (ResNet-8; measured).
            self._module = program.module().to(memory_format=torch.channels_last)
        else:
            self._module = torch.export.passes.move_to_device_pass(program, str(self._device)).module()
        if self._device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # the quickest convolution of each shape, found when it first comes
            self._shapes = _fixed_shapes(program, wanted) if settings.model.one_shape else None
            self._tuned: int | None = None
            self._lanes = Lanes(lambda: StreamLane(self._device, self._values, self._shapes))

    def tune(self, batch: int) -> bool:
        """On CUDA each caller's graph for the batch; elsewhere operations are looked up by size as they come."""
        if self._device.type != "cuda" or self._shapes is None:
            return False
        self._tuned = batch
        return self._lanes.prepare(batch)

    def page_locked(self) -> Callable[[tuple[int, ...], np.dtype[Any]], Array] | None:
        """How to have memory that the device reads by itself; None where it makes no difference."""
        if self._device.type != "cuda":
            return None
        return lambda shape, dtype: room(shape, torch.from_numpy(np.empty(0, dtype)).dtype)

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        if self._device.type == "cpu":
            return self._on_processor(batch)
        if self._device.type == "cuda":
            return self._in_stream(batch)
        size = len(batch[0])
        given = fitted(batch) if self._device.type in COMPILED else batch
        with torch.inference_mode():
            tensors = [torch.from_numpy(array).to(self._device) for array in given]
            values = self._values(tensors)
            return [value.cpu().numpy()[:size] for value in values]  # `cpu` waits for the device

    def describe(self) -> dict[str, object]:
        """The device that the weights lie on."""
        held = next(iter([*self._module.buffers(), *self._module.parameters()]), None)
        facts: dict[str, object] = {
            "framework": "pytorch",
            "devices": [str(self._device if held is None else held.device)],
            "precision": str(torch.float32 if held is None else held.dtype).removeprefix("torch."),
        }
        if self._device.type == "cpu":
            facts["instructions"] = torch.backends.cpu.get_cpu_capability()
        return facts

    def _on_processor(self, batch: Sequence[Array]) -> Sequence[Array]:
        if not hasattr(self._own, "ready"):
            _take_threads(self._threads)
            self._own.ready = True
        with torch.inference_mode():
            return [value.numpy() for value in self._values([torch.from_numpy(array) for array in batch])]

    def _in_stream(self, batch: Sequence[Array]) -> Sequence[Array]:
        size = None if self._shapes is None else recorded_size(len(batch[0]), self._tuned)
        with self._lanes.one(size) as lane:
            return lane.predict(batch, size)

    def _values(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs in the settings' order."""
        found: Any = self._module(*(tensors[at] for at in self._order))
        given = list(found.values()) if isinstance(found, dict) else found
        given = [given] if isinstance(given, torch.Tensor) else given
        return [given[at] for at in self._outputs]


def _take_threads(count: int) -> None:
    """How many threads the calling thread computes with.

    A thread that has not asked yet would take the number that any other thread set last, when it first
    computes: after this call. So it asks first.
    """
    torch.get_num_threads()
    torch.set_num_threads(count)


def _device(providers: Sequence[str]) -> torch.device:
    """The one device that is asked for. No other device ever replaces it."""
    name = only_provider("pytorch", "device", providers)
    kind = name.partition(":")[0]
    if kind in PLUGINS:
        try:
            importlib.import_module(PLUGINS[kind])
        except ImportError as error:
            raise ValueError(f"pytorch has no device {kind} without {PLUGINS[kind]}: {error}; it has cpu") from error
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ValueError(f"pytorch has no device {name} here: {why}; it has {_others()}") from error
    return device


def _others() -> str:
    """The devices that this PyTorch could use, for a message."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if found is None else f"cpu, {found.type}"


def _names(program: torch.export.ExportedProgram) -> dict[str, list[str]]:
    """The names of the program's inputs and outputs: those of its arguments, and the keys of a map that it gives."""
    inputs = list(program.graph_signature.user_inputs)
    spec = program.call_spec.out_spec
    outputs = spec.context if spec is not None and spec.type is dict else program.graph_signature.user_outputs
    return {"input": [str(name) for name in inputs], "output": [str(name) for name in outputs]}


def _fixed_shapes(
    program: torch.export.ExportedProgram, wanted: Sequence[str]
) -> list[tuple[tuple[int, ...], torch.dtype]] | None:
    """Each input's dimensions after the batch, and its type; None where any of them is not fixed."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    found = [values.get(name) for name in wanted]
    if not all(isinstance(value, torch.Tensor) and value.dim() for value in found):
        return None
    shapes = [(tuple(value.shape[1:]), value.dtype) for value in found if value is not None]
    return shapes if all(isinstance(size, int) for rest, _ in shapes for size in rest) else None


def _check_names(what: str, wanted: Sequence[str], names: list[str]) -> None:
    check_names(what, wanted, names)
    if what == "input" and len(wanted) != len(names):
        raise ValueError(f"the model takes {', '.join(names)}, the settings name {', '.join(wanted)}")


def create() -> PytorchBackend:
    return PytorchBackend()
