"""Ratios measured in one run: both sides are timed interleaved, and the least of each counts.

The least, because a shared machine only ever adds time; CPU time (user + system of the
child) where the work is ours, wall time where it is the engine's.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# As a user has it, who compiles each module once and not on every call.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class NotHereError(RuntimeError):
    """What a part measures is not on this machine; the message says what lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of docs/benchmarks.md: a ratio (or seconds), and the bar that it has to keep."""

    what: str
    value: float
    bar: float
    unit: str = "x"
    at_least: bool = False
    """Whether the bar is a floor (throughput) instead of a ceiling (time)."""
    detail: str = ""

    @property
    def kept(self) -> bool:
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def mlorch(*arguments: str) -> list[str]:
    """The command line of this environment's `mlorch`."""
    return [str(Path(sys.executable).parent / "mlorch"), *arguments]


def mlorch_json(*arguments: str, env: dict[str, str] | None = None) -> dict:
    """What a command prints with `--json`; RuntimeError where it fails."""
    done = subprocess.run(mlorch(*arguments, "--json"), env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def note(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def cpu_seconds(argv: list[str], *, env: dict[str, str] | None = None, cwd: str | None = None) -> float:
    """User + system time of one run of `argv` and its children, in seconds, to the microsecond.

    Not by os.times(): it counts in ticks of 10 ms, as long as a bare Python takes.

    Raises:
        RuntimeError: the command failed; a bar over a failing command would mean nothing.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{argv} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def wall_seconds(argv: list[str], *, env: dict[str, str] | None = None, cwd: str | None = None) -> float:
    """Wall time of one run of `argv`, in seconds; RuntimeError as `cpu_seconds`."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{argv} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return took


def least(samples: dict[str, list[float]]) -> dict[str, float]:
    """The least sample of each name."""
    return {name: min(values) for name, values in samples.items()}
