"""The OpenVINO backend."""

from __future__ import annotations

import os
import threading
from typing import Any

import openvino

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backend import Array
    from .settings import Settings

CACHE = "/artifacts/openvino"
"""Compiled models, for the next run: OpenVINO names them by model, device, version and properties."""
PRECISION = "f32"
"""What a processor computes with, as onnxruntime does; OpenVINO's own choice is bf16 where the processor has it."""
THROUGHPUT = ("Offline", "Server")


class OpenvinoBackend:
    """One compiled model.

    On a processor a copy with one thread has a stream for each processor of the settings, and
    callers wait for whichever is free: a caller that computed itself could meet another one in
    the same stream. A copy with several threads has one stream and computes in the caller's
    thread with the help of the others. OpenVINO pins nothing, as the callers are pinned; its
    helping threads keep the processors of the thread that loads. Other devices have the streams
    that their plugin thinks best for the scenario.
    """

    def load(self, settings: Settings, threads: int) -> None:
        """Raises `ValueError` when the model or the device is not what the settings say."""
        if len(settings.providers) != 1:
            raise ValueError(
                f"openvino needs one device as its provider, not {', '.join(settings.providers) or 'none'}"
            )
        device = settings.providers[0]
        core = openvino.Core()
        _check_device(core, device)
        model = core.read_model(settings.model.path)
        _check_name("input", settings.model.input.name, [name for port in model.inputs for name in port.names])
        _check_name("output", settings.model.output.name, [name for port in model.outputs for name in port.names])
        self._compiled = core.compile_model(model, device, _properties(settings, device, threads))
        self._input, self._output = settings.model.input.name, settings.model.output.name
        self._waits = threads == 1 or device != "CPU"
        self._own = threading.local()

    def predict(self, batch: Array) -> Array:
        """A view into the request of the calling thread: good until that thread's next call."""
        request = self._request()
        request.set_tensor(self._input, openvino.Tensor(batch, shared_memory=True))
        if self._waits:
            request.start_async()
            request.wait()
        else:
            request.infer()
        output: Array = request.get_tensor(self._output).data
        return output

    def about(self) -> dict[str, object]:
        compiled = self._compiled
        return {
            "framework": "openvino",
            "devices": list(compiled.get_property("EXECUTION_DEVICES")),
            "precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
            "streams": int(compiled.get_property("NUM_STREAMS")),
        }

    def _request(self) -> Any:
        try:
            return self._own.request
        except AttributeError:
            self._own.request = self._compiled.create_infer_request()
            return self._own.request


def _properties(settings: Settings, device: str, threads: int) -> dict[str, object]:
    found: dict[str, object] = {}
    if os.access(os.path.dirname(CACHE), os.W_OK):  # noqa: PTH120 (a constant's parent)
        found["CACHE_DIR"] = CACHE
    if device != "CPU":
        hint = "THROUGHPUT" if settings.scenario in THROUGHPUT else "LATENCY"
        return {**found, "PERFORMANCE_HINT": hint}
    streams = len(settings.execution.cpus) if threads == 1 else 1
    return {
        **found,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        "INFERENCE_PRECISION_HINT": PRECISION,
        "ENABLE_CPU_PINNING": False,
    }


def _check_device(core: openvino.Core, device: str) -> None:
    """A device by its name; `GPU` stands for `GPU.0`. Nothing else is ever used in its place."""
    available = core.available_devices
    if device not in available and f"{device}.0" not in available:
        raise ValueError(f"openvino has no device {device}; it has {', '.join(available)}")


def _check_name(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(f"the model has no {what} {name!r}; it has {', '.join(names)}")


def create() -> OpenvinoBackend:
    return OpenvinoBackend()
