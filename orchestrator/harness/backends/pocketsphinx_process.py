"""``python3 -m mlorch_harness.backends.pocketsphinx_process FOLDER``: decodes recordings until its input ends.

A message is its length (four bytes, little-endian) and so many bytes. In: a recording, int16 at 16 kHz; out: `READY`
once, and then the text of each recording as UTF-8, in their order.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pocketsphinx import Decoder

READY = b"ready"
_LENGTH = struct.Struct("<I")
_VARIANT = re.compile(r"\(\d+\)")
"""The dictionary's mark of another pronunciation: ``the(2)``."""


def send(stream: IO[bytes], data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """A message; None where the stream ended, also in the middle of one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def decoder(folder: Path) -> Decoder:
    """The recogniser of a model's folder: acoustic model, ``words.dict`` and ``grammar.jsgf``."""
    from pocketsphinx import Config, Decoder

    return Decoder(
        Config(
            hmm=str(folder),
            dict=str(folder / "words.dict"),
            jsgf=str(folder / "grammar.jsgf"),
            lm=None,
            loglevel="ERROR",
        )
    )


def text(recogniser: Decoder, audio: bytes) -> bytes:
    """What a whole recording says; empty where nothing of the grammar was heard.

    The decoder goes on from what it made of the recording before, so that answers would depend on the order of
    samples (5.1.1: 3 of 134); an extractor of features made anew forgets it, for less than a millisecond.
    """
    recogniser.reinit_feat()
    recogniser.start_utt()
    recogniser.process_raw(audio, full_utt=True)
    recogniser.end_utt()
    heard = recogniser.hyp()
    return b"" if heard is None else _VARIANT.sub("", heard.hypstr).strip().encode()


def main(arguments: list[str]) -> int:
    (folder,) = arguments
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever else prints is no answer
        recogniser = decoder(Path(folder))
        send(answers, READY)
        while (audio := receive(sys.stdin.buffer)) is not None:
            send(answers, text(recogniser, audio))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
