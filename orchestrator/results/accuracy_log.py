"""LoadGen's accuracy log, looked through when its test has ended: whether it has an answer for every sample."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.host.untrusted import LARGEST_HASHED, UnreadableFile, opened, require_dense
from orchestrator.results.loadgen import ACCURACY

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = LARGEST_HASHED
"""Bytes of a log that is looked through; a larger one has no hash either."""
_PIECE = 2**16
_INDEX = re.compile(rb'"qsl_idx"\s*:\s*(\d{1,18})\b')
"""LoadGen writes an answer a line, its sample before its data."""


def accuracy_log_failure(folder: Path, expected: object) -> StepFailed | None:
    """Why the log is not that of a test over so many samples; None where it is, or nobody knows how many."""
    try:
        found = _samples(folder)
    except UnreadableFile as error:
        return _failure(f"{ACCURACY} {error.reason}")
    if not found:
        return _failure(f"{ACCURACY} holds no answer")
    if isinstance(expected, int) and found != expected:
        return _failure(f"{ACCURACY} has the answers of {found:,} samples, and the data set has {expected:,}")
    return None


def _failure(why: str) -> StepFailed:
    hint = "what the accuracy was counted of is not there any more, so it does not count; run the test again"
    return StepFailed(why, hint=hint, slug="accuracy-log")


def _samples(folder: Path) -> int:
    seen: set[bytes] = set()
    with opened(folder, ACCURACY, LARGEST) as stream:
        require_dense(stream, folder, ACCURACY)
        begins = True
        while piece := stream.readline(_PIECE):
            answer = _INDEX.search(piece) if begins else None
            if answer is not None:
                seen.add(answer[1])
            begins = piece.endswith(b"\n")
    return len(seen)
