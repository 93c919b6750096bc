"""Text embedding: a vector for each text; what it is worth is counted after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..backends import Array
    from ..settings import Settings


class TextEmbedding:
    """The first output is [n, width]; the answer to a sample is its row, as little-endian float32.

    ``answer`` is None although rows have one size: the width is the model's, and neither the settings nor the data
    set say it. Copying a row costs below a microsecond, its model some milliseconds.
    """

    answer = None

    def answers(self, outputs: Sequence[Array]) -> list[bytes]:
        return [row.tobytes() for row in outputs[0].astype("<f4", copy=False)]

    def accuracy(self, log: Path) -> None:  # noqa: ARG002 (the Protocol's: `metrics` counts it)
        return None


def create(settings: Settings) -> TextEmbedding:  # noqa: ARG001 (the table's)
    return TextEmbedding()
