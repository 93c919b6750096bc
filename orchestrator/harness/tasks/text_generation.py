"""Text generation: the tokens that a model writes after a prompt.

Tokens come in and tokens go out, as MLPerf has it: what turns text into tokens and back is no part of what is timed.
A server that keeps its tokens' numbers to itself answers with text and their count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings

TOKEN = np.dtype("<i4")
"""A token as LoadGen logs it."""


TEXT = -2
"""In place of a first token: what follows is the number of tokens, then the answer as text (UTF-8)."""


def logged_text(text: str, count: int) -> bytes:
    """An answer of ``count`` tokens of which only the text is known, as LoadGen logs it."""
    return np.array([TEXT, count], TOKEN).tobytes() + text.encode()


def read_text(data: bytes) -> tuple[str, int] | None:
    """The text and number of tokens of such an answer; None for one of tokens. Raises `ValueError`."""
    begin = 2 * TOKEN.itemsize
    if len(data) < begin:
        return None
    mark, count = np.frombuffer(data[:begin], TOKEN).tolist()
    if mark != TEXT:
        return None
    return data[begin:].decode(), count


class TextGeneration(Task):
    """The outputs are the tokens of each answer, int32 [n] of any n; logged are their bytes."""

    answer = None

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (for answers that name their samples)
        return [np.asarray(tokens, TOKEN).tobytes() for tokens in outputs]


def create(settings: Settings) -> TextGeneration:
    """Raises `ValueError` where the settings have no limit for answers."""
    if settings.generation is None:
        raise ValueError(
            "the task text-generation needs the settings' `generation`: how many tokens an answer may have"
        )
    return TextGeneration()
