"""Recommendation: the probability that a user takes to an item, as DLRM gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings


class Recommendation(Task):
    """The first output is probabilities [n] or [n, 1]; the answer is the probability as float32."""

    answer = np.dtype("<f4")

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> Array:  # noqa: ARG002 (for answers that name their samples)
        return outputs[0].reshape(len(outputs[0]))


def create(settings: Settings) -> Recommendation:  # noqa: ARG001 (the table's)
    return Recommendation()
