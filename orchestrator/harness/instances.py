"""Instances: threads pinned to the processors that the host planned, each with a model to run."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import backends
from .lines import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .backends import Backend
    from .settings import Settings


@dataclass(frozen=True)
class Layout:
    """How the processors are used: ``instances`` of ``threads`` each, batches of ``batch`` samples."""

    instances: int
    threads: int
    batch: int

    @property
    def words(self) -> str:
        """``2 instances of 1 thread, batch 8``."""
        return f"{counted(self.instances, 'instance')} of {counted(self.threads, 'thread')}, batch {self.batch:,}"


class Instances:
    """Loaded models by the processors they run on; a layout is served from what is loaded.

    Where the backend can, all instances of one thread share one copy: a call runs in the
    thread that makes it, weights stay in the cache once, and loading takes a fraction of the
    time. Otherwise they have a copy each, as threads and streams belong to the copy.
    """

    def __init__(self, settings: Settings) -> None:
        check_allowed(settings)
        self.cpus = settings.execution.cpus
        self._settings = settings
        self._model = backends.create(settings.backend)
        self._loaded: dict[tuple[int, ...], Backend] = {}

    def group(self, threads: int, instance: int) -> tuple[int, ...]:
        """The processors of an instance."""
        return self.cpus[instance * threads : (instance + 1) * threads]

    def get(self, threads: int, instance: int) -> Backend:
        """The loaded model of an instance; loads it on first use, from a thread pinned to its processors."""
        key = self._key(threads, instance)
        if key not in self._loaded:
            cpus = key or self.cpus
            run_pinned([cpus], lambda _: self._load(key, threads))
        return self._loaded[key]

    def _key(self, threads: int, instance: int) -> tuple[int, ...]:
        """The processors of a copy; none for the one that all share."""
        return () if self._model.shares(self._settings, threads) else self.group(threads, instance)

    def _load(self, key: tuple[int, ...], threads: int) -> None:
        model = backends.create(self._settings.backend)
        model.load(self._settings, threads)
        self._loaded[key] = model

    def tune(self, layout: Layout) -> bool:
        """Drop every copy that ``layout`` does not use and tune the others for its batch; whether any changed."""
        wanted = {self._key(layout.threads, at) for at in range(layout.instances)}
        self._loaded = {key: model for key, model in self._loaded.items() if key in wanted}
        for at in range(layout.instances):
            self.get(layout.threads, at)
        copies = list(self._loaded.items())
        changed: list[bool] = []
        run_pinned([key or self.cpus for key, _ in copies], lambda at: changed.append(copies[at][1].tune(layout.batch)))
        return any(changed)


def check_allowed(settings: Settings) -> None:
    """Raises `ValueError` where processors were planned that this process may not use."""
    allowed = os.sched_getaffinity(0)
    if missing := sorted(set(settings.execution.cpus) - allowed):
        raise ValueError(f"processors {missing} were planned, but only {sorted(allowed)} may be used")


def pin(cpus: Sequence[int]) -> None:
    """Pin the calling thread (Linux takes 0 as the thread, not the process)."""
    os.sched_setaffinity(0, cpus)


def run_pinned(groups: Sequence[Sequence[int]], work: Callable[[int], None]) -> None:
    """Run ``work(number)`` in one pinned thread for each group, to the end; raises the first error."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            pin(groups[number])
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(groups))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
