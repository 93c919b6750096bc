"""What stands at a path of somebody else's: of another user's home, of a runtime folder that was handed on.

`Path.exists`, `is_file` and `is_dir` raise where a folder above may not be looked into (until Python 3.14).
For what only decides whether something is there to be used, that is the same as its not being there.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def exists(path: Path) -> bool:
    """Whether something can be seen at ``path``, links followed."""
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Whether a regular file can be seen at ``path``, links followed."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_dir(path: Path) -> bool:
    """Whether a folder can be seen at ``path``, links followed."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 (pathlib's predicates are what this stands for)
    except (OSError, ValueError):  # ValueError: a null byte in it
        return None
