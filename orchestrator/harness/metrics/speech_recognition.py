"""Speech recognition: the word error rate by jiwer, as MLPerf's script for Whisper counts it; its interval by scipy.

The texts of the data set are written as the recogniser writes (lower case, no punctuation): nothing is normalised
but the case and the spaces between words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jiwer
import numpy as np
from scipy.stats import bootstrap

from . import Figure, interval
from .answers import array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..settings import Settings

RESAMPLES, SEED = 2000, 0


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """``word_accuracy`` (100 % less the word error rate), ``WER`` itself and ``exact``, the share of whole texts.

    The array ``references`` [n] has the texts. Intervals are by drawing recordings anew (BCa).
    Raises `ValueError` for an answer that is no UTF-8.
    """
    references = [_plain(str(each)) for each in array(settings, "references", len(answers)).tolist()]
    heard = [_plain(_text(number, data)) for number, data in enumerate(answers)]
    counts = np.array([_errors(reference, each) for reference, each in zip(references, heard, strict=True)])
    rate = _rate(counts[:, 0], counts[:, 1])
    ends = bootstrap(
        (counts[:, 0], counts[:, 1]), _rate, paired=True, vectorized=False, n_resamples=RESAMPLES, rng=SEED
    ).confidence_interval
    low, high = float(ends.low), float(ends.high)
    same = 100 * float(np.mean([reference == each for reference, each in zip(references, heard, strict=True)]))
    return [
        _figure("word_accuracy", 100 - rate, len(answers), interval(100 - high, 100 - low)),
        _figure("WER", rate, len(answers), interval(low, high)),
        _figure("exact", same, len(answers)),
    ]


def _figure(metric: str, value: float, samples: int, ends: tuple[float, float] | None = None) -> Figure:
    return Figure(metric=metric, value=value, unit="%", samples=samples, interval=ends)


def _text(number: int, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the answer to sample {number} is no text in UTF-8") from None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _errors(reference: str, heard: str) -> tuple[int, int]:
    """The words that are wrong, missing or too many, and the words of the reference."""
    found = jiwer.process_words(reference, heard)
    wrong = found.substitutions + found.deletions + found.insertions
    return wrong, found.substitutions + found.deletions + found.hits


def _rate(wrong: npt.NDArray[np.int64], words: npt.NDArray[np.int64]) -> float:
    """The word error rate in percent."""
    return 100 * float(wrong.sum()) / float(words.sum())
