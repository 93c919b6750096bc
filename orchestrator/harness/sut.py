"""The systems under test: how each scenario's queries reach the model and how answers go back."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Protocol

import mlperf_loadgen as lg
import numpy as np

from .instances import pin
from .latencies import Latencies
from .scenarios import SCENARIOS
from .tasks import Packed
from .work import Team

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .instances import Layout
    from .scenarios import ScenarioName
    from .tasks import Answers
    from .work import Run, Work

    Item = tuple[list[int], list[int], list[int]]
    """Ids and indexes of samples that LoadGen waits for, and when they arrived: one time each, or one for all."""

FAILED_QUERY_SECONDS = 0.005


class Tally:
    """What happened in a test: how many samples were issued and answered, how long each took, the first failure.

    Each worker has a slot of its own.
    """

    def __init__(self, slots: int, on_failure: Callable[[BaseException], None]) -> None:
        self._done = [0] * slots  # one writer each
        self.latencies = Latencies(slots)
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self.error: BaseException | None = None
        self.first_query_ns = 0
        self._first_query_at = 0.0
        self.issued = 0

    @property
    def done(self) -> int:
        return sum(self._done)

    def begin(self) -> None:
        """The first query is here."""
        self._first_query_at, self.first_query_ns = time.perf_counter(), time.time_ns()

    @property
    def seconds(self) -> float:
        """Since the first query, whatever the wall clock was set to meanwhile."""
        return time.perf_counter() - self._first_query_at if self.first_query_ns else 0.0

    def note(self, error: BaseException) -> None:
        """Remember a failure; the first one is reported."""
        with self._lock:
            first, self.error = self.error is None, self.error or error
        if first:
            self._on_failure(error)


class System(Protocol):
    """A system under test, as LoadGen drives it."""

    @property
    def pool(self) -> Tally: ...

    def start(self) -> None: ...

    def issue(self, ids: list[int], indexes: list[int]) -> None:
        """Samples to answer, each with LoadGen's id and its number in the data set. Raises nothing."""
        ...

    def stop(self) -> None: ...


class ResponsePool(Tally):
    """Hands answers to LoadGen, a call for a batch.

    Each worker has a slot with a buffer for a batch of answers and a response object for
    each place in it: only the ids change from call to call, which costs a third of making
    new objects. Answers without one size (``answer`` None) lie where they were made, and their
    places and sizes change too. After a failure every query is answered at once with what the
    buffer holds, so that LoadGen ends by itself: an exception that reaches it aborts the process
    (LoadGen 6.0.17).
    """

    def __init__(
        self, slots: int, largest: int, answer: np.dtype[Any] | None, on_failure: Callable[[BaseException], None]
    ) -> None:
        super().__init__(slots, on_failure)
        self._sizeless = answer is None
        size = 0 if answer is None else answer.itemsize
        self._answers = [np.zeros(largest if size else 0, answer or "u1") for _ in range(slots)]
        self._responses = [
            [lg.QuerySampleResponse(0, row.ctypes.data + size * at, size) for at in range(largest)]
            for row in self._answers
        ]

    def complete(self, slot: int, ids: list[int], answers: Answers) -> None:
        """One call into LoadGen for a batch; it copies the answers before it returns."""
        if isinstance(answers, Packed):
            self._point_into(slot, answers)
        elif isinstance(answers, list):
            self._point_at(slot, answers)
        else:
            self._answers[slot][: len(ids)] = answers
        self._send(slot, ids)

    def _point_at(self, slot: int, answers: list[bytes]) -> None:
        """The responses of a slot hold these answers; `answers` outlives the call that sends them."""
        for response, data in zip(self._responses[slot], answers, strict=False):
            response.data, response.size = address(data), len(data)

    def _point_into(self, slot: int, answers: Packed) -> None:
        """The same for answers that lie in one array."""
        base = answers.data.ctypes.data
        for response, (start, size) in zip(self._responses[slot], answers.spans, strict=False):
            response.data, response.size = base + start, size

    def _send(self, slot: int, ids: list[int]) -> None:
        responses = self._responses[slot][: len(ids)]
        for response, sample in zip(responses, ids, strict=True):
            response.id = sample
        lg.QuerySamplesComplete(responses)
        self._done[slot] += len(ids)

    def fail(self, slot: int, error: BaseException, ids: list[int]) -> None:
        self.note(error)
        self.give_up(slot, ids)

    def give_up(self, slot: int, ids: list[int]) -> None:
        """Answer without the model."""
        if self._sizeless:
            self._point_at(slot, [b""] * len(ids))
        self._send(slot, ids)


