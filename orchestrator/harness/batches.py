"""A model that answers batches of samples, made ready for a test: its instances, their layout, their rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import effective, sut, trials
from .backends import PageLocking
from .instances import Instances
from .scenarios import SCENARIOS
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from .effective import Effective
    from .samples import Samples
    from .settings import Settings
    from .sut import System
    from .tasks import Task


class Batched:
    """What `app` drives, for a framework that does not generate."""

    def __init__(self, settings: Settings, samples: Samples, task: Task) -> None:
        """Load one copy; what else the layouts need is loaded as they are tried."""
        self._settings = settings
        self._instances = Instances(settings)
        self._work = Work(self._instances, samples, task)
        first = self._instances.get(1, 0)
        room = first.page_locked() if isinstance(first, PageLocking) else None
        if room is not None:
            samples.move(room)
        self._facts = first.describe()
        self._chosen: Effective | None = None

    def describe(self) -> dict[str, object]:
        return self._facts

    def calibrate(self) -> Effective:
        """Measure what the settings leave open, and keep the copies that are needed for it."""
        loaded = self._settings.dataset.performance_samples
        whole = SCENARIOS[self._settings.scenario].arrival == "all at once"
        measuring = trials.Trials(self._work, loaded, effective.CALIBRATION_SECONDS, whole=whole)
        self._chosen = chosen = effective.resolve(self._settings, measuring)
        self._instances.tune(chosen.layout)
        return chosen

    def warm_up(self) -> None:
        trials.warm_up(self._work, self._effective.layout)

    def system(self, on_failure: Callable[[BaseException], None]) -> System:
        chosen, work = self._effective, self._work
        largest = max(chosen.layout.batch, effective.samples_per_query(self._settings))
        pool = sut.ResponsePool(chosen.layout.instances, largest, work.task.answer, on_failure)
        delay = chosen.values.get("batch_delay_us", 0) / 1e6
        return sut.create(self._settings.scenario, work, chosen.layout, pool, delay)

    @property
    def _effective(self) -> Effective:
        if self._chosen is None:
            raise RuntimeError("calibrate comes first")
        return self._chosen
