"""Texts with the label that was read off their embedding and the one that was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..metrics.answers import array, vectors
from . import Examples, Item, Labels, first_of_each, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    """The texts are those of the array ``texts`` [n], where the data set has it."""
    labels, head = array(settings, "labels", len(answers)), array(settings, "head")
    found = vectors(answers, len(head) - 1)
    predicted = found.astype(float) @ head[:-1] + head[-1] > 0
    texts = array(settings, "texts", len(answers)).tolist() if "texts" in settings.dataset.arrays else None
    items = []
    for sample in first_of_each(predicted == (labels != 0)):
        classes = Labels(predicted=int(predicted[sample]), expected=int(labels[sample]))
        right = classes.predicted == classes.expected
        shown = () if texts is None else (text("text", str(texts[sample])),)
        items.append(Item(sample=sample, right=right, labels=classes, texts=shown))
    return Examples(items=tuple(items))
