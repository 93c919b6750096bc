"""Mean average precision as COCO counts it, by pycocotools; its interval by scipy.

Corners stay shares of the picture's sides: stretching both boxes alike changes no IoU, and no class of area is used.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.stats import bootstrap

from ..tasks.object_detection import COLUMNS, ROW
from . import Figure, interval
from .answers import array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..settings import Settings

RESAMPLES = 200
"""Sets of pictures drawn for the interval."""
SEED = 0


def figures(settings: Settings, answers: Sequence[bytes]) -> list[Figure]:
    """``mAP`` over IoU 0.50 to 0.95 with its interval, and ``mAP50`` at 0.50, both in percent.

    The data set's arrays: ``boxes`` [n, B, 4] (ymin, xmin, ymax, xmax), ``classes`` [n, B], and ``counts`` [n] of
    those that are of the picture.
    """
    truth, found = _truth(settings), _found(answers)
    if not len(found):
        return [_figure(name, 0.0, len(answers)) for name in ("mAP", "mAP50")]
    with contextlib.redirect_stdout(io.StringIO()):  # the library tells how it goes
        counted = COCOeval(truth, truth.loadRes(found), "bbox")
        counted.evaluate()
        counted.accumulate()
        counted.summarize()
        ends = _ends(counted)
    mean, at_half = (float(value) for value in counted.stats[:2])
    return [_figure("mAP", mean, len(answers), interval(*ends, 100)), _figure("mAP50", at_half, len(answers))]


def _figure(metric: str, share: float, samples: int, ends: tuple[float, float] | None = None) -> Figure:
    return Figure(metric=metric, value=100 * share, unit="%", samples=samples, interval=ends)


def _truth(settings: Settings) -> COCO:
    """The boxes of the data set."""
    pictures = settings.dataset.samples
    boxes, classes, counts = (array(settings, name, pictures) for name in ("boxes", "classes", "counts"))
    annotations: list[dict[str, Any]] = []
    for picture in range(pictures):
        for number in range(int(counts[picture])):
            top, left, bottom, right = boxes[picture, number].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": picture,
                    "category_id": int(classes[picture, number]),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
    truth = COCO()
    kinds = sorted({each["category_id"] for each in annotations})
    truth.dataset = {
        "images": [{"id": picture} for picture in range(pictures)],
        "categories": [{"id": kind} for kind in kinds],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return truth


def _found(answers: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """What was answered, as pycocotools reads it: picture, left, top, width, height, score, class."""
    parts = []
    for picture, data in enumerate(answers):
        if len(data) % ROW.itemsize:
            raise ValueError(f"sample {picture}: an answer of {len(data)} bytes; rows have {ROW.itemsize}")
        rows = np.frombuffer(data, ROW.base).reshape(-1, len(COLUMNS))
        if not np.isfinite(rows).all():
            raise ValueError(f"sample {picture}: a box that is no finite numbers")
        if (rows[:, 0] != picture).any():
            other = rows[rows[:, 0] != picture][0, 0]
            raise ValueError(f"sample {picture}: answered with boxes of sample {other:g}")
        if (rows[:, 3:5] < rows[:, 1:3]).any():
            raise ValueError(f"sample {picture}: a box that ends before it begins")
        parts.append(rows)
    sample, top, left, bottom, right, score, kind = np.concatenate(parts).astype(np.float64).T
    return np.stack([sample, left, top, right - left, bottom - top, score, kind], axis=1)


def _ends(counted: COCOeval) -> tuple[float, float]:
    """Where mAP lies with 95 % confidence, by drawing the pictures anew with replacement (basic bootstrap).

    The basic one, as a picture drawn twice brings its boxes with the same scores twice, which raises mAP on average:
    the basic bootstrap takes that off. pycocotools matches boxes by picture, once; a draw is those matches again.
    """
    pictures, areas = len(counted.params.imgIds), len(counted.params.areaRng)
    # evalImgs has the pictures of each class and area side by side; "all" is the first area
    matches = np.array(counted.evalImgs, dtype=object).reshape(-1, areas, pictures)[:, 0]
    counted.params.areaRng, counted.params.areaRngLbl = counted.params.areaRng[:1], counted.params.areaRngLbl[:1]
    counted.params.maxDets = counted.params.maxDets[-1:]
    counted._paramsEval = counted.params  # noqa: SLF001 - what `accumulate` takes evalImgs to be of

    def mean(drawn: npt.NDArray[np.int64]) -> float:
        counted.evalImgs = matches[:, drawn].ravel().tolist()
        counted.accumulate()
        precision = counted.eval["precision"]
        return float(precision[precision > -1].mean())  # -1: a class that is in none of the pictures

    found = bootstrap(
        (np.arange(pictures),),
        mean,
        n_resamples=RESAMPLES,
        vectorized=False,
        method="basic",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return max(float(found.low), 0.0), min(float(found.high), 1.0)
