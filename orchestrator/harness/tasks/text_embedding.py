"""Text embedding: a vector for each text; what it is worth is counted after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings


class TextEmbedding(Task):
    """The first output is [n, width]; the answer to a sample is its row, as little-endian float32.

    ``answer`` is None although rows have one size: the width is the model's, and neither the settings nor the data
    set say it. Copying a row costs below a microsecond, its model some milliseconds.
    """

    answer = None

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (for answers that name their samples)
        return [row.tobytes() for row in outputs[0].astype("<f4", copy=False)]


def create(settings: Settings) -> TextEmbedding:  # noqa: ARG001 (the table's)
    return TextEmbedding()
