"""Reading a file that a person named.

It stands here because this is the lowest room that may open files; `host` and the rooms above it read theirs so too.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_given(path: Path, limit: int) -> bytes:
    """The first ``limit`` bytes of a file that somebody named; raises OSError, and at once for a pipe or a device.

    A link is followed: who names a file may name it so (`host.untrusted` is for what others wrote).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        return stream.read(limit)
