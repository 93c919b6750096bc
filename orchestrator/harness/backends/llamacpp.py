"""The llama.cpp backend: its own server object in this process, through the Python package xllamacpp.

The server batches what it has under way (continuous batching). Prompts go in as tokens and answers come back as tokens,
which the package gives beside the text when it is asked for probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xllamacpp

from ..pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings import Settings
    from . import Array, Room

PROMPT_STEP = 32
"""Tokens that one step of the server computes: a prompt that comes in holds the other answers up for so long at most.

On a processor a token of a prompt costs what one of an answer does (measured), so that larger steps gain nothing.
"""
CONTEXT_STEP = 256
"""llama.cpp rounds the context of a stream up to a multiple of this."""


class LlamacppGenerator:
    """One server. Its threads take the processors of the thread that loads it."""

    def load(self, settings: Settings, threads: int, room: Room) -> None:
        """Raises `ValueError` for another device than the processor, `RuntimeError` for a model that does not load."""
        self._server = server(settings, threads, room)
        self._facts = {"threads": threads, "streams": room.streams, "context": context_of(room)}

    def generate(self, prompt: Array, limit: int, first: Callable[[Array], None]) -> Array:
        stream = _Stream(first)
        refused = self._server.handle_completions(
            {
                "prompt": prompt.tolist(),
                "n_predict": limit,
                # The likeliest token alone is left to choose from, so its probability is computed of one token.
                "samplers": ["top_k"],
                "top_k": 1,
                "logprobs": 1,
                "post_sampling_probs": True,
                "cache_prompt": False,
                "stream": True,
            },
            stream.take,
        )
        stream.check(refused)
        return stream.answer()

    def describe(self) -> dict[str, object]:
        return described(self._facts)


class _Stream:
    """The tokens of one answer, from the pieces that the server calls `take` with; the final one has their number."""

    def __init__(self, first: Callable[[Array], None]) -> None:
        self._first = first
        self._pieces = Pieces()
        self._count: int | None = None
        self._error: BaseException | None = None

    def take(self, piece: dict[str, Any]) -> bool:
        """Keep a piece; True asks the server to stop. An exception would be lost in it, so none is raised."""
        try:
            self._take(piece)
        except BaseException as error:  # noqa: BLE001 - raised again by `check`
            self._error = error
        return self._error is not None

    def _take(self, piece: dict[str, Any]) -> None:
        if "error" in piece:
            raise _failure(piece)
        (choice,) = piece["choices"]
        for entry in (choice["logprobs"] or {}).get("content", ()):
            own = sum(len(each["bytes"]) for each in entry["top_probs"] if each["id"] == entry["id"])
            self._pieces.add(entry["id"], own, len(choice["text"].encode()))
            if len(self._pieces) == 1:
                self._first(np.array(self._pieces.first(), np.int32))
        if choice["finish_reason"]:
            self._count = piece["usage"]["completion_tokens"]

    def check(self, refused: dict[str, Any] | None) -> None:
        """Raises what went wrong: in a callback, or as the server says in place of an answer."""
        if self._error is not None:
            raise self._error
        if refused is not None and "error" in refused:
            raise _failure(refused)
        if self._count is None:
            raise RuntimeError("llama.cpp ended an answer without saying how long it is")

    def answer(self) -> Array:
        """As many tokens as the server counted."""
        return np.array(self._pieces.tokens(self._count or 0), np.int32)


def _failure(document: dict[str, Any]) -> RuntimeError:
    error = document["error"]
    said = error.get("message", error) if isinstance(error, dict) else error
    return RuntimeError(f"llama.cpp: {said}")


def context_of(room: Room) -> int:
    """The tokens that a stream has a place for."""
    return -(-room.tokens // CONTEXT_STEP) * CONTEXT_STEP


def server(settings: Settings, threads: int, room: Room) -> xllamacpp.Server:
    """The model, loaded.

    Raises `ValueError` for another device than the processor, `RuntimeError` for a model that does not load.
    """
    if settings.providers != ("CPU",):
        asked = ", ".join(settings.providers) or "none"
        raise ValueError(f"llama.cpp runs on CPU here, and the settings' provider is {asked}")
    options = xllamacpp.CommonParams()
    options.model.path = settings.model.path
    options.n_parallel = room.streams
    options.n_ctx = context_of(room) * room.streams
    options.n_batch = options.n_ubatch = max(PROMPT_STEP, room.streams)
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
    options.n_gpu_layers = 0
    options.n_threads_http = 1  # it listens on the loopback device whether or not anybody calls
    options.fit_params = False  # the numbers are ours, not what llama.cpp finds fitting
    options.cache_prompt, options.cache_ram_mib = False, 0  # no query profits from another
    options.warmup = False  # the harness does that
    options.verbosity = -1
    return xllamacpp.Server(options)


def described(facts: dict[str, Any]) -> dict[str, object]:
    """What a backend says of itself: ``facts`` and what all servers of this package have in common."""
    return {
        "framework": "llamacpp",
        "devices": ["CPU"],
        "instructions": xllamacpp.get_system_info().strip(),
        **facts,
    }


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """What the server answered; raises `RuntimeError` where that is an error."""
    if "error" in document:
        raise _failure(document)
    return document


def create() -> LlamacppGenerator:
    return LlamacppGenerator()
