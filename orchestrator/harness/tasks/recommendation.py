"""Recommendation: the probability that a user takes to an item, as DLRM gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..backends import Array
    from ..settings import Settings


class Recommendation:
    """The first output is probabilities [n] or [n, 1]; the answer is the probability as float32."""

    answer = np.dtype("<f4")

    def answers(self, outputs: Sequence[Array]) -> Array:
        return outputs[0].reshape(len(outputs[0]))

    def accuracy(self, log: Path) -> None:  # noqa: ARG002 (the Protocol's: `metrics` counts it)
        return None


def create(settings: Settings) -> Recommendation:  # noqa: ARG001 (the table's)
    return Recommendation()
