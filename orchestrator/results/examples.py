"""Examples of an accuracy test (docs/run-contract.md), read as input: a container wrote them."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.codec import CodecError, from_plain
from orchestrator.facts.neutral import neutral
from orchestrator.host.untrusted import UnreadableFile, read_document
from orchestrator.results.png import LARGEST as LARGEST_PICTURE
from orchestrator.results.png import is_small_png

if TYPE_CHECKING:
    from pathlib import Path

FILE = "examples.json"
_LARGEST = 1 << 20
_MOST_ITEMS, _MOST_BOXES, _MOST_TEXTS, _MOST_POINTS = 12, 200, 4, 256
_LONGEST_TEXT, _LONGEST_NAME = 4000, 40
_LARGEST_LABEL = 2**31
RIGHT_OR_WRONG = ("right", "wrong")
_BOXES = ("predicted", "expected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG of grey or RGB pixels, in base64."""

    width: int
    height: int
    png: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box of a scene, ``predicted`` or ``expected``; corners are ymin, xmin, ymax, xmax as shares of the sides."""

    of: str
    label: int
    corners: tuple[float, float, float, float]
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    predicted: int
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What it is (``prompt``, ``predicted``, ``expected``) and its words."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One sample as its task has it; ``score`` is a probability, or how good the answer is."""

    sample: int
    right: bool
    score: float | None = None
    picture: Picture | None = None
    boxes: tuple[Box, ...] = ()
    labels: Labels | None = None
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points from 0 to 1 on both axes; of the kind ``roc`` false and true positive rates."""

    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """``rule`` says in words which samples were taken, ``words`` what is said of a right one and of another."""

    version: int
    rule: str
    items: tuple[Item, ...]
    words: tuple[str, str] = RIGHT_OR_WRONG
    curve: Curve | None = None


def read(folder: Path) -> Examples | None:
    """The examples in a run's folder; None where there are none, or anything of them is not as it has to be."""
    try:
        found = from_plain(Examples, read_document(folder, FILE, _LARGEST))
    except (UnreadableFile, CodecError):
        return None
    return found if _can_be(found) else None


def _can_be(found: Examples) -> bool:
    if found.version != 1 or not _is_text(found.rule) or len(found.items) > _MOST_ITEMS:
        return False
    if not all(map(_is_name, found.words)):
        return False
    if found.curve is not None and not _is_curve(found.curve):
        return False
    return all(map(_is_item, found.items))


def _is_item(item: Item) -> bool:
    if not 0 <= item.sample < _LARGEST_LABEL or not (item.score is None or math.isfinite(item.score)):
        return False
    if len(item.boxes) > _MOST_BOXES or not all(map(_is_box, item.boxes)):
        return False
    if len(item.texts) > _MOST_TEXTS or not all(_is_text(one.text) and _is_name(one.name) for one in item.texts):
        return False
    labels = item.labels
    if labels is not None and not (_is_label(labels.predicted) and _is_label(labels.expected)):
        return False
    return item.picture is None or _is_picture(item.picture)


def _is_box(box: Box) -> bool:
    top, left, bottom, right = box.corners
    inside = 0 <= top <= bottom <= 1 and 0 <= left <= right <= 1
    return inside and box.of in _BOXES and _is_label(box.label) and (box.score is None or 0 <= box.score <= 1)


def _is_curve(curve: Curve) -> bool:
    points = curve.points
    shares = all(0 <= x <= 1 and 0 <= y <= 1 for x, y in points)
    return curve.kind == "roc" and 2 <= len(points) <= _MOST_POINTS and shares and list(points) == sorted(points)


def _is_label(label: int) -> bool:
    return -_LARGEST_LABEL < label < _LARGEST_LABEL


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and neutral(name) == name and "\n" not in name


def _is_text(text: str) -> bool:
    """Of a length that a page bears; what could steer is written out where it is shown."""
    return len(text) <= _LONGEST_TEXT


def _is_picture(picture: Picture) -> bool:
    if len(picture.png) > LARGEST_PICTURE * 4 // 3 + 4:
        return False
    try:
        data = base64.b64decode(picture.png, validate=True)
    except (binascii.Error, ValueError):
        return False
    return is_small_png(data, picture.width, picture.height)
