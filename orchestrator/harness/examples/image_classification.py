"""Pictures with the class that was predicted and the one that was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..samples import opened
from . import Examples, Item, Labels, first_of_each
from .pictures import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    labels = opened(settings, "labels").astype(np.int64)
    given = np.frombuffer(b"".join(answers), "<i8")
    if len(given) != len(labels):
        raise ValueError(f"{len(given)} classes were answered for {len(labels)} pictures")
    items = []
    for sample in first_of_each(given == labels):
        classes = Labels(predicted=int(given[sample]), expected=int(labels[sample]))
        right = classes.predicted == classes.expected
        items.append(Item(sample=sample, right=right, picture=picture(settings, sample), labels=classes))
    return Examples(items=tuple(items))
