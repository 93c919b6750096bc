"""An accuracy log as a tree holds it: its two ends, with the hash of the whole in accuracy.txt.

Source: mlcommons/inference, tools/submission/truncate_accuracy_log.py.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

KEPT = 4096
"""Bytes at either end that stay."""
CUT = b"\n\n...\n\n"
"""What stands in place of the rest."""
_BLOCK = 1 << 20


def truncated(stream: BinaryIO) -> tuple[bytes, str]:
    """The ends of a long log, and the sha256 of the whole."""
    digest, start, end = hashlib.sha256(), b"", b""
    while block := stream.read(_BLOCK):
        digest.update(block)
        start = start or block[:KEPT]
        end = (end + block)[-KEPT:]
    return start + CUT + end, digest.hexdigest()


def is_truncated(start: bytes, size: int) -> bool:
    """Whether a log of ``size`` bytes that begins with ``start`` is one that was truncated."""
    return size == 2 * KEPT + len(CUT) and start[KEPT : KEPT + len(CUT)] == CUT
