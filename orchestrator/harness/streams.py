"""The system under test for a model that answers token by token: streams side by side, each token counted."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlperf_loadgen as lg
import numpy as np

from .sut import FAILED_QUERY_SECONDS, Tally, address
from .tasks.text_generation import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .backends import Array, Generator
    from .samples import Samples
    from .tasks import Task

LEAST_TOKENS = 2
"""LoadGen divides by one less than an answer's tokens: shorter ones give it times below zero (LoadGen 6.0.17)."""


@dataclass(frozen=True)
class Prompts:
    """The samples as prompts, and how many tokens an answer may have."""

    samples: Samples
    lengths: Array
    limit: int

    def of(self, index: int) -> Array:
        """The tokens of a sample that is loaded, int32 [n]."""
        batch = self.samples.batch([index], self.samples.buffer(1))
        prompt: Array = batch[0][0]
        return prompt

    def cost(self, index: int) -> int:
        """Tokens of a prompt and the longest answer to it."""
        return int(self.lengths[index]) + self.limit


class TokenPool(Tally):
    """Hands first tokens and answers to LoadGen, which copies them before a call returns."""

    def first(self, sample: int, tokens: Array) -> None:
        data = np.asarray(tokens, TOKEN).tobytes()
        lg.FirstTokenComplete([lg.QuerySampleResponse(sample, address(data), len(data), len(tokens))])

    def complete(self, slot: int, sample: int, data: bytes, tokens: int) -> None:
        lg.QuerySamplesComplete([lg.QuerySampleResponse(sample, address(data), len(data), tokens)])
        self._done[slot] += 1

    def give_up(self, slot: int, sample: int, *, begun: bool) -> None:
        """Answer without the model, as LoadGen waits; with a first token before, unless that was told."""
        if not begun:
            self.first(sample, np.zeros(1, TOKEN))
        self.complete(slot, sample, b"", LEAST_TOKENS)


class StreamSystem:
    """A thread for each stream takes prompts one after another from the queue of its copy of the model.

    A query goes to the copy that has the fewest tokens to do, as it arrives: queries that are issued all at once spread
    evenly so, and one that comes alone meets the copy that is least busy.
    """

    def __init__(
        self, copies: Sequence[Generator], streams: int, prompts: Prompts, task: Task, pool: TokenPool
    ) -> None:
        self._copies, self._streams, self._prompts, self._task, self.pool = copies, streams, prompts, task, pool
        self._queues: list[queue.SimpleQueue[tuple[int, int, int] | None]] = [queue.SimpleQueue() for _ in copies]
        self._waiting = [0] * len(copies)  # tokens
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for at in range(len(self._copies)):
            for stream in range(self._streams):
                slot = at * self._streams + stream
                thread = threading.Thread(target=self._serve, args=(slot, at), name=f"stream-{slot}", daemon=True)
                thread.start()
                self._threads.append(thread)

    def issue(self, ids: list[int], indexes: list[int]) -> None:
        """Called by LoadGen; returns at once."""
        arrived = time.perf_counter_ns()
        if not self.pool.first_query_ns:
            self.pool.begin()
        self.pool.issued += len(ids)
        for sample, index in zip(ids, indexes, strict=True):
            with self._lock:
                at = min(range(len(self._waiting)), key=self._waiting.__getitem__)
                self._waiting[at] += self._prompts.cost(index)
            self._queues[at].put((sample, index, arrived))

    def stop(self) -> None:
        for waiting in self._queues:
            for _ in range(self._streams):
                waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, slot: int, at: int) -> None:
        while (item := self._queues[at].get()) is not None:
            sample, index, arrived = item
            self._answer(slot, at, sample, index)
            self.pool.latencies.add(slot, arrived)
            with self._lock:
                self._waiting[at] -= self._prompts.cost(index)

    def _answer(self, slot: int, at: int, sample: int, index: int) -> None:
        """Whatever happens, LoadGen gets an answer, and no exception."""
        pool, begun = self.pool, False

        def first(tokens: Array) -> None:
            nonlocal begun
            begun = True
            pool.first(sample, tokens)

        if pool.error is not None:
            time.sleep(FAILED_QUERY_SECONDS)
            pool.give_up(slot, sample, begun=False)
            return
        try:
            tokens = self._copies[at].generate(self._prompts.of(index), self._prompts.limit, first)
            check_length(index, len(tokens))
            if not begun:
                first(tokens[:1])
            (data,) = self._task.answers([tokens], [index])
            pool.complete(slot, sample, data, len(tokens))
        except BaseException as error:  # noqa: BLE001 - LoadGen waits for an answer
            pool.note(error)
            pool.give_up(slot, sample, begun=begun)


def check_length(index: int, count: int) -> None:
    """Raises `ValueError` for an answer of fewer tokens than LoadGen can time."""
    if count < LEAST_TOKENS:
        said = "empty" if count == 0 else "one token"
        raise ValueError(f"the answer to sample {index} is {said}; LoadGen times two or more")


def create(
    copies: Sequence[Generator],
    streams: int,
    prompts: Prompts,
    task: Task,
    on_failure: Callable[[BaseException], None],
) -> StreamSystem:
    """The system for any scenario; ``streams`` of each copy."""
    return StreamSystem(copies, streams, prompts, task, TokenPool(len(copies) * streams, on_failure))
