"""Text generation: ROUGE of the answers against references, by the library that MLPerf's scripts use.

Tokens become text by a table of the data set (`pieces`, `piece_ends`: what each token of the vocabulary stands for):
the model's tokenizer is then needed once, when the data set is made, and the image that counts knows no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rouge_score import rouge_scorer, scoring

from ..tasks.text_generation import TOKEN, read_text
from ..vocabulary import Vocabulary
from . import Figure, interval
from .answers import array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

KINDS = ("rouge1", "rouge2", "rougeL")
INTERVAL = 0.95
RESAMPLES = 1000
SEED = 42


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """ROUGE as MLPerf has it: the mean F-measure × 100, words stemmed; with a bootstrap's interval."""
    references = array(settings, "references", len(answers)).tolist()
    vocabulary = Vocabulary(array(settings, "pieces"), array(settings, "piece_ends"))
    read = [reply(number, data, vocabulary) for number, data in enumerate(answers)]
    scorer = rouge_scorer.RougeScorer(list(KINDS), use_stemmer=True)
    scores = [scorer.score(reference, text) for reference, (text, _) in zip(references, read, strict=True)]
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
    mean = float(np.mean([tokens for _, tokens in read]))
    return [*found, Figure(metric="tokens_per_sample", value=mean, unit="", samples=count)]


def reply(number: int, data: bytes, vocabulary: Vocabulary) -> tuple[str, int]:
    """An answer's text and its number of tokens. Raises `ValueError`."""
    found = read_text(data)
    if found is not None:
        return found
    tokens = _tokens(number, data)
    return vocabulary.text(tokens), len(tokens)


def _tokens(number: int, data: bytes) -> list[int]:
    if not data or len(data) % TOKEN.itemsize:
        raise ValueError(f"the answer to sample {number} is {len(data)} bytes, which are no tokens of four")
    found: list[int] = np.frombuffer(data, TOKEN).tolist()
    return found
