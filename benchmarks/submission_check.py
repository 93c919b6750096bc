"""mlorch's submission checker against MLCommons' own, of the same round, on the round's published results.

Both in one run on the same tree, as processes: CPU time of a whole check, wall time, rows of the summary that only one
of them has, and the memory of ours. Nothing is kept from one check of ours to the next, but for the last row: a check
again, after one file has changed. The trees come from their repositories, or from mirrors of them (MLORCH_GIT_MIRRORS),
or lie below the folder MLORCH_BENCH_TREES, named by round; what cannot be had is left out. Takes a quarter of an hour,
of which MLCommons' checkers need eight minutes, and 15 GB of disk.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import Bar, NotHereError, mlorch, note

if TYPE_CHECKING:
    from collections.abc import Iterator

TURNS = 3
TREES = "MLORCH_BENCH_TREES"
ROOT = "--skip-extra-files-in-root-check"
"""The published trees have files at their root."""
PICTURES = "--skip-extra-accuracy-files-check"
"""Stable Diffusion's pictures are not published."""
MEMORY_BAR, AGAIN_BAR = 300, 2
ENDED = (0, 1)
"""Exit statuses of a check that came to its end: published trees have faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Results that were published, and how MLCommons' checker is called for them."""

    round: str
    repository: str
    commit: str
    options: tuple[str, ...]
    skipped: tuple[str, ...]
    """The same for ours."""
    bars: tuple[float, float] | None
    """Times the CPU and the wall time of ours; None where a check is too short to say anything."""


