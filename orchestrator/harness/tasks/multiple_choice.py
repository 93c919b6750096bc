"""Multiple choice: how likely a model finds each of several ways to go on; the likeliest is its choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings


class MultipleChoice(Task):
    """The first output is the logarithms of likelihoods [n, k]; the answer is a row of them, little-endian float32."""

    answer = None

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (for answers that name their samples)
        return [row.tobytes() for row in outputs[0].astype("<f4", copy=False)]


def create(settings: Settings) -> MultipleChoice:  # noqa: ARG001 (the table's)
    return MultipleChoice()
