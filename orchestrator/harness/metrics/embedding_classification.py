"""How many texts a linear head tells apart by their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from . import Figure, interval
from .answers import array, vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """The share of right labels (0 or 1) with its Wilson interval.

    The array ``head`` [width + 1] holds the weights and then the intercept of a head that was fitted on other texts
    (embedding · weights + intercept above 0: label 1). It lies with the data and not in the model, as the embedding
    is what is measured, and so that a model of another framework is judged by the same head.
    """
    labels = array(settings, "labels", len(answers))
    head = array(settings, "head")
    found = vectors(answers, len(head) - 1)
    predicted = found.astype(float) @ head[:-1] + head[-1] > 0
    correct = int(accuracy_score(labels, predicted, normalize=False))
    ends = binomtest(correct, len(labels)).proportion_ci(method="wilson")
    return [
        Figure(
            metric="accuracy",
            value=100 * correct / len(labels),
            unit="%",
            samples=len(labels),
            interval=interval(ends.low, ends.high, 100),
        )
    ]
