"""Whether items that users took to have the higher probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from ..joined import row_counts
from . import Figure, interval
from .answers import array, joined, vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..settings import Settings

RESAMPLES, SEED = 500, 0


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """The area under the ROC curve in percent, as MLPerf states DLRM's, with a bootstrap interval over pairs.

    The interval is the percentile one: the corrected ones (BCa) leave out each pair once, tens of thousands of AUCs.
    """
    given = probabilities(settings, answers)
    labels = array(settings, "labels", len(given))
    if len(np.unique(labels)) != 2:
        raise ValueError("dataset.arrays.labels holds one class: no AUC is defined")
    ends = bootstrap(
        (labels, given),
        roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=SEED,
    ).confidence_interval
    return [
        Figure(
            metric="AUC",
            value=100 * float(roc_auc_score(labels, given)),
            unit="%",
            samples=len(answers),
            interval=interval(ends.low, ends.high, 100),
        )
    ]


def probabilities(settings: Settings, answers: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """What was answered of each pair of a user and an item: [pairs], one or several of a sample."""
    if settings.model.joined:
        return joined(answers, row_counts(settings))
    return vectors(answers, 1)[:, 0]
