"""A reader that is fuzzed, and what all of them share.

A target is given bytes and may raise an error of mlorch's; whatever else it raises is a fault, and so is taking long.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/unit"))  # the whole results and bundles that other tests make
LOGS = ROOT / "tests/fixtures/loadgen"


@dataclass(frozen=True, slots=True)
class Target:
    """A reader: ``read`` is fuzzed, ``seeds`` are good inputs, ``words`` what it looks for."""

    name: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes], object]
    words: tuple[bytes, ...] = ()

    def run(self, data: bytes) -> None:
        """Give it an input. Raises where it is broken by it."""
        try:
            self.read(data)
        except MlorchError as error:
            str(error)
            for problem in error.problems():
                assert problem.message


@cache
def folder() -> Path:
    """A folder for the inputs of readers that want files; in memory where there is such a place."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    made = Path(tempfile.mkdtemp(prefix="mlorch-fuzz-", dir=place))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def files(*patterns: str) -> Callable[[], list[bytes]]:
    """Gives the files of the repository that match."""

    def read() -> list[bytes]:
        return [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]

    return read
