"""The trials of the calibration, on the clock."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from .calibrate import Trial
from .instances import run_pinned
from .work import Team

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .instances import Layout
    from .work import Run, Work

TRIAL_SECONDS = 0.1
QUERY_TRIAL_SECONDS = 0.12
MIN_CALLS = 3
INDEXES = 4096


class Trials:
    """Measures layouts on samples that are loaded; ``seconds`` is the budget of the whole calibration."""

    def __init__(self, work: Work, loaded: int, seconds: float, *, whole: bool = False) -> None:
        """``whole``: batches are cut from all samples at once, those of like length together."""
        self._whole = whole
        self._work, self._instances = work, work.instances
        order = np.random.default_rng(1).permutation(loaded)
        self._loaded = loaded
        self._indexes: list[int] = np.resize(order, max(INDEXES, loaded)).tolist()
        self._started = time.monotonic()
        self._seconds = seconds

    def left(self) -> float:
        return self._seconds - self.spent()

    def spent(self) -> float:
        return time.monotonic() - self._started

    def throughput(self, layout: Layout) -> Trial:
        """All instances of a layout at once, each as fast as it can."""
        calls: list[list[float]] = [[] for _ in range(layout.instances)]
        indexes = self._like_length(layout.batch) if self._whole else self._indexes
        runs = [self._work.runner(layout, at) for at in range(layout.instances)]
        barrier = threading.Barrier(layout.instances)

        def work(number: int) -> None:
            runs[number](indexes[: layout.batch])
            barrier.wait()
            self._repeat(runs[number], indexes, layout.batch, TRIAL_SECONDS, calls[number])

        groups = [self._instances.group(layout.threads, at) for at in range(layout.instances)]
        run_pinned(groups, work)
        rate = sum(layout.batch * len(one) / sum(one) for one in calls)
        every = [seconds for one in calls for seconds in one]
        return _trial(layout, layout.batch * layout.instances, rate, every)

    def query(self, layout: Layout, samples: int) -> Trial:
        """Queries of ``samples`` samples one after the other, as SingleStream and MultiStream make them."""
        team = Team(self._work, layout)
        calls: list[float] = []

        def work(_: int) -> None:
            team.answer(self._indexes[:samples])
            self._repeat(team.answer, self._indexes, samples, QUERY_TRIAL_SECONDS, calls)

        try:
            run_pinned([self._instances.group(layout.threads, 0)], work)
        finally:
            team.close()
        return _trial(layout, samples, samples * len(calls) / sum(calls), calls)

    def tuned(self, trial: Trial, measure: Callable[[Layout], Trial]) -> Trial:
        """``trial`` with the better figures of a second one where its copies could be tuned: other load only slows."""
        if not self._instances.tune(trial.layout):
            return trial
        again = measure(trial.layout)
        return Trial(
            layout=trial.layout,
            rate=max(trial.rate, again.rate),
            undisturbed=max(trial.undisturbed, again.undisturbed),
            latency=min(trial.latency, again.latency),
            shortest=min(trial.shortest, again.shortest),
        )

    def _like_length(self, batch: int) -> list[int]:
        """Samples of which each ``batch`` are of like length, as Offline has them; long and short batches by turns.

        Batches of samples in any order would be padded, and so look worse the larger they are. The first few batches
        stand for all: the middle one in length, then those at a quarter and at three quarters, and so on.
        """
        order = self._work.samples.by_length(range(self._loaded))
        if order is None:
            return self._indexes
        starts = [at * batch for at in halving(max(1, len(order) // batch))]
        found = [index for start in starts for index in order[start : start + batch]]
        return np.resize(found, max(INDEXES, len(found))).tolist()

    def _repeat(self, run: Run, indexes: Sequence[int], count: int, seconds: float, calls: list[float]) -> None:
        """Run on ``count`` samples after another until the time is over; appends the seconds of each call."""
        now = time.perf_counter()
        end = now + seconds
        # A few calls at least, but on a machine that crawls the budget comes first.
        while not calls or now < end or (len(calls) < MIN_CALLS and self.left() > 0):
            start = len(calls) % max(1, len(indexes) // count) * count
            run(indexes[start : start + count])
            before, now = now, time.perf_counter()
            calls.append(now - before)


def halving(count: int) -> list[int]:
    """The numbers below ``count``, each in the middle of the widest gap between those before: 3, 1, 5, ... of 7."""
    found: list[int] = []
    gaps = deque([(0, count)])
    while gaps:
        start, end = gaps.popleft()
        if start < end:
            middle = (start + end) // 2
            found.append(middle)
            gaps += [(start, middle), (middle + 1, end)]
    return found


def _trial(layout: Layout, samples: int, rate: float, calls: list[float]) -> Trial:
    """A trial from the seconds of calls of which those that run at once answer ``samples`` samples."""
    ordered = sorted(calls)
    return Trial(
        layout=layout,
        rate=rate,
        undisturbed=samples / ordered[len(ordered) // 4],
        latency=statistics.median(ordered),
        shortest=ordered[0],
    )


def warm_up(work: Work, layout: Layout) -> None:
    """Run every instance on each power of two up to the batch, so that no first call falls into the test."""
    indexes = [0] * layout.batch

    def warm(number: int) -> None:
        run = work.runner(layout, number)
        size = layout.batch
        while size:
            run(indexes[:size])
            size //= 2

    run_pinned([work.instances.group(layout.threads, at) for at in range(layout.instances)], warm)
