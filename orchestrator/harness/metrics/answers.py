"""Logged answers as arrays, refused where they are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..settings import Settings


def vectors(answers: Sequence[bytes], width: int | None = None) -> npt.NDArray[np.float32]:
    """The answers as float32 [samples, width]; where no ``width`` is given they have that of the first.

    Raises `ValueError` for answers of another size, and for ones that are not finite: a model whose arithmetic
    broke down has no accuracy.
    """
    size = len(answers[0]) if width is None else 4 * width
    wrong = [index for index, answer in enumerate(answers) if len(answer) != size or not size or size % 4]
    if wrong:
        at = wrong[0]
        raise ValueError(f"the answer to sample {at} has {len(answers[at])} bytes, {size or 4} were expected")
    found = np.frombuffer(b"".join(answers), "<f4").reshape(len(answers), -1)
    broken = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(broken):
        raise ValueError(f"the answers to {len(broken)} of {len(found)} samples are not finite, first to {broken[0]}")
    return found


def joined(answers: Sequence[bytes], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The answers to samples of several rows each, one float32 a row: [rows].

    Raises `ValueError` for an answer of another size than its sample's ``counts`` [samples], and as `vectors` does.
    """
    for at, (answer, count) in enumerate(zip(answers, counts.tolist(), strict=True)):
        if len(answer) != 4 * count:
            raise ValueError(f"the answer to sample {at} has {len(answer)} bytes, {4 * count} were expected")
    found = np.frombuffer(b"".join(answers), "<f4")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(f"the answer to row {row} of {len(found)} is not finite")
    return found


def array(settings: Settings, name: str, rows: int | None = None) -> npt.NDArray[np.generic]:
    """An array of the data set; raises `ValueError` where it has not so many ``rows``."""
    found: npt.NDArray[np.generic] = np.load(settings.dataset.arrays[name], allow_pickle=False)
    if rows is not None and len(found) != rows:
        raise ValueError(f"dataset.arrays.{name} holds {len(found)} rows, {rows} were expected")
    return found
