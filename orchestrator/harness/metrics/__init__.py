"""Accuracies by libraries of the field, in an image of their own, from what LoadGen logged.

``python3 -m mlorch_harness.metrics /results/settings.json`` reads LoadGen's accuracy log and the data set, and writes
accuracy.json beside the settings. It imports no framework and sees no device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

METRICS: dict[str, str] = {
    "embedding-classification": ".embedding_classification",
    "embedding-similarity": ".embedding_similarity",
    "multiple-choice": ".multiple_choice",
    "recommendation": ".recommendation",
    "speech-recognition": ".speech_recognition",
    "text-generation": ".text_generation",
    "object-detection": ".object_detection",
}
"""Task → the module that counts its accuracies."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure over ``samples`` in ``unit`` (``%`` or empty, for a number as it is), with a 95 % interval if known."""

    metric: str
    value: float
    unit: str
    samples: int
    interval: tuple[float, float] | None = None

    def document(self) -> dict[str, object]:
        """As accuracy.json has it."""
        found: dict[str, object] = {
            "metric": self.metric,
            "value": round(self.value, 6),
            "unit": self.unit,
            "samples": self.samples,
        }
        if self.interval is not None:
            found["interval"] = [round(end, 6) for end in self.interval]
        return found


def interval(low: float, high: float, scale: float = 1.0) -> tuple[float, float] | None:
    """The ends of an interval times ``scale``; None where they are none, as of resamples of a few samples."""
    if not math.isfinite(low) or not math.isfinite(high):
        return None
    return scale * float(low), scale * float(high)


class Counter(Protocol):
    """What a module of `METRICS` offers."""

    def figures(self, settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
        """The accuracies of the answers to every sample of the data set, in their order.

        Raises `ValueError` for answers that are none of the task's, such as ones that are no finite numbers.
        """
        ...


def counter(task: str) -> Counter:
    """What counts the accuracies of a task; raises `ValueError` where nothing does."""
    if task not in METRICS:
        raise ValueError(f"nothing counts accuracies of the task {task!r}; known: {', '.join(METRICS)}")
    found: Counter = import_module(METRICS[task], __package__)
    return found
