"""Recommendation: the probability that a user takes to an item, as DLRM gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..joined import row_counts
from . import Packed, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings

ONE = np.dtype("<f4")


class Recommendation(Task):
    """The first output is probabilities [n] or [n, 1]; the answer is the probability as float32."""

    answer = ONE

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> Array:  # noqa: ARG002 (for answers that name their samples)
        return outputs[0].reshape(len(outputs[0]))


class JoinedRecommendation(Task):
    """A sample is several pairs of a user and an item; the answer is the probability of each, as float32."""

    answer = None

    def __init__(self, settings: Settings) -> None:
        self._sizes = (ONE.itemsize * row_counts(settings)).tolist()

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> Packed:
        """Raises `ValueError` where the model gives more or fewer than one for each pair."""
        given, sizes = np.ascontiguousarray(outputs[0], ONE), self._sizes
        spans, start = [], 0
        for index in indexes:
            spans.append((start, sizes[index]))
            start += sizes[index]
        if start != given.nbytes:
            raise ValueError(f"the model gives {given.size} probabilities for {start // ONE.itemsize} pairs")
        return Packed(given, spans)


def create(settings: Settings) -> Task:
    return JoinedRecommendation(settings) if settings.model.joined else Recommendation()
