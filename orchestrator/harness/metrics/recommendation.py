"""Whether items that users took to have the higher probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from . import Figure, interval
from .answers import array, vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

RESAMPLES, SEED = 500, 0


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """The area under the ROC curve in percent, as MLPerf states DLRM's, with a bootstrap interval over samples.

    The interval is the percentile one: the corrected ones (BCa) leave out each sample once, tens of thousands of AUCs.
    """
    labels = array(settings, "labels", len(answers))
    given = vectors(answers, 1)[:, 0]
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
            samples=len(labels),
            interval=interval(ends.low, ends.high, 100),
        )
    ]
