"""Whether texts that people find alike have embeddings that are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import bootstrap, spearmanr
from sklearn.metrics.pairwise import paired_cosine_distances

from . import Figure, interval
from .answers import array, vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..settings import Settings

RESAMPLES, SEED = 2000, 0


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """Spearman's rank correlation of cosine similarity and human scores, with a bootstrap interval (BCa) over pairs.

    The array ``pairs`` [m, 2] says which samples are compared, ``scores`` [m] what people said of them.
    """
    found = vectors(answers)
    scores = array(settings, "scores")
    pairs = array(settings, "pairs", len(scores)).astype(np.int64)
    if pairs.min() < 0 or pairs.max() >= len(found):
        raise ValueError(f"dataset.arrays.pairs names samples beyond 0 to {len(found) - 1}")
    alike = 1 - paired_cosine_distances(found[pairs[:, 0]], found[pairs[:, 1]])
    value = _correlation(alike, scores)
    if not np.isfinite(value):
        raise ValueError("all pairs are equally alike: no rank correlation is defined")
    ends = bootstrap(
        (alike, scores), _correlation, paired=True, vectorized=False, n_resamples=RESAMPLES, rng=SEED
    ).confidence_interval
    return [
        Figure(
            metric="spearman",
            value=value,
            unit="",
            samples=len(found),
            interval=interval(ends.low, ends.high),
        )
    ]


def _correlation(alike: npt.NDArray[np.generic], scores: npt.NDArray[np.generic]) -> float:
    return float(spearmanr(alike, scores).statistic)
