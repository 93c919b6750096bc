"""The PocketSphinx backend: a decoder of speech, in a process of its own for each copy.

PocketSphinx keeps the interpreter's lock while it decodes (5.1.1: two threads take as long as one after the other),
so copies in threads of one process would take turns.
"""

from __future__ import annotations

import subprocess
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import only_provider, places_of_inputs
from .pocketsphinx_process import READY, receive, send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array

INPUTS = ("audio", "lengths")
OUTPUTS = ("text",)
STOP_SECONDS = 5.0


class PocketsphinxBackend:
    """One decoder. Its process takes the processors of the thread that loads it; it computes in one thread.

    Inputs: ``audio`` int16 [n, longest], 16,000 values a second, padded, and ``lengths`` [n]; output ``text``.
    """

    def shares(self, settings: Settings, threads: int) -> bool:  # noqa: ARG002 (one process decodes one recording)
        return False

    def load(self, settings: Settings, threads: int) -> None:  # noqa: ARG002 (it has one)
        """Raises `ValueError` for another device or interface, `RuntimeError` for a model that does not load."""
        provider = only_provider("PocketSphinx", "device", settings.providers)
        if provider != "CPU":
            raise ValueError(f"PocketSphinx runs on CPU, and the settings' provider is {provider}")
        self._places = places_of_inputs("PocketSphinx", settings.model, INPUTS, OUTPUTS)
        folder = str(Path(settings.model.path).parent)
        command = [sys.executable, "-m", f"{__package__}.pocketsphinx_process", folder]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        weakref.finalize(self, _stop, self._process)
        if self._received() != READY:
            raise RuntimeError("PocketSphinx's process did not say that it is ready")

    def tune(self, batch: int) -> bool:  # noqa: ARG002 (recordings are decoded one by one)
        return False

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        """Raises `RuntimeError` where the decoder's process ended."""
        audio, lengths = (batch[place] for place in self._places)
        texts = [self._decoded(each[:length]) for each, length in zip(audio, lengths.tolist(), strict=True)]
        return [np.array(texts, dtype=np.bytes_)]

    def describe(self) -> dict[str, object]:
        return {"framework": "pocketsphinx", "devices": ["CPU"], "threads": 1}

    def _decoded(self, audio: Array) -> bytes:
        inbox = self._process.stdin
        assert inbox is not None
        try:
            send(inbox, audio.astype("<i2", copy=False).tobytes())
        except BrokenPipeError:
            raise self._ended() from None
        return self._received()

    def _received(self) -> bytes:
        outbox = self._process.stdout
        assert outbox is not None
        found = receive(outbox)
        if found is None:
            raise self._ended()
        return found

    def _ended(self) -> RuntimeError:
        status = self._process.wait()
        return RuntimeError(f"PocketSphinx's process ended with status {status}; what it said stands above")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """The end of its input ends the process."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def create() -> PocketsphinxBackend:
    return PocketsphinxBackend()
