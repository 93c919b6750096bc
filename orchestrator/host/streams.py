"""Standard output and error that a command can rely on: closed, of a narrow encoding, or with a reader who leaves."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""What a write meets where nobody reads any more: a pipe whose reader ended, a terminal that was hung up."""


def make_usable() -> None:
    """Let commands write whatever they have to say, whoever reads it.

    Where a standard stream is closed they talk to nobody: its number would be given to the next file that is
    opened, and what a child prints would land in that file. A character that the encoding lacks is written out.
    Where the reader goes away (`mlorch run | head`) the work goes on without output, and its exit status stays.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        os.set_inheritable(number, True)  # noqa: FBT003 (its only parameter)
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


class _Lasting(io.RawIOBase):
    """A descriptor that takes everything: after its reader went away, into nothing."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._descriptor)  # of children too: they would be ended by the signal
        os.close(nothing)
        return len(memoryview(data).cast("B"))


def _lasting(stream: TextIO | None, descriptor: int) -> io.TextIOWrapper:
    """A stream like ``stream`` (None: it was closed) over its descriptor."""
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(cast("io.RawIOBase", _Lasting(descriptor))),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=descriptor == 2 or os.isatty(descriptor),
    )
