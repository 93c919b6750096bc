"""A model that answers token by token, made ready for a test: its copies, how they share the processors, their rate.

A layout's `batch` is here the number of streams of an instance: answers that it has under way at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from . import backends, streams
from .backends import Room
from .calibrate import Trial
from .effective import Effective, calibration, put_scenario_values
from .instances import Layout, check_allowed, run_pinned
from .scenarios import SCENARIOS
from .streams import Prompts

if TYPE_CHECKING:
    from collections.abc import Callable

    from .backends import Array
    from .samples import Samples
    from .settings import Settings
    from .streams import StreamSystem
    from .tasks import Task

STREAMS = 2
"""Answers that an instance has under way at once, where the settings do not say. On a processor, where a batch of
tokens costs what one after the other does, more of them make no more tokens a second: 66 with one, 67 to 69 with four
(llama.cpp, SmolLM2-135M, one thread; measured)."""
INSTANCES = 16
"""No more copies of the model than this by default, as each has a context of its own."""
WARM_UP_TOKENS = 2
QUIETER = 1.25
"""How much faster than in the trial the model may be when other load goes away: Offline's one query lasts for that."""


class Streamed:
    """What `app` drives, for a framework that generates."""

    def __init__(self, settings: Settings, samples: Samples, task: Task) -> None:
        """Load the copies, each from a thread on its processors. Raises `ValueError` for settings that cannot be."""
        if settings.generation is None or samples.lengths is None:
            raise ValueError("a model that generates needs the settings' `generation`, and an input that varies")
        check_allowed(settings)
        self._settings, self._task = settings, task
        self._prompts = Prompts(samples, samples.lengths, settings.generation.limit)
        self._layout = default_layout(settings)
        self._copies = [backends.generator(settings.backend) for _ in range(self._layout.instances)]
        longest = int(samples.lengths.max()) + settings.generation.limit
        room, threads = Room(streams=self._layout.batch, tokens=longest), self._layout.threads
        groups = [settings.execution.cpus[at * threads : (at + 1) * threads] for at in range(len(self._copies))]
        run_pinned(groups, lambda at: self._copies[at].load(settings, threads, room))
        self._warm = False

    def describe(self) -> dict[str, object]:
        return self._copies[0].describe()

    def calibrate(self) -> Effective:
        """The layout is declared, not searched; the rate or latency that LoadGen expects is measured."""
        return declared(self._settings, self._layout, self._trial)

    def _trial(self) -> Trial:
        """An answer on each stream, all at once, to samples in an order that is always the same."""
        count = self._layout.instances * self._layout.batch
        loaded = self._settings.dataset.performance_samples
        indexes = np.resize(np.random.default_rng(1).permutation(loaded), count).tolist()
        started, ends = time.perf_counter(), [0.0] * count

        def answer(at: int) -> None:
            self._generate(at % self._layout.instances, indexes[at], self._prompts.limit)
            ends[at] = time.perf_counter() - started

        run_pinned([self._settings.execution.cpus] * count, answer)
        self._warm = True
        rate = count / max(ends)
        return Trial(
            layout=self._layout, rate=rate, undisturbed=rate * QUIETER, latency=sum(ends) / count, shortest=min(ends)
        )

    def warm_up(self) -> None:
        """A few tokens from each copy, unless all have answered before."""
        if not self._warm:
            groups = [self._settings.execution.cpus] * len(self._copies)
            run_pinned(groups, lambda at: self._generate(at, 0, WARM_UP_TOKENS))

    def _generate(self, copy: int, index: int, limit: int) -> None:
        self._copies[copy].generate(self._prompts.of(index), limit, _ignore)

    def system(self, on_failure: Callable[[BaseException], None]) -> StreamSystem:
        return streams.create(self._copies, self._layout.batch, self._prompts, self._task, on_failure)


def declared(settings: Settings, layout: Layout, measure: Callable[[], Trial]) -> Effective:
    """What a test of a declared layout runs with; ``measure`` is called where LoadGen needs an expectation."""
    started = time.monotonic()
    trial = measure() if needs_trial(settings) else None
    effective = Effective(layout=layout)
    for name in ("instances", "threads", "batch"):
        given = getattr(settings.execution, name) is not None
        effective.put(name, getattr(layout, name), "settings" if given else "default")
    if trial is not None:
        effective.calibration = calibration(trial, time.monotonic() - started)
    put_scenario_values(settings, effective, trial)
    return effective


def default_layout(settings: Settings) -> Layout:
    """What the settings say, else a copy on each processor, of one thread: threads that share a step wait for each
    other on every layer, and where other work takes one of their processors all of them stand still (two threads on
    two busy processors made 11 to 17 tokens a second, one made 67; measured). A test that asks one by one has a copy
    with one stream.
    """
    execution, scenario = settings.execution, SCENARIOS[settings.scenario]
    count = len(execution.cpus)
    alone = scenario.one_by_one and scenario.samples_per_query is None
    if execution.instances is None:
        threads = execution.threads or (1 if alone else max(1, count // INSTANCES))
        instances = 1 if alone else count // threads
    else:
        threads, instances = execution.threads or 1, execution.instances
    return Layout(instances, threads, execution.batch or (1 if alone else STREAMS))


def needs_trial(settings: Settings) -> bool:
    """Whether LoadGen needs a rate or a latency that nobody gave; an accuracy test only where queries have a rate."""
    scenario, loadgen = SCENARIOS[settings.scenario], settings.loadgen
    if settings.mode == "accuracy" and not scenario.at_a_rate:
        return False
    return (loadgen.expected_latency_ns if scenario.one_by_one else loadgen.target_qps) is None


def _ignore(_: Array) -> None:
    """The first token of an answer that nobody waits for."""
