"""The OpenVINO backend."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

import openvino

from ..scenarios import SCENARIOS
from . import only_provider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array

CACHE = "/artifacts/openvino"
"""Compiled models, for the next run: OpenVINO names them by model, device, version and properties."""
PRECISION = "f32"
"""What a processor computes with where the settings say nothing, as onnxruntime does; OpenVINO's own choice is bf16
where the processor has it."""
ANY = 0
"""The size of batches that the model is compiled for when it takes any."""


class OpenvinoBackend:
    """A model compiled for batches of any size, and for the one that the test uses.

    On a processor each instance has a copy with one stream, which computes in the thread that
    calls and, with more threads than one, in helpers that keep the processors of the thread that
    loads. One copy with a stream for each instance loads sooner, but two callers can meet in one
    stream, and handing a batch to a stream's own thread costs a change of threads (0.83 to 0.94
    of the samples per second; measured). On other devices the plugin chooses its streams.
    """

    def shares(self, settings: Settings, threads: int) -> bool:  # noqa: ARG002 (the Protocol's)
        return settings.providers != ("CPU",)

    def load(self, settings: Settings, threads: int) -> None:
        """Raises `ValueError` when the model or the device is not what the settings say."""
        self._path, self._device = settings.model.path, only_provider("openvino", "device", settings.providers)
        _check_device(self._device)
        self._properties = _properties(settings, self._device, threads)
        compiled = _core().compile_model(self._path, self._device, self._properties)
        self._names = [each.name for each in settings.model.inputs]
        self._one_shape = settings.model.one_shape
        taken, given = [port.names for port in compiled.inputs], [port.names for port in compiled.outputs]
        self._inputs = [_index("input", name, taken) for name in self._names]
        self._outputs = [_index("output", name, given) for name in settings.model.outputs]
        self._compiled = {ANY: compiled}
        self._own = threading.local()

    def tune(self, batch: int) -> bool:
        if batch in self._compiled or not self._one_shape:
            return False
        model = _core().read_model(self._path)
        shapes = {name: model.input(name).get_partial_shape() for name in self._names}
        for shape in shapes.values():
            shape[0] = batch
        model.reshape(shapes)
        self._compiled[batch] = _core().compile_model(model, self._device, self._properties)
        return True

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        request = self._request(len(batch[0]))
        for index, array in zip(self._inputs, batch, strict=True):
            request.set_input_tensor(index, openvino.Tensor(array, shared_memory=True))
        request.infer(share_outputs=True)
        return [request.get_output_tensor(index).data for index in self._outputs]  # views into the request

    def describe(self) -> dict[str, object]:
        compiled = self._compiled[ANY]
        return {
            "framework": "openvino",
            "devices": list(compiled.get_property("EXECUTION_DEVICES")),
            "precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
        }

    def _request(self, size: int) -> Any:
        """The calling thread's own request for batches of ``size``."""
        if not hasattr(self._own, "requests"):
            self._own.requests = {}
        requests: dict[int, Any] = self._own.requests
        size = size if size in self._compiled else ANY
        if size not in requests:
            requests[size] = self._compiled[size].create_infer_request()
        return requests[size]


@functools.cache
def _core() -> openvino.Core:
    return openvino.Core()


def _properties(settings: Settings, device: str, threads: int) -> dict[str, object]:
    found: dict[str, object] = {}
    if os.access(os.path.dirname(CACHE), os.W_OK):  # noqa: PTH120 (a constant's parent)
        found["CACHE_DIR"] = CACHE
    if device != "CPU":
        bulk = not SCENARIOS[settings.scenario].one_by_one
        return {**found, "PERFORMANCE_HINT": "THROUGHPUT" if bulk else "LATENCY"}
    return {
        **found,
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": settings.execution.precision or PRECISION,
        "ENABLE_CPU_PINNING": False,  # the callers are pinned
    }


def _check_device(device: str) -> None:
    """A device by its name; `GPU` stands for `GPU.0`. No other device ever replaces it."""
    available = _core().available_devices
    if device not in available and f"{device}.0" not in available:
        raise ValueError(f"openvino has no device {device}; it has {', '.join(available)}")


def _index(what: str, name: str, ports: list[set[str]]) -> int:
    """The number of the port that has a name; looking it up by name at each call takes some microseconds."""
    for index, names in enumerate(ports):
        if name in names:
            return index
    has = ", ".join(sorted(name for names in ports for name in names))
    raise ValueError(f"the model has no {what} {name!r}; it has {has}")


def create() -> OpenvinoBackend:
    return OpenvinoBackend()
