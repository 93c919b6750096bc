"""`make fuzz`: every reader for a while; an input that breaks one goes into the corpus and is tried first from then on.

python tests/fuzz/feed.py [--seconds 60] [--inputs N] [TARGET …]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz_target import Target

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
LONGEST_S, LONGEST_WAIT_S = 5.0, 60.0
"""Seconds of processor time, which no input of 200 KB may take, and of waiting, however busy the machine is."""


class Slow(Exception):
    """A reader did not come to an end in time."""


def corpus_of(name: str) -> list[Path]:
    """The inputs that once broke a reader."""
    return sorted((CORPUS / name).glob("*"))


def bounded(read, data: bytes) -> None:
    """Call a reader, for so long and no longer."""

    def stop(_number, _frame):
        raise Slow(f"more than {LONGEST_S:.0f} s of work, or {LONGEST_WAIT_S:.0f} s in all")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, LONGEST_S), signal.SIGALRM: (signal.ITIMER_REAL, LONGEST_WAIT_S)}
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        read(data)
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def fuzz(name: str, *, seconds: float, inputs: int | None = None, seed: int | None = None) -> tuple[int, Path | None]:
    """Fuzz one reader; gives how many inputs it read, and the new one of the corpus where it broke."""
    from mutate import edited, shortened
    from targets import TARGETS

    target = TARGETS[name]
    known = [path.read_bytes() for path in corpus_of(name)]
    for data in known:
        bounded(target.run, data)
    seeds, numbers = [*target.seeds(), *known], random.Random(seed)
    read, until = 0, time.monotonic() + seconds
    while time.monotonic() < until and (inputs is None or read < inputs):
        data = edited(seeds, target.words, numbers)
        read += 1
        try:
            bounded(target.run, data)
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            traceback.print_exc(limit=-6)
            return read, _kept(name, shortened(data, partial(_breaks, target, _kind(error))))
    return read, None


def _breaks(target: Target, kind: str, data: bytes) -> bool:
    """Whether an input breaks a reader in this way."""
    try:
        bounded(target.run, data)
    except Exception as error:  # noqa: BLE001
        return _kind(error) == kind
    return False


def _kind(error: Exception) -> str:
    """What was raised, and where."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {at.filename}:{at.lineno}"


def _kept(name: str, data: bytes) -> Path:
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def main() -> int:
    """Fuzz what the command line names; 1 where something broke."""
    from targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60, help="for each (default: 60)")
    parser.add_argument("--inputs", type=int, help="at most so many for each")
    given = parser.parse_args()
    if unknown := sorted(set(given.targets) - TARGETS.keys()):
        parser.error(f"there is no target {', '.join(unknown)}")
    broken = total = 0
    with tempfile.TemporaryDirectory(prefix="mlorch-fuzz-home-") as home:
        os.environ.update(HOME=home, MLORCH_HOME=f"{home}/mlorch", CI="")
        for name in given.targets or TARGETS:
            began = time.monotonic()
            read, fault = fuzz(name, seconds=given.seconds, inputs=given.inputs)
            total += read
            end = f"BROKEN by {fault.relative_to(HERE.parents[1])}" if fault else "held"
            print(f"{name:12} {read:9,} inputs in {time.monotonic() - began:4.0f} s  {end}", flush=True)
            broken += fault is not None
    print(f"{total:,} inputs, {broken} of {len(given.targets or TARGETS)} readers broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.path.insert(0, str(HERE.parents[1]))
    sys.exit(main())
