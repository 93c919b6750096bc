"""Tasks behind one Protocol: what a model's outputs mean, and what LoadGen is answered. A name maps to a module."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from ..backends import Array
    from ..settings import Settings

    Answers: TypeAlias = "Array | list[bytes] | Packed"
    """Answers to n samples: an array [n] of the task's `answer`, or the bytes of each where they have no one size."""

TASKS = {
    "embedding-classification": ".text_embedding",
    "embedding-similarity": ".text_embedding",
    "image-classification": ".image_classification",
    "multiple-choice": ".multiple_choice",
    "recommendation": ".recommendation",
    "speech-recognition": ".speech_recognition",
    "text-generation": ".text_generation",
    "object-detection": ".object_detection",
}
"""By the name that recipes and settings call it."""


@dataclass(frozen=True)
class Packed:
    """Answers of no one size in one array: where each begins in it and how long it is, in bytes.

    LoadGen is told addresses, and asking Python for that of one array costs less than for those of many objects.
    """

    data: Array
    spans: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[bytes]:
        data = self.data.tobytes()
        return (data[start : start + size] for start, size in self.spans)


class Task(Protocol):
    """What is done with a model's outputs."""

    answer: np.dtype[Any] | None
    """What LoadGen is answered for a sample, as it logs it; None where answers have no one size."""

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> Answers:
        """The answers for the samples ``indexes`` of the data set, from the outputs for that batch.

        Outputs are in the settings' order. Called by several threads.
        """
        ...

    def accuracy(self, log: Path) -> dict[str, object] | None:  # noqa: ARG002 (for those that count it)
        """The accuracy for harness.json, from LoadGen's accuracy log; None where `metrics` counts it afterwards.

        Raises `ValueError` where the log does not hold every sample.
        """
        return None


def create(settings: Settings) -> Task:
    """The task of the settings; raises `ValueError` for a name that is not known."""
    if settings.task not in TASKS:
        raise ValueError(f"task {settings.task!r} is none of {', '.join(TASKS)}")
    task: Task = import_module(TASKS[settings.task], __package__).create(settings)
    return task