class Direct:
    """SingleStream and MultiStream: the model runs in LoadGen's own thread, helped by the other instances."""

    def __init__(self, work: Work, layout: Layout, pool: ResponsePool) -> None:
        self._team, self.pool = Team(work, layout), pool
        self._started = False

    def issue(self, ids: list[int], indexes: list[int]) -> None:
        pool, arrived = self.pool, time.perf_counter_ns()
        try:
            if not self._started:
                self._start()
            if pool.error is None:
                pool.issued += len(ids)
                pool.complete(0, ids, self._team.answer(indexes))
                pool.latencies.add(0, arrived)
                return
        except BaseException as error:  # noqa: BLE001 - must not reach LoadGen
            pool.fail(0, error, ids)
            return
        time.sleep(FAILED_QUERY_SECONDS)
        pool.give_up(0, ids)

    def _start(self) -> None:
        """In LoadGen's issuing thread, after its other threads exist: those stay free."""
        self._started = True
        self.pool.begin()
        self._team.pin()

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        self._team.close()


class Queued:
    """Offline and Server: pinned workers take batches from a queue.

    Offline (``delay`` None) puts whole batches in. Server puts samples in one by one as
    they come; a worker takes what waits, up to the batch, after at most ``delay`` seconds.
    Whole batches are made of samples of like length, as a batch computes its longest one's padding.
    """

    def __init__(self, work: Work, layout: Layout, pool: ResponsePool, delay: float | None) -> None:
        self._work, self._layout, self.pool = work, layout, pool
        self._delay, self._item = delay or 0.0, layout.batch if delay is None else 1
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._runs = [work.runner(layout, at) for at in range(layout.instances)]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for slot, run in enumerate(self._runs):
            thread = threading.Thread(target=self._serve, args=(slot, run), name=f"worker-{slot}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def issue(self, ids: list[int], indexes: list[int]) -> None:
        """Called by LoadGen; returns at once."""
        pool, put, size = self.pool, self._queue.put, self._item
        arrived = time.perf_counter_ns()
        if not pool.first_query_ns:
            pool.begin()
        pool.issued += len(ids)
        if len(ids) <= size:
            put((ids, indexes, [arrived]))
            return
        order = self._work.samples.by_length(indexes)
        if order is not None:
            ids, indexes = [ids[at] for at in order], [indexes[at] for at in order]
        for start in range(0, len(ids), size):
            put((ids[start : start + size], indexes[start : start + size], [arrived]))

    def stop(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, slot: int, run: Run) -> None:
        pin(self._work.instances.group(self._layout.threads, slot))
        pool, queued, fill = self.pool, self._queue, self._item < self._layout.batch
        while (item := queued.get()) is not None:
            ids, indexes, arrived = self._fill(*item) if fill else item
            try:
                if pool.error is None:
                    pool.complete(slot, ids, run(indexes))
                    share = len(ids) // len(arrived)
                    for since in arrived:
                        pool.latencies.add(slot, since, share)
                else:
                    pool.give_up(slot, ids)
            except BaseException as error:  # noqa: BLE001 - LoadGen waits for an answer
                pool.fail(slot, error, ids)

    def _fill(self, ids: list[int], indexes: list[int], arrived: list[int]) -> Item:
        """Add the samples that wait, up to the batch; wait for more no longer than the delay."""
        queued, batch = self._queue, self._layout.batch
        end = time.perf_counter() + self._delay if self._delay else 0.0
        while len(ids) < batch:
            try:
                item = queued.get_nowait() if not end else queued.get(timeout=_left(end))
            except queue.Empty:
                break
            if item is None:
                queued.put(None)
                break
            ids += item[0]
            indexes += item[1]
            arrived += item[2]
        return ids, indexes, arrived


def _left(end: float) -> float:
    return max(end - time.perf_counter(), 0.0)


def address(data: bytes) -> int:
    """Where the bytes lie; 0 where there are none."""
    return np.frombuffer(data, np.uint8).ctypes.data if data else 0


def create(scenario: ScenarioName, work: Work, layout: Layout, pool: ResponsePool, delay: float) -> Direct | Queued:
    """The system for a scenario; ``delay`` in seconds, for Server."""
    if SCENARIOS[scenario].one_by_one:
        return Direct(work, layout, pool)
    return Queued(work, layout, pool, delay if SCENARIOS[scenario].at_a_rate else None)
