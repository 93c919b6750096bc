"""The onnxruntime backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime

from ..lines import log
from . import check_names
from .lanes import Lanes, recorded_size
from .onnx_bound import BoundLane, ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array

    Provider = str | tuple[str, dict[str, str]]
    """A provider by its name, or with its options."""


CUDA = "CUDAExecutionProvider"


class OnnxBackend:
    """One InferenceSession.

    Its threads take the processors of the thread that loads it, so an instance is loaded
    by a thread that is already pinned.

    On CUDA, where only the batch varies in shape, each caller has a session (and with it a stream) of its own,
    bound to buffers that stay where they are, and CUDA graphs over them. A model that ONNX Runtime cannot
    record (a part of it is left to the processor) has one session, which is called each time.
    """

    def shares(self, settings: Settings, threads: int) -> bool:
        """With one thread a call runs in the caller's; on a device the threads of the host compute nothing."""
        return threads == 1 or settings.providers != ("CPUExecutionProvider",)

    def load(self, settings: Settings, threads: int) -> None:
        """Raises `ValueError` when the model or the providers are not what the settings say."""
        onnxruntime.disable_telemetry_events()  # a run reports to nobody, and shares its processors with nothing
        check_available(settings.providers)
        self._path, self._providers, self._threads = settings.model.path, list(settings.providers), threads
        session = self._start(self._providers)
        self._inputs, self._outputs = [each.name for each in settings.model.inputs], list(settings.model.outputs)
        check_names("input", self._inputs, [node.name for node in session.get_inputs()])
        check_names("output", self._outputs, [node.name for node in session.get_outputs()])
        self._session = session
        self._tuned: int | None = None
        self._lanes = self._recording() if self._providers[0] == CUDA and settings.model.one_shape else None

    def tune(self, batch: int) -> bool:
        """On CUDA the graph of every caller for the batch; elsewhere a session takes any size equally well."""
        if self._lanes is None:
            return False
        self._tuned = batch
        return self._lanes.prepare(batch)

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        if self._lanes is not None:
            size = recorded_size(len(batch[0]), self._tuned)
            with self._lanes.one(size) as lane:
                return lane.predict(batch, size)
        outputs: list[Array] = self._session.run(self._outputs, dict(zip(self._inputs, batch, strict=True)))
        return outputs

    def describe(self) -> dict[str, object]:
        return {"framework": "onnxruntime", "providers": self._session.get_providers()}

    def _start(self, providers: Sequence[Provider]) -> Any:
        """A session; raises `ValueError` where a provider did not start."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(self._path, options, providers=list(providers))
        check_started(self._providers, session.get_providers())
        return session

    def _recording(self) -> Lanes[BoundLane] | None:
        """Lanes whose sessions record CUDA graphs; None where shapes vary, or ONNX Runtime refuses."""
        inputs = ports(self._session.get_inputs(), self._inputs)
        outputs = ports(self._session.get_outputs(), self._outputs)
        if inputs is None or outputs is None:
            return None
        recording: list[Provider] = [(CUDA, {"enable_cuda_graph": "1"}), *self._providers[1:]]

        def lane() -> BoundLane:
            return BoundLane(self._start(recording), ("cuda", 0), inputs, outputs, locked=True)

        lanes = Lanes(lane)
        try:
            with lanes.one(1) as first:
                self._session = first.session  # the one that records nothing is not needed
        except Exception as error:  # noqa: BLE001 (its errors have no class in common; the session without graphs is there)
            log(f"no CUDA graphs: {str(error).strip().partition(chr(10))[0]}")
            return None
        return lanes


def check_available(providers: Sequence[str]) -> None:
    available = onnxruntime.get_available_providers()
    if missing := [name for name in providers if name not in available]:
        raise ValueError(f"onnxruntime has no provider {missing[0]}; it has {', '.join(available)}")


def check_started(asked: list[str], given: list[str]) -> None:
    """onnxruntime drops a provider whose libraries or device it cannot have, and goes on with the processor."""
    if given[: len(asked)] != asked:
        missing = next((name for name in asked if name not in given), asked[0])
        raise ValueError(
            f"onnxruntime could not start {missing} and would run on {', '.join(given)}: "
            "the device, its driver or a library is missing; see its own messages above"
        )


def create() -> OnnxBackend:
    return OnnxBackend()
