"""Pairs of texts: where their similarity ranks, and where people ranked it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics.pairwise import paired_cosine_distances

from ..metrics.answers import array, vectors
from . import EACH, Examples, Item, first_of_each, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

RULE = (
    f"the first {EACH} pairs whose rank differs from people's by no more than it does in the median, and the first "
    f"{EACH} that differ by more; rank 1 is the most alike"
)


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    """The texts are those of the array ``texts`` [n], where the data set has it."""
    found, scores = vectors(answers), array(settings, "scores").astype(float)
    pairs = array(settings, "pairs", len(scores)).astype(np.int64)
    alike = 1 - paired_cosine_distances(found[pairs[:, 0]], found[pairs[:, 1]])
    given, people = rankdata(-alike), rankdata(-scores)
    apart = np.abs(given - people)
    near = apart <= np.median(apart)
    texts = array(settings, "texts", len(answers)).tolist() if "texts" in settings.dataset.arrays else None
    items = []
    for at in first_of_each(near):
        first, second = pairs[at].tolist()
        names = (f"sample {first}", f"sample {second}") if texts is None else (str(texts[first]), str(texts[second]))
        shown = (
            text("pair", f"{names[0]} – {names[1]}"),
            text("predicted", f"{alike[at]:.3f}, rank {given[at]:g} of {len(pairs)}"),
            text("expected", f"{scores[at]:g}, rank {people[at]:g} of {len(pairs)}"),
        )
        items.append(Item(sample=int(at), right=bool(near[at]), texts=shown))
    return Examples(rule=RULE, words=("near", "far"), items=tuple(items))
