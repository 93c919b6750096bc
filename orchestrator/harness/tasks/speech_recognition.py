"""Speech recognition: the text that was said in each recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings


class SpeechRecognition(Task):
    """The first output is texts in UTF-8, numpy's bytes [n]; an answer is a text, of no bytes where none was heard."""

    answer = None

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (for answers that name their samples)
        return [bytes(text) for text in outputs[0].tolist()]


def create(settings: Settings) -> SpeechRecognition:  # noqa: ARG001 (the table's)
    return SpeechRecognition()