PUBLISHED = (
    Published(
        round="v5.1",
        repository="inference_results_v5.1",
        commit="965182b03376a00fcae415c54e560e1c83937932",
        options=(ROOT, PICTURES),
        skipped=("root-files", "accuracy-extras"),
        bars=(15, 20),
    ),
    Published(
        round="v4.1",
        repository="inference_results_v4.1",
        commit="198fc46799b3328b36ee4bcbdebfa2db5a8e6183",
        options=(ROOT,),
        skipped=("root-files",),
        bars=(15, 20),
    ),
    Published(
        round="v3.0",
        repository="inference_results_v3.0",
        commit="1948f9b5b93c5b4dcafe15de0faa08cdf1439fca",
        options=(),
        skipped=(),
        bars=(10, 10),
    ),
    Published(
        round="v5.0",
        repository="mlperf_inference_unofficial_submissions_v5.0",
        commit="73228d455881dd246f0c55b2ad903cf0ff9e4bf5",
        options=(ROOT, PICTURES),
        skipped=("root-files", "accuracy-extras"),
        bars=None,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process and those that it waited for took, in seconds."""

    cpu: float
    wall: float


def measure() -> list[Bar]:
    """Rows for each tree that can be had."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        for each in PUBLISHED:
            try:
                tree, checker = _tree(each), _checker(each, Path(folder) / each.round)
            except NotHereError as error:
                note(f"{each.round}: left out: {error}")
                continue
            rows += _rows(each, tree, checker, Path(folder))
    if not rows:
        raise NotHereError(f"none of the published trees can be had; put them below a folder and name it in {TREES}")
    return rows


def _tree(published: Published) -> Path:
    """The published tree: what somebody put there, or what the repository gives."""
    given = os.environ.get(TREES)
    if given is not None:
        names = (published.round, f"unofficial-{published.round}")
        found = next((Path(given) / name for name in names if (Path(given) / name).is_dir()), None)
        if found is None:
            raise NotHereError(f"{given} has no folder {' or '.join(names)}")
        return found.resolve()
    return _fetched(f"https://github.com/mlcommons/{published.repository}", published.commit)


def _fetched(repository: str, commit: str) -> Path:
    from orchestrator.errors import AssetError
    from orchestrator.host.git import fetch
    from orchestrator.host.site import discover

    note(f"fetching {repository} at {commit[:8]}")
    try:
        return fetch(repository, commit, mirrors=discover(os.environ).git_mirrors)
    except AssetError as error:
        raise NotHereError(f"{repository} cannot be had here: {error.message}") from None


def _checker(published: Published, folder: Path) -> list[str]:
    """The command of the round's own checker, without the tree and the summary."""
    from orchestrator.definitions.catalog import builtin_root, load
    from orchestrator.errors import AssetError
    from orchestrator.host.git import export
    from orchestrator.host.site import discover

    program = load([builtin_root()]).round_rules(published.round).checker.program
    assert program is not None
    mirrors = discover(os.environ).git_mirrors
    try:
        export(program.repository, program.commit, folder, paths=("tools/submission",), mirrors=mirrors)
    except AssetError as error:
        raise NotHereError(f"MLCommons' checker cannot be had here: {error.message}") from None
    return [sys.executable, str(folder / program.path), "--version", published.round, *published.options]


def _rows(published: Published, tree: Path, checker: list[str], folder: Path) -> Iterator[Bar]:
    name = published.round
    theirs, ours = folder / f"{name}-theirs.csv", folder / f"{name}-ours.csv"
    note(f"{name}: MLCommons' checker")
    official = _cost([*checker, "--input", str(tree), "--csv", str(theirs)], cwd=folder)
    note(f"{name}: ours, {TURNS} times")
    words = ["submission", "check", str(tree), "--round", name, "--as-official", "--csv", str(ours)]
    argv = mlorch(*words, *(word for check in published.skipped for word in ("--skip", check)))
    env = os.environ | {"MLORCH_HOME": str(folder / f"{name}-home")}
    turns = [_cost([*argv, "--no-cache"], env=env, cwd=folder) for _ in range(TURNS)]
    cpu, wall = min(turn.cpu for turn in turns), min(turn.wall for turn in turns)
    detail = f"{cpu:.2f} s against {official.cpu:.2f} s CPU, {wall:.2f} s against {official.wall:.2f} s"
    number, apart = compared(theirs, ours)
    yield Bar(what=f"submission check {name}: rows that differ", value=apart, bar=0, unit="", detail=f"of {number:,}")
    if published.bars is not None:
        for what, value, bar in (
            ("CPU time", official.cpu / cpu, published.bars[0]),
            (f"wall time on {os.cpu_count()} processors", official.wall / wall, published.bars[1]),
        ):
            label = f"submission check {name}: {what} of MLCommons' checker against ours"
            yield Bar(what=label, value=value, bar=bar, at_least=True, detail=detail)
        peak = peak_memory([*argv, "--no-cache"], env=env, cwd=folder)
        label = f"submission check {name}: memory of all our processes"
        yield Bar(what=label, value=peak / 2**20, bar=MEMORY_BAR, unit="MB", detail="the most at one time")
        again = _again(argv, tree, env=env, cwd=folder)
        label = f"submission check {name}: again after one changed file"
        yield Bar(what=label, value=again, bar=AGAIN_BAR, unit="s", detail="a log with a new time of change")


def compared(theirs: Path, ours: Path) -> tuple[int, int]:
    """The number of MLCommons' rows, and of those that only one of both summaries has; their order does not count."""
    found = []
    for path in (theirs, ours):
        with path.open(encoding="utf-8", newline="") as stream:
            found.append(Counter(tuple(row) for row in csv.reader(stream)))
    official, own = found
    return official.total() - 1, (official - own).total() + (own - official).total()


def _cost(argv: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> Cost:
    """CPU and wall time of a process and those that it waited for; RuntimeError where it came to no end."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(argv, env=env, cwd=cwd, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ENDED:
            output.seek(0)
            said = output.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{argv} ended with {process.returncode}:\n{said}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=wall)


def peak_memory(argv: list[str], *, env: dict[str, str], cwd: Path) -> int:
    """The most memory, in bytes, that a process and its descendants had at one time; what they share counts once."""
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_memory(pid) for pid in _family(process.pid)))
        time.sleep(0.05)
    if process.returncode not in ENDED:
        raise RuntimeError(f"{argv} ended with {process.returncode}")
    return peak


def _family(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they are still there."""
    yield pid
    for children in Path("/proc", str(pid), "task").glob("*/children"):
        try:
            found = children.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in found:
            yield from _family(int(child))


def _memory(pid: int) -> int:
    """The memory of a process with its share of what it shares, in bytes; 0 where it has ended."""
    try:
        text = Path("/proc", str(pid), "smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def _again(argv: list[str], tree: Path, *, env: dict[str, str], cwd: Path) -> float:
    """Wall time of a second check that may keep what the first one read, after one log got a new time of change."""
    _cost(argv, env=env, cwd=cwd)
    log = next(tree.glob("closed/*/results/*/*/*/performance/run_1/mlperf_log_detail.txt"))
    before = log.stat()
    try:
        os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
        return _cost(argv, env=env, cwd=cwd).wall
    finally:
        os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
