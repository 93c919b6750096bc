"""Multiple choice: how often the likeliest way to go on is the right one, as HellaSwag is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from . import Figure, interval
from .answers import array, vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from ..settings import Settings


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """``acc_norm``: the choice by likelihood for each character, so that length costs nothing; ``acc``: by itself.

    The array ``labels`` [n] says which way is right, ``sizes`` [n, k] how many characters each has. Wilson intervals.
    """
    labels, sizes = array(settings, "labels", len(answers)), array(settings, "sizes", len(answers))
    found = vectors(answers, sizes.shape[1]).astype(float)
    return [
        _share("acc_norm", labels, (found / sizes.astype(float)).argmax(axis=1)),
        _share("acc", labels, found.argmax(axis=1)),
    ]


def _share(metric: str, labels: npt.NDArray[np.generic], chosen: npt.NDArray[np.int64]) -> Figure:
    right = int(accuracy_score(labels, chosen, normalize=False))
    ends = binomtest(right, len(labels)).proportion_ci(method="wilson")
    return Figure(
        metric=metric,
        value=100 * right / len(labels),
        unit="%",
        samples=len(labels),
        interval=interval(ends.low, ends.high, 100),
    )
