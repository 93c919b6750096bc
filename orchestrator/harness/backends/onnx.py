"""The onnxruntime backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime

from . import check_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array


class OnnxBackend:
    """One InferenceSession.

    Its threads take the processors of the thread that loads it, so an instance is loaded
    by a thread that is already pinned.
    """

    def shares(self, settings: Settings, threads: int) -> bool:
        """With one thread a call runs in the caller's; on a device the threads of the host compute nothing."""
        return threads == 1 or settings.providers != ("CPUExecutionProvider",)

    def load(self, settings: Settings, threads: int) -> None:
        """Raises `ValueError` when the model or the providers are not what the settings say."""
        onnxruntime.disable_telemetry_events()  # a run reports to nobody, and shares its processors with nothing
        check_available(settings.providers)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(settings.model.path, options, providers=list(settings.providers))
        check_started(list(settings.providers), session.get_providers())
        self._inputs, self._outputs = [each.name for each in settings.model.inputs], list(settings.model.outputs)
        check_names("input", self._inputs, [node.name for node in session.get_inputs()])
        check_names("output", self._outputs, [node.name for node in session.get_outputs()])
        self._session = session

    def tune(self, batch: int) -> bool:  # noqa: ARG002 (a session takes any size equally well)
        return False

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        outputs: list[Array] = self._session.run(self._outputs, dict(zip(self._inputs, batch, strict=True)))
        return outputs

    def describe(self) -> dict[str, object]:
        return {"framework": "onnxruntime", "providers": self._session.get_providers()}


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
