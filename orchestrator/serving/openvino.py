"""A server of OpenAI's interface over OpenVINO GenAI's continuous batching, which has none of its own in Python.

It listens on the loopback device; nothing is kept from one request to the next.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from .arguments import parser, started
from .engine import About, Engine, Finish
from .openai import serve

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

OWNER = "openvino"
"""Of the model, in the list of models."""
BLOCK = 32
"""Tokens of a block of the cache of keys and values on a processor."""


@contextmanager
def writable(model: Path, scratch: Path) -> Iterator[Path]:
    """The model's file, or a copy where it may only be read.

    OpenVINO GenAI (2026.4) opens a GGUF file for writing, though it writes nothing; it has read all of it when the
    model is loaded.
    """
    if os.access(model, os.W_OK):
        yield model
        return
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield Path(shutil.copyfile(model, Path(folder) / model.name))


class Pipeline:
    """`ContinuousBatchingPipeline` as a `Model`."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Raises `RuntimeError` for a model that does not load."""
        import openvino
        import openvino_genai

        self._tensor, self._genai = openvino.Tensor, openvino_genai
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_seqs = given.streams
        scheduler.max_num_batched_tokens = max(given.step_tokens, given.streams)
        scheduler.num_kv_blocks = -(-given.context // BLOCK) * given.streams
        scheduler.enable_prefix_caching = False  # no query profits from another
        properties = {
            "INFERENCE_NUM_THREADS": given.threads,
            "INFERENCE_PRECISION_HINT": given.precision,
            "KV_CACHE_PRECISION": given.cache_precision,
        }
        with writable(Path(given.model), Path(given.scratch)) as model:
            make = openvino_genai.ContinuousBatchingPipeline
            self._pipeline = make(str(model), scheduler, given.device, properties)
        self._tokenizer = self._pipeline.get_tokenizer()
        self._properties = properties
        self._asked = 0

    def about(self) -> About:
        known: dict[bytes, int] = self._tokenizer.get_vocab()
        pieces = [b""] * (max(known.values()) + 1)
        for piece, token in known.items():
            pieces[token] = b"" if self._is_control(piece, token) else piece
        return About(pieces=pieces, facts={"version": self._genai.get_version(), "properties": self._properties})

    def _is_control(self, piece: bytes, token: int) -> bool:
        """Whether a token is none of the text; only what is written as ``<...>`` can be."""
        return piece[:1] + piece[-1:] == b"<>" and not self._tokenizer.decode([token], skip_special_tokens=True)

    def encode(self, prompt: str | list[dict[str, str]]) -> list[int]:
        is_text = isinstance(prompt, str)
        text = prompt if is_text else self._tokenizer.apply_chat_template(prompt, add_generation_prompt=True)
        found = self._tokenizer.encode(text, add_special_tokens=is_text)
        tokens: list[int] = found.input_ids.data[0].tolist()
        return tokens

    def add(self, tokens: Sequence[int], limit: int) -> _Handle:
        import numpy as np

        self._asked += 1
        config = self._pipeline.get_config()
        config.max_new_tokens, config.do_sample = limit, False
        handle = self._pipeline.add_request(self._asked, self._tensor(np.array([tokens], np.int64)), config)
        return _Handle(handle, self._genai)

    def step(self) -> None:
        self._pipeline.step()


class _Handle:
    """`GenerationHandle` as an `Answering`."""

    def __init__(self, handle: Any, genai: Any) -> None:
        self._handle, self._status = handle, genai.GenerationStatus
        reasons = genai.GenerationFinishReason
        self._finish: dict[Any, Finish] = {reasons.NONE: "", reasons.STOP: "stop", reasons.LENGTH: "length"}

    def read(self) -> tuple[list[int], Finish]:
        tokens: list[int] = []
        finish: Finish = ""
        while self._handle.can_read():
            (output,) = self._handle.read().values()  # one sequence, as one was asked for
            tokens += output.generated_ids
            finish = self._finish[output.finish_reason]
        if self._handle.get_status() == self._status.IGNORED:
            raise RuntimeError("there is no room for it in the cache of keys and values")
        return tokens, finish

    def cancel(self) -> None:
        self._handle.cancel()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    words = parser(__doc__)
    words.add_argument("--scratch", default=tempfile.gettempdir(), help="a folder for a copy of the model's file")
    words.add_argument("--device", default="CPU", help="as OpenVINO calls it")
    words.add_argument("--precision", default="f32", help="what is computed with")
    words.add_argument("--cache-precision", default="f16", help="of the cache of keys and values")
    words.add_argument("--step-tokens", type=int, default=256, help="of prompts that one step computes")
    given = words.parse_args()
    engine = Engine(lambda: Pipeline(given), given.context)
    try:
        error = uvloop.run(serve(engine, given.name, OWNER, given.port, started(given)))
    finally:
        engine.close()
    if error:
        sys.stderr.write(f"{error}\n")
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
