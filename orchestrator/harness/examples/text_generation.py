"""Prompts with the reply beside the expected one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rouge_score import rouge_scorer

from ..metrics.answers import array
from ..metrics.text_generation import reply
from ..vocabulary import Vocabulary
from . import EACH, Examples, Item, first_of_each, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

KIND = "rouge1"
RULE = (
    f"the first {EACH} samples whose ROUGE-1 is at or above the mean of this test, and the first {EACH} below it; "
    "the figure is a sample's ROUGE-1"
)


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    """A reply is right or wrong by degrees: what it shares with the expected one decides."""
    references = array(settings, "references", len(answers)).tolist()
    vocabulary = Vocabulary(array(settings, "pieces"), array(settings, "piece_ends"))
    replies = [reply(number, data, vocabulary)[0] for number, data in enumerate(answers)]
    scorer = rouge_scorer.RougeScorer([KIND], use_stemmer=True)
    scores = [
        100 * scorer.score(reference, said)[KIND].fmeasure for reference, said in zip(references, replies, strict=True)
    ]
    good = np.asarray(scores) >= np.mean(scores)
    items = []
    for sample in first_of_each(good):
        texts = (
            text("prompt", _prompt(settings, vocabulary, sample)),
            text("predicted", replies[sample]),
            text("expected", references[sample]),
        )
        items.append(Item(sample=sample, right=bool(good[sample]), score=round(scores[sample], 2), texts=texts))
    return Examples(rule=RULE, words=("above the mean", "below the mean"), items=tuple(items))


def _prompt(settings: Settings, vocabulary: Vocabulary, sample: int) -> str:
    tokens = array(settings, settings.model.inputs[0].array)[sample]
    return vocabulary.text(tokens[: int(array(settings, "lengths")[sample])].tolist())
