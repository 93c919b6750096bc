"""Running the model on samples: one runner for each instance, and a team for queries of several samples."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import TYPE_CHECKING

import numpy as np

from .accuracy import ANSWER, top1
from .instances import pin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .accuracy import Answers
    from .instances import Instances, Layout
    from .samples import Samples

    Run = Callable[[Sequence[int]], Answers]
    """Answers, int64 [n], for the samples of n indexes."""


def runner(instances: Instances, samples: Samples, layout: Layout, instance: int) -> Run:
    """What one instance does with a batch; has a buffer of its own, so it belongs to one thread."""
    predict = instances.get(layout.threads, instance).predict
    take, buffer = samples.batch, samples.buffer(layout.batch)

    def run(indexes: Sequence[int]) -> Answers:
        return top1(predict(take(indexes, buffer)))

    return run


class _Query:
    """A query under way; whoever is free takes the next part of ``batch`` samples."""

    def __init__(self, indexes: Sequence[int], batch: int) -> None:
        self.indexes, self._batch = indexes, batch
        self.answers = np.empty(len(indexes), ANSWER)
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
        self.answers[part] = run(self.indexes[part])


class Team:
    """Answers one query at a time with all instances; the caller is the first of them.

    With one instance and one batch a query this is a plain call: no queue, no lock.
    """

    def __init__(self, instances: Instances, samples: Samples, layout: Layout) -> None:
        self._batch = layout.batch
        self._group = instances.group(layout.threads, 0)
        self._run = runner(instances, samples, layout, 0)
        self._inboxes: list[queue.SimpleQueue[_Query | None]] = []
        for instance in range(1, layout.instances):
            inbox: queue.SimpleQueue[_Query | None] = queue.SimpleQueue()
            run = runner(instances, samples, layout, instance)
            group = instances.group(layout.threads, instance)
            threading.Thread(target=self._help, args=(group, inbox, run), daemon=True).start()
            self._inboxes.append(inbox)

    def pin(self) -> None:
        """Pin the calling thread to the processors of the first instance."""
        pin(self._group)

    def answer(self, indexes: Sequence[int]) -> Answers:
        """Answers, int64 [n], in the order of ``indexes``."""
        if len(indexes) <= self._batch:
            return self._run(indexes)
        query = _Query(indexes, self._batch)
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
