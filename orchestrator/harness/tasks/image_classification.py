"""Image classification: the class of each picture, and the share of right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..samples import opened
from . import Task
from .log import logged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ..backends import Array
    from ..settings import Settings


class ImageClassification(Task):
    """The first output is logits [n, classes]; the answer is the class as argmax gives it, not converted."""

    answer = np.dtype("<i8")

    def __init__(self, settings: Settings) -> None:
        self._metric, self._unit = settings.accuracy.metric, settings.accuracy.unit
        self._labels: npt.NDArray[np.int64] = opened(settings, "labels").astype(np.int64)

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> Array:  # noqa: ARG002 (for answers that name their samples)
        classes: Array = outputs[0].argmax(axis=1)
        return classes

    def accuracy(self, log: Path) -> dict[str, object]:
        """The share of right answers over every sample of the dataset."""
        given = np.frombuffer(b"".join(logged(log, len(self._labels), self.answer.itemsize)), self.answer)
        correct = int((given == self._labels).sum())
        return {
            "metric": self._metric,
            "value": round(100 * correct / len(self._labels), 4),
            "unit": self._unit,
            "correct": correct,
            "samples": len(self._labels),
        }


def create(settings: Settings) -> ImageClassification:
    return ImageClassification(settings)
