"""llama.cpp as a judge of given tokens: how likely each way to go on is after a context.

Its server gives no probabilities of a prompt's tokens. So each way to go on is generated: a grammar of exactly these
tokens leaves no other to choose, and the probabilities that the server tells are those before the grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import Room, places_of_inputs
from .llamacpp import checked, context_of, described, server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array

INPUTS = ("tokens", "parts")
OUTPUTS = ("likelihoods",)
ROOM = Room(streams=1, tokens=1024)
"""A question with one of its answers, at most: the server refuses longer ones."""


class LlamacppLikelihood:
    """One server with one stream.

    Inputs: ``tokens`` int32 [n, longest], a context and then the ways to go on, padded; ``parts`` int32 [n, 1 + k],
    how many tokens are the context's and those of each way. Output ``likelihoods``: float32 [n, k], natural logarithms.
    """

    def shares(self, settings: Settings, threads: int) -> bool:  # noqa: ARG002 (a stream answers one by one)
        return False

    def load(self, settings: Settings, threads: int) -> None:
        """Raises as `llamacpp.server`, and as `places_of_inputs`."""
        self._places = places_of_inputs("a judge by llama.cpp", settings.model, INPUTS, OUTPUTS)
        self._server = server(settings, threads, ROOM)
        self._facts = {"threads": threads, "context": context_of(ROOM)}

    def tune(self, batch: int) -> bool:  # noqa: ARG002 (samples are judged one by one)
        return False

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        """Raises `RuntimeError` where the server refuses, or did not generate the tokens that it was given."""
        tokens, parts = (batch[place] for place in self._places)
        rows = [self._row(each.tolist(), sizes.tolist()) for each, sizes in zip(tokens, parts, strict=True)]
        return [np.array(rows, np.float32)]

    def describe(self) -> dict[str, object]:
        return described(self._facts)

    def _row(self, tokens: list[int], sizes: list[int]) -> list[float]:
        context, at = tokens[: sizes[0]], sizes[0]
        found = []
        for number, size in enumerate(sizes[1:]):
            # The context is computed once a sample, and never kept from the sample before.
            found.append(self._likelihood(context, tokens[at : at + size], keep=number > 0))
            at += size
        return found

    def _likelihood(self, context: list[int], ending: list[int], *, keep: bool) -> float:
        document: dict[str, Any] = checked(
            self._server.handle_completions(
                {
                    "prompt": context,
                    "n_predict": len(ending),
                    "temperature": 0,
                    "logprobs": 1,
                    "grammar": "root ::= " + " ".join(f"<[{token}]>" for token in ending),
                    "cache_prompt": keep,
                }
            )
        )
        (choice,) = document["choices"]
        entries = choice["logprobs"]["content"]
        given = [entry["id"] for entry in entries]
        if given != ending:
            raise RuntimeError(f"llama.cpp was to generate the tokens {ending}, and generated {given}")
        return float(sum(entry["logprob"] for entry in entries))


def create() -> LlamacppLikelihood:
    return LlamacppLikelihood()
