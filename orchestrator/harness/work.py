"""Running the model on samples: one runner for each instance, and a team for queries of several samples."""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .instances import pin
from .tasks import Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .backends import Array
    from .instances import Instances, Layout
    from .samples import Samples
    from .tasks import Answers, Task

    Run = Callable[[Sequence[int]], Answers]
    """Answers for the samples of n indexes."""


@dataclass(frozen=True)
class Work:
    """What is done with samples: a batch of them, the model, and what its outputs mean."""

    instances: Instances
    samples: Samples
    task: Task

    def runner(self, layout: Layout, instance: int) -> Run:
        """What one instance does with a batch; has a buffer of its own, so it belongs to one thread."""
        predict, answers = self.instances.get(layout.threads, instance).predict, self.task.answers
        take, buffer = self.samples.batch, self.samples.buffer(layout.batch)

        def run(indexes: Sequence[int]) -> Answers:
            return answers(predict(take(indexes, buffer)), indexes)

        return run

    def room(self, count: int) -> Array | list[bytes]:
        """Room for the answers to ``count`` samples."""
        return [b""] * count if self.task.answer is None else np.empty(count, self.task.answer)


class _Query:
    """A query under way; whoever is free takes the next part of ``batch`` samples."""

    def __init__(self, indexes: Sequence[int], batch: int, room: Array | list[bytes]) -> None:
        self.indexes, self._batch = indexes, batch
        self.answers = room
        self.count = -(-len(indexes) // batch)
        self.finished: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._starts = itertools.count(0, batch)  # next() is one step under the interpreter's lock

    def parts(self) -> Iterator[slice]:
        """The parts that this thread gets; several threads may ask at once."""
        for start in self._starts:
            if start >= len(self.indexes):
                return
            yield slice(start, start + self._batch)

    def work(self, run: Run, part: slice) -> None:
        found = run(self.indexes[part])
        self.answers[part] = list(found) if isinstance(found, Packed) else found


class Team:
    """Answers one query at a time with all instances; the caller is the first of them.

    With one instance and one batch a query this is a plain call: no queue, no lock.
    """

    def __init__(self, work: Work, layout: Layout) -> None:
        self._batch, self._room = layout.batch, work.room
        self._group = work.instances.group(layout.threads, 0)
        self._run = work.runner(layout, 0)
        self._inboxes: list[queue.SimpleQueue[_Query | None]] = []
        for instance in range(1, layout.instances):
            inbox: queue.SimpleQueue[_Query | None] = queue.SimpleQueue()
            run = work.runner(layout, instance)
            group = work.instances.group(layout.threads, instance)
            threading.Thread(target=self._help, args=(group, inbox, run), daemon=True).start()
            self._inboxes.append(inbox)

    def pin(self) -> None:
        """Pin the calling thread to the processors of the first instance."""
        pin(self._group)

    def answer(self, indexes: Sequence[int]) -> Answers:
        """Answers in the order of ``indexes``."""
        if len(indexes) <= self._batch:
            return self._run(indexes)
        query = _Query(indexes, self._batch, self._room(len(indexes)))
        for inbox in self._inboxes:
            inbox.put(query)
        own = 0
        for part in query.parts():
            query.work(self._run, part)
            own += 1
        # A helper that wakes too late finds nothing left and is not waited for.
        for _ in range(query.count - own):
            if (error := query.finished.get()) is not None:
                raise error
        return query.answers

    def close(self) -> None:
        for inbox in self._inboxes:
            inbox.put(None)

    @staticmethod
    def _help(group: Sequence[int], inbox: queue.SimpleQueue[_Query | None], run: Run) -> None:
        pin(group)
        while (query := inbox.get()) is not None:
            try:
                for part in query.parts():
                    query.work(run, part)
                    query.finished.put(None)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                query.finished.put(error)
