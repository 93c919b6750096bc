"""Text generation: the tokens that a model writes after a prompt.

Tokens come in and tokens go out, as MLPerf has it: what turns text into tokens and back is no part of what is timed.
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
