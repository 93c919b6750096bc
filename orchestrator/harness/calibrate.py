"""Measure before the test what the settings leave open: instances, threads, batch, rate, latency.

Outside LoadGen, in at most three seconds. Which layouts are tried and which one wins is
decided here; `trials` measures, so the choice is tested without a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .instances import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .settings import Execution

MAX_BATCH = 256
WORTH = 1.01
"""A larger batch must be this much better to be taken."""
FINALISTS = 3
NEAR, LONG_CALL = 0.85, 0.005
"""Of calls of so many seconds a trial of a small batch has a few only, and one bad moment spoils it: its layout is
looked at again too where it comes near the best."""
LOOKS, FEW_CALLS, MORE_LOOKS = 2, 0.012, 6
"""How often the finalists are measured again; more often where calls are so long that a trial has less than ten."""
CALL_SECONDS = 50e-6
"""What a call costs beside what a trial sees: queue, responses, waiting for the interpreter's lock (measured)."""


@dataclass(frozen=True)
class Trial:
    """One measured layout.

    ``rate`` in samples per second as the clock saw it; ``undisturbed`` the same from the
    quicker calls (the first quartile), which other load on the machine slowed least: it
    decides where throughput counts, so that a busy moment does not choose. ``latency`` and
    ``shortest`` are the median and the least seconds of a call or query.
    """

    layout: Layout
    rate: float
    undisturbed: float
    latency: float
    shortest: float


def splits(execution: Execution, *, one: bool = False) -> list[tuple[int, int]]:
    """The (instances, threads) to try, most instances first; what the settings fix stays fixed.

    ``one``: a single instance (SingleStream has one sample at a time).
    """
    count = len(execution.cpus)
    most = 1 if one else execution.instances
    if execution.threads is not None:
        return [(most or count // execution.threads, execution.threads)]
    if most is not None and not one:
        return [(most, count // most)]
    threads = [1 << power for power in range(count.bit_length()) if 1 << power < count]
    return [(most or count // each, each) for each in (*threads, count)]


def batches(execution: Execution, limit: int) -> list[int]:
    """The batches to try, small ones first."""
    if execution.batch is not None:
        return [execution.batch]
    return [1 << power for power in range(limit.bit_length()) if 1 << power <= limit]


def throughput(
    execution: Execution, measure: Callable[[Layout], Trial], max_call: float, left: Callable[[], float]
) -> Trial:
    """The layout with the most samples per second.

    Batches double until a call takes ``max_call`` seconds or two steps in a row did not
    help. The finalists are then measured again in what is left of the time.
    """
    trials: list[Trial] = []
    for instances, threads in splits(execution):
        best, worse = 0.0, 0
        for batch in batches(execution, MAX_BATCH):
            if worse == 2 or (trials and left() <= 0):
                break
            trial = measure(Layout(instances, threads, batch))
            if trials and trial.latency > max_call:
                break
            trials.append(trial)
            worse = 0 if _served(trial) > best * WORTH else worse + 1
            best = max(best, _served(trial))
    return _final(trials, measure, left, _served)


def quickest(
    execution: Execution, measure: Callable[[Layout], Trial], samples: int, left: Callable[[], float]
) -> Trial:
    """The layout that answers a query of ``samples`` samples soonest.

    By the mean: threads that wait for each other lose more to other load than one thread
    does, and a query feels it.
    """
    trials: list[Trial] = []
    for instances, threads in splits(execution, one=samples == 1):
        for batch in batches(execution, -(-samples // instances)):
            if not trials or left() > 0:
                trials.append(measure(Layout(instances, threads, batch)))
    return _final(trials, measure, left, _rate)


def _served(trial: Trial) -> float:
    """Samples per second with what each call costs besides: it weighs most on small batches of a quick model."""
    samples = trial.layout.batch * trial.layout.instances
    return samples / (samples / trial.undisturbed + CALL_SECONDS)


def _rate(trial: Trial) -> float:
    return trial.rate


def _short_ones(ranked: Sequence[Trial], speed: Callable[[Trial], float]) -> list[Trial]:
    """Of what is ranked behind the finalists the small batches whose trial may have been spoilt."""
    if not ranked:
        return []
    most, least = ranked[0].layout.batch, NEAR * speed(ranked[0])
    return [
        one
        for one in ranked[FINALISTS:]
        if one.latency >= LONG_CALL and one.layout.batch < most and speed(one) >= least
    ]


def _final(
    trials: Iterable[Trial],
    measure: Callable[[Layout], Trial],
    left: Callable[[], float],
    speed: Callable[[Trial], float],
) -> Trial:
    """Measure the best again; each keeps its better figure, as other load only ever slows a trial.

    Of those within `WORTH` of the best, the one with the smallest batch.
    """
    ranked = sorted(trials, key=speed, reverse=True)
    finalists = {trial.layout: trial for trial in (*_short_ones(ranked, speed), *ranked[:FINALISTS])}
    looks = MORE_LOOKS if ranked and ranked[0].latency >= FEW_CALLS else LOOKS
    for layout in list(finalists) * looks:
        if len(finalists) > 1 and left() > 0:
            finalists[layout] = max(finalists[layout], measure(layout), key=speed)
    top = max(map(speed, finalists.values()))
    near = (trial for trial in finalists.values() if speed(trial) * WORTH >= top)
    return min(near, key=lambda trial: (trial.layout.batch, -speed(trial)))
