"""The metric, from the model's output to the share of right answers in LoadGen's own accuracy log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from .backend import Array
    from .settings import Settings

    Answers = npt.NDArray[np.int64]

ANSWER = np.dtype("<i8")  # what argmax gives: no conversion on the way


def top1(output: Array) -> Answers:
    """The class of each sample, int64 [n], from logits [n, classes]; this is the response that LoadGen logs."""
    answers: Answers = output.argmax(axis=1)
    return answers


def score(log: Path, labels: npt.NDArray[np.int64], settings: Settings) -> dict[str, object]:
    """The accuracy over every sample of the dataset, from ``mlperf_log_accuracy.json``.

    MultiStream fills its last query with samples that it has issued before: the first
    answer counts, as in MLPerf's own scripts. Raises `ValueError` unless the log holds
    every sample.
    """
    entries = json.loads(log.read_text(encoding="ascii"))
    data = bytes.fromhex("".join(entry["data"] for entry in entries))
    logged = np.frombuffer(data, ANSWER)
    indexes, first = np.unique([entry["qsl_idx"] for entry in entries], return_index=True)
    if len(logged) != len(entries) or indexes.tolist() != list(range(len(labels))):
        raise ValueError(f"the accuracy log holds {len(indexes)} of {len(labels)} samples")
    correct = int((logged[first] == labels).sum())
    return {
        "metric": settings.accuracy.metric,
        "value": round(100 * correct / len(labels), 4),
        "unit": settings.accuracy.unit,
        "correct": correct,
        "samples": len(labels),
    }
