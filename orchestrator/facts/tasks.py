"""The tasks of our own harness: what each needs of a data set, and which accuracies are counted of it. Pure.

A line here, a module below `harness/tasks/`, and, where the accuracy is counted by a library of the field, one
below `harness/metrics/`: that is all that a new task is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``arrays`` are those of the data set beside what the model is given; ``units`` the accuracies, each in its unit.

    ``generates`` says that the model answers with tokens, of which a benchmark allows so many; ``scored`` that a step
    in an image of its own counts the accuracy, after the test. ``answer`` is what an answer consists of, as MLCommons'
    compliance scripts call it.
    """

    arrays: tuple[str, ...]
    units: Mapping[str, str]
    generates: bool = False
    scored: bool = True
    answer: Literal["byte", "float32", "int32", "int64"] = "byte"


TASKS: Mapping[str, Task] = {
    "embedding-classification": Task(arrays=("head", "labels"), units={"accuracy": "%"}, answer="float32"),
    "embedding-similarity": Task(arrays=("pairs", "scores"), units={"spearman": ""}, answer="float32"),
    "image-classification": Task(arrays=("labels",), units={"top1": "%"}, scored=False, answer="int64"),
    "multiple-choice": Task(arrays=("labels", "sizes"), units={"acc_norm": "%", "acc": "%"}, answer="float32"),
    "recommendation": Task(arrays=("labels",), units={"AUC": "%"}, answer="float32"),
    "speech-recognition": Task(arrays=("references",), units={"word_accuracy": "%", "WER": "%", "exact": "%"}),
    "text-generation": Task(
        arrays=("references", "pieces", "piece_ends"),
        units={"rouge1": "", "rouge2": "", "rougeL": "", "tokens_per_sample": ""},
        generates=True,
        answer="int32",
    ),
    "object-detection": Task(arrays=("boxes", "classes", "counts"), units={"mAP": "%", "mAP50": "%"}, answer="float32"),
}
"""By the name that recipes call it; `harness/tasks/` has the same names."""
