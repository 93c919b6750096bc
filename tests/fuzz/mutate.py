"""Inputs for the fuzzer: a seed of the corpus with some edits, by a random number; and how one that broke is shortened.

By hand and not by Hypothesis, which makes three hundred such inputs a second where this makes ten thousand; most
readers are as quick as that, and what is looked for is rare.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

EVIL = (
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"null", b"true", b'""', b"{}", b"[]", b'{"": {"": []}}',
    b"[" * 3000, b'{"a":' * 3000, b"{{" * 200, b"$(" * 2000, b"&a [*a, *a]", b"*a", b"!!python/object:os.system",
    b"\\ud800", b"\xed\xa0\x80", b"\xff\xfe", b"\x00", b"\x1b[2J", "\u202e\u2028\u0085\ufeff".encode(), b"\r\n\r\n",
    b"../" * 40, b"/etc/passwd", b"A" * 5000, b":::MLLOG ", b"%s%n", b"${A:-$A}", b"<<EOF\n", b"sha256:" + b"0" * 64,
)  # fmt: skip
"""What such readers have been broken by."""
_LONGEST = 200_000


def edited(seeds: Sequence[bytes], words: Sequence[bytes], numbers: random.Random) -> bytes:
    """One of the ``seeds`` with one to six edits; ``words`` are what the reader at hand looks for."""
    data = numbers.choice(seeds)
    for _ in range(numbers.choice((1, 1, 2, 3, 6))):
        data = _edit(data, seeds, words, numbers)
    return data[:_LONGEST]


def _edit(data: bytes, seeds: Sequence[bytes], words: Sequence[bytes], numbers: random.Random) -> bytes:
    begin = numbers.randrange(len(data) + 1)
    end = min(len(data), begin + numbers.choice((0, 1, 1, 4, 12, 60, 400)))
    middle = data[begin:end]
    kind = numbers.randrange(10)
    if kind < 4:
        middle = numbers.choice(numbers.choice((EVIL, words or EVIL)))
    elif kind == 4:
        middle = numbers.randbytes(numbers.randrange(1, 7))
    elif kind == 5:
        middle = str(numbers.choice((0, -1, 1, 2**31, 2**63, 10**30, numbers.randrange(10**6)))).encode()
    elif kind == 6:
        middle *= numbers.choice((2, 40))
    elif kind == 7:
        middle = b""
    elif kind == 8:  # two seeds in one
        other = numbers.choice(seeds)
        at = numbers.randrange(len(other) + 1)
        middle = other[at : at + numbers.choice((20, 400, 4000))]
    elif middle:  # a bit
        at = numbers.randrange(len(middle))
        middle = middle[:at] + bytes((middle[at] ^ 1 << numbers.randrange(8),)) + middle[at + 1 :]
    return data[:begin] + middle + data[end:]


def shortened(data: bytes, breaks: Callable[[bytes], bool], seconds: float = 30.0) -> bytes:
    """A shorter input that still ``breaks``, as short as it gets in so long: parts are left out, large ones first."""
    until = time.monotonic() + seconds
    size = len(data) // 2
    while size and time.monotonic() < until:
        at = 0
        while at < len(data) and time.monotonic() < until:
            shorter = data[:at] + data[at + size :]
            if breaks(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
