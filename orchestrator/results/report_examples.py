"""Examples of an accuracy test as a report shows them: labels by name, boxes on their pictures, why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.metrics import number
from orchestrator.facts.neutral import neutral
from orchestrator.results import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.results.examples import Box, Curve, Item
    from orchestrator.results.summary import Summary

_SIDE = 200
"""Pixels of the longer side of a picture on the page; small ones are magnified."""
_ROC = 220
"""Of the side of a curve's square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBox:
    """A box in the pixels of the page; ``title`` says what it is."""

    of: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPicture:
    png: str
    width: int
    height: int
    pixelated: bool
    boxes: tuple[ShownBox, ...]
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownItem:
    """``rows`` are names and texts, what was predicted beside what was expected.

    ``word`` says how good the answer is; ``kind``, good or bad, is empty where that is so by degrees only.
    """

    sample: int
    word: str
    kind: str
    score: str
    picture: ShownPicture | None
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """``withheld`` is why single samples are not shown; ``roc`` are the points of a curve within a square."""

    rule: str = ""
    items: tuple[ShownItem, ...] = ()
    withheld: str = ""
    roc: tuple[tuple[float, float], ...] = ()
    side: int = _ROC


def shown(summary: Summary) -> Shown | None:
    """What a report shows of a test's samples; None where there is nothing to show or to say.

    Whether samples may be shown is what the record says of the data set: a file in the folder cannot allow it.
    """
    record, dataset = summary.record, summary.record.dataset
    if record.mode != "accuracy" or record.status != "done":
        return None
    found, withheld = examples.read(summary.folder), "" if dataset is None else dataset.not_shown
    if found is None:
        return Shown(withheld=withheld) if withheld else None
    names = () if dataset is None else dataset.label_names
    items = () if withheld else tuple(_item(one, names, found.words) for one in found.items)
    rule = neutral(found.rule) if items else ""
    return Shown(rule=rule, items=items, withheld=withheld, roc=_points(found.curve))


def _item(item: Item, names: Sequence[str], words: tuple[str, str]) -> ShownItem:
    rows = [(one.name, neutral(one.text)) for one in item.texts]
    if item.labels is not None:
        rows.append(("predicted", label_name(item.labels.predicted, names)))
        rows.append(("expected", label_name(item.labels.expected, names)))
    for of in ("predicted", "expected"):
        if item.boxes:
            rows.append((of, ", ".join(_said(box, names) for box in item.boxes if box.of == of) or "nothing"))
    score = "" if item.score is None else number(item.score)
    kind = ""
    if words == examples.RIGHT_OR_WRONG:
        kind = "good" if item.right else "bad"
    return ShownItem(
        sample=item.sample,
        word=words[0] if item.right else words[1],
        kind=kind,
        score=score,
        picture=_picture(item, names),
        rows=tuple(rows),
    )


def label_name(label: int, names: Sequence[str]) -> str:
    """What a label is called, or its number where nobody said."""
    return names[label] if 0 <= label < len(names) else f"class {label}"


def _picture(item: Item, names: Sequence[str]) -> ShownPicture | None:
    if item.picture is None:
        return None
    scale = _SIDE / max(item.picture.width, item.picture.height)
    width, height = round(item.picture.width * scale), round(item.picture.height * scale)
    boxes = tuple(_box(one, width, height, names) for one in item.boxes)
    label = f"sample {item.sample}"
    for of in ("expected", "predicted"):
        told = [box.title for box in boxes if box.of == of]
        label += f"; {', '.join(told)}" if told else ""
    return ShownPicture(png=item.picture.png, width=width, height=height, pixelated=scale > 2, boxes=boxes, label=label)


def _box(box: Box, width: int, height: int, names: Sequence[str]) -> ShownBox:
    top, left, bottom, right = box.corners
    return ShownBox(
        of=box.of,
        x=left * width,
        y=top * height,
        width=(right - left) * width,
        height=(bottom - top) * height,
        title=f"{box.of}: {_said(box, names)}",
    )


def _said(box: Box, names: Sequence[str]) -> str:
    """What a box is of, with its score: ``bag 0.98``."""
    name = label_name(box.label, names)
    return name if box.score is None else f"{name} {box.score:.2f}"


def _points(curve: Curve | None) -> tuple[tuple[float, float], ...]:
    return () if curve is None else tuple((x * _ROC, (1 - y) * _ROC) for x, y in curve.points)
