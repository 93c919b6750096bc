"""Text generation: ROUGE of the answers against references, by the library that MLPerf's scripts use.

Tokens become text by a table of the data set (`pieces`, `piece_ends`: what each token of the vocabulary stands for):
the model's tokenizer is then needed once, when the data set is made, and the image that counts knows no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rouge_score import rouge_scorer, scoring

from ..tasks.text_generation import TOKEN
from . import Figure, interval
from .answers import array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

KINDS = ("rouge1", "rouge2", "rougeL")
INTERVAL = 0.95
RESAMPLES = 1000
SEED = 42
LOST = -1
"""A token of which the framework gave no number: a part of a character that is left out of the text."""


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


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """ROUGE as MLPerf has it: the mean F-measure × 100, words stemmed; with a bootstrap's interval."""
    references = array(settings, "references", len(answers)).tolist()
    vocabulary = Vocabulary(array(settings, "pieces"), array(settings, "piece_ends"))
    tokens = [_tokens(number, data) for number, data in enumerate(answers)]
    scorer = rouge_scorer.RougeScorer(list(KINDS), use_stemmer=True)
    scores = [
        scorer.score(reference, vocabulary.text(each)) for reference, each in zip(references, tokens, strict=True)
    ]
    np.random.seed(SEED)  # noqa: NPY002 (the library draws from numpy's global generator)
    aggregator = scoring.BootstrapAggregator(confidence_interval=INTERVAL, n_samples=RESAMPLES)
    for score in scores:
        aggregator.add_scores(score)
    bounds = aggregator.aggregate()
    count = len(answers)
    found = [
        Figure(
            metric=kind,
            value=100 * float(np.mean([score[kind].fmeasure for score in scores])),
            unit="",
            samples=count,
            interval=interval(bounds[kind].low.fmeasure, bounds[kind].high.fmeasure, 100),
        )
        for kind in KINDS
    ]
    mean = float(np.mean([len(each) for each in tokens]))
    return [*found, Figure(metric="tokens_per_sample", value=mean, unit="", samples=count)]


def _tokens(number: int, data: bytes) -> list[int]:
    if not data or len(data) % TOKEN.itemsize:
        raise ValueError(f"the answer to sample {number} is {len(data)} bytes, which are no tokens of four")
    found: list[int] = np.frombuffer(data, TOKEN).tolist()
    return found
