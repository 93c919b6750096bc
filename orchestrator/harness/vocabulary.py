"""What the tokens of a model stand for, by a table of the data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pieces import LOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


class Vocabulary:
    """What each token stands for."""

    def __init__(self, pieces: np.ndarray, ends: np.ndarray) -> None:
        self._bytes, self._ends = pieces.tobytes(), ends.tolist()

    def text(self, tokens: Sequence[int]) -> str:
        """The text of an answer. Raises `ValueError` for a token that is none of the vocabulary."""
        parts = []
        for token in tokens:
            if not LOST <= token < len(self._ends):
                raise ValueError(f"token {token} is none of the vocabulary's {len(self._ends)}")
            if token != LOST:
                parts.append(self._bytes[self._ends[token - 1] if token else 0 : self._ends[token]])
        return b"".join(parts).decode(errors="replace")
