"""ONNX Runtime on Qualcomm's Cloud AI cards: a session for each size of a batch, as a card's program has one size.

From Qualcomm's documentation (docs.qualcomm.com/doc/80-99100-3, "ONNX Runtime"): the provider needs the path of a file
of model settings, and compiles the model when a session is made. Nobody has run it on a card yet.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime

from . import check_names
from .onnx import check_available, check_started
from .shapes import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array

PROVIDER = "QAicExecutionProvider"


class QaicBackend:
    """Sessions on one card that all instances share; the host's processors compute nothing."""

    def shares(self, settings: Settings, threads: int) -> bool:  # noqa: ARG002 (the Protocol's)
        return True

    def load(self, settings: Settings, threads: int) -> None:  # noqa: ARG002 (see the class)
        """Raises `ValueError` when the model or the provider is not what the settings say."""
        if settings.providers != (PROVIDER,):
            raise ValueError(f"qaic needs {PROVIDER} as its provider, not {', '.join(settings.providers) or 'none'}")
        check_available(settings.providers)
        self._path, self._lock = Path(settings.model.path), threading.Lock()
        self._inputs, self._outputs = [each.name for each in settings.model.inputs], list(settings.model.outputs)
        described = onnxruntime.InferenceSession(str(self._path), providers=["CPUExecutionProvider"])
        check_names("input", self._inputs, [node.name for node in described.get_inputs()])
        check_names("output", self._outputs, [node.name for node in described.get_outputs()])
        first = described.get_inputs()[0].shape[0]
        if not isinstance(first, str):
            why = f"the model takes batches of {first} only; qaic needs one whose batch has a name"
            raise ValueError(why)  # noqa: TRY004 (the Protocol's)
        self._symbol = first
        self._sessions = {1: self._session(1)}

    def tune(self, batch: int) -> bool:  # noqa: ARG002 (each size is compiled when it first comes)
        return False

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        size, given = len(batch[0]), fitted(batch)
        session = self._sessions.get(len(given[0]))
        if session is None:
            with self._lock:
                session = self._sessions.setdefault(len(given[0]), self._session(len(given[0])))
        found: list[Array] = session.run(self._outputs, dict(zip(self._inputs, given, strict=True)))
        return [array[:size] for array in found]

    def describe(self) -> dict[str, object]:
        return {"framework": "onnxruntime", "providers": self._sessions[1].get_providers()}

    def _session(self, batch: int) -> onnxruntime.InferenceSession:
        """The model compiled for batches of one size."""
        config = Path(tempfile.mkdtemp()) / "model-settings.yaml"
        config.write_text(f'model-path: "{self._path}"\nonnx-define-symbol: "{self._symbol},{batch}"\n', "utf-8")
        options = [{"config": str(config)}]
        session = onnxruntime.InferenceSession(str(self._path), providers=[PROVIDER], provider_options=options)
        check_started([PROVIDER], session.get_providers())
        return session


def create() -> QaicBackend:
    return QaicBackend()
