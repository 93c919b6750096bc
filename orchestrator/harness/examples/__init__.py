"""A few samples of an accuracy test as people want to see them: what was asked, answered and expected.

Written as examples.json (docs/run-contract.md) by whoever counts the accuracy, after the test. A task without a
module here has none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..lines import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ..settings import Settings

FILE = "examples.json"
EXAMPLES = {
    "embedding-classification": ".embedding_classification",
    "embedding-similarity": ".embedding_similarity",
    "image-classification": ".image_classification",
    "object-detection": ".object_detection",
    "recommendation": ".recommendation",
    "speech-recognition": ".speech_recognition",
    "text-generation": ".text_generation",
}
"""Task → the module that makes its examples."""
EACH = 3
"""Examples of right answers, and as many of wrong ones."""
LONGEST = 2000
"""Characters of a text; what is longer is cut, and says so."""
FIRST = f"the first {EACH} samples that were answered rightly and the first {EACH} that were not"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG, in base64, of so many pixels."""

    width: int
    height: int
    png: str


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box on the picture: its corners are ymin, xmin, ymax, xmax as shares of the sides."""

    of: str
    """``predicted`` or ``expected``."""
    label: int
    corners: tuple[float, float, float, float]
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Labels:
    predicted: int
    expected: int


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text by what it is: the prompt, the predicted or the expected one, a figure in words."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """One example: whatever of these its task has. ``score`` is a probability or how good the answer is."""

    sample: int
    right: bool
    score: float | None = None
    picture: Picture | None = None
    boxes: tuple[Box, ...] = ()
    labels: Labels | None = None
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points from the lower left to the upper right, each from 0 to 1; ``roc``: false and true positive rates."""

    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """``rule`` says which samples were taken, so that nobody thinks that they were picked by hand.

    ``words`` are what a ``right`` item is called and one that is not: where answers are good by degrees, none is right.
    """

    rule: str = FIRST
    words: tuple[str, str] = ("right", "wrong")
    items: tuple[Item, ...] = ()
    curve: Curve | None = None


class Maker(Protocol):
    """What a module of `EXAMPLES` offers."""

    def examples(self, settings: Settings, answers: Sequence[bytes]) -> Examples:
        """Examples of the answers to every sample of the data set, in their order.

        Raises `ValueError` for arrays or answers that are none of the task's.
        """
        ...


def write(folder: Path, settings: Settings, answers: Sequence[bytes]) -> None:
    """examples.json in ``folder``, where the task has examples and there is something to show.

    Where the data set is not to be shown, what is of single samples is left out, and what is of all of them stays.
    Raises `ValueError` as a `Maker` does, and `OSError`.
    """
    if settings.task not in EXAMPLES:
        return
    maker: Maker = import_module(EXAMPLES[settings.task], __package__)
    found = maker.examples(settings, answers)
    items = found.items if settings.dataset.show else ()
    if items or found.curve is not None:
        write_json(folder / FILE, {"version": 1, **asdict(replace(found, items=items))})


def first_of_each(right: Iterable[bool] | npt.NDArray[np.bool_]) -> list[int]:
    """The places of the first right and of the first wrong answers, right ones first."""
    given = np.asarray(list(right), bool)
    places = (np.flatnonzero(given), np.flatnonzero(~given))
    return [int(place) for kind in places for place in kind[:EACH]]


def text(name: str, whole: str) -> Text:
    """A text, cut where it is too long to be shown."""
    return Text(name=name, text=whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} […]")
