"""What was heard in a recording beside what was said in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jiwer

from ..metrics.answers import array
from . import EACH, Examples, Item, first_of_each, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

RULE = (
    f"the first {EACH} recordings of which every word was heard as it was said, and the first {EACH} of which one was "
    "not; the figure is the word error rate in percent"
)


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    """Texts are compared as the accuracy compares them: without regard to case and to spaces between words."""
    said = [_plain(str(each)) for each in array(settings, "references", len(answers)).tolist()]
    heard = [_plain(data.decode("utf-8", "replace")) for data in answers]
    right = [one == other for one, other in zip(said, heard, strict=True)]
    items = []
    for sample in first_of_each(right):
        rate = 100 * jiwer.wer(said[sample], heard[sample]) if said[sample] else None
        texts = (text("predicted", heard[sample] or "(nothing)"), text("expected", said[sample]))
        score = None if rate is None else round(rate, 1)
        items.append(Item(sample=sample, right=right[sample], score=score, texts=texts))
    return Examples(rule=RULE, items=tuple(items))


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())
