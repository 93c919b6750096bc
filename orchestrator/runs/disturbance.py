"""What else happens on a test's processors while it is measured: sampled from the kernel's counters, once a second.

Of each processor the kernel counts how long it worked for anybody, of each container how long anybody worked for it:
the rest was for others. Nothing is asked of the container itself, and nothing is read while the harness calibrates.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError
from orchestrator.facts.processors import Disturbance, Holder, reasons
from orchestrator.host.processor_use import (
    control_group,
    cpu_times,
    load_average,
    siblings_of,
    stalled_seconds,
    thermal_events,
)
from orchestrator.runs.sampled_window import SampledWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from orchestrator.host.processor_use import ControlGroup, CpuTimes

LEAST_S = 1.0
"""A shorter window says nothing: the kernel counts in hundredths of a second."""
_LEAST_WORST_S = 0.5


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    times: Mapping[int, CpuTimes]
    used: float | None
    """Of the test's containers together; None while one of them is not known, or gone."""
    groups: tuple[str, ...]
    throttled: float | None
    stalled: float | None
    thermal: int | None


@dataclass(slots=True)
class _Sums:
    """Processor seconds over the window; those of ``own`` only over the ``known_s`` seconds in which it is known."""

    seconds: float = 0.0
    steal: float = 0.0
    siblings: float = 0.0
    known_s: float = 0.0
    busy: float = 0.0
    own: float = 0.0
    throttled: float | None = None
    stalled: float | None = None
    thermal: int | None = None
    worst_others: float | None = None
    worst_steal: float | None = None


@dataclass(slots=True, kw_only=True)
class DisturbanceMeter(SampledWindow):
    """Watches the processors of one test while its block lasts.

    ``containers`` gives the ids of the test's containers that exist now, ``other_runs`` who else has some of the
    given processors reserved. `found` has the figures afterwards.
    """

    containers: Callable[[], Iterable[str]]
    other_runs: Callable[[Sequence[int]], tuple[Holder, ...]] = lambda _cpus: ()
    root: Path = Path("/")
    _cpus: tuple[int, ...] = ()
    _siblings: tuple[int, ...] = ()
    _groups: dict[str, ControlGroup] = field(default_factory=dict)
    _sums: _Sums = field(default_factory=_Sums)
    _before: _Sample | None = None
    _load: list[float] = field(default_factory=list)
    _others: dict[str, Holder] = field(default_factory=dict)

    @property
    def began(self) -> bool:
        """Whether it ever watched."""
        return self._thread is not None

    def found(self) -> Disturbance:
        """The figures of the window, and what marks the result as disturbed."""
        sums, count = self._sums, len(self._cpus)
        found = Disturbance(
            window="test" if self.step.external is None else "containers",
            seconds=round(sums.seconds, 3),
            cpus=self._cpus,
            load=tuple(self._load),
            other_runs=tuple(self._others.values()),
        )
        unknown = []
        if not count:
            unknown.append("/proc/stat cannot be read here, so nothing is known of its processors")
        elif sums.seconds < LEAST_S:
            unknown.append(f"it was measured for {sums.seconds:.1f} s, too short to tell")
        else:
            found = replace(found, **_shares(sums, count, with_siblings=bool(self._siblings)))
            if sums.known_s < LEAST_S:
                unknown.append(
                    "what its own containers used is not known (their control groups cannot be seen from here), so "
                    "neither is what others did"
                )
        judged = found
        if self.step.endpoint is not None:
            judged = replace(found, others=None, siblings=None)
            unknown.append("the endpoint may be one of the other programs here, so what they used marks nothing")
        if self.step.mode != "accuracy":
            found = replace(found, reasons=reasons(judged))
        return replace(found, unknown=tuple(unknown))

    # -- the window --------------------------------------------------------------------------

    def _prepare(self) -> bool:
        asked = {cpu for container in self.step.containers for cpu in container.cpus}
        self._cpus = tuple(sorted(asked or cpu_times(self.root)))
        self._siblings = siblings_of(self._cpus, self.root)
        return True

    def _at_begin(self) -> None:
        self._note_surroundings()
        self._before = self._sample()

    def _at_end(self) -> None:
        self._add(self._sample())
        self._note_surroundings()

    def _since_sample(self) -> float | None:
        return None if self._before is None else time.monotonic() - self._before.at

    def _sample_again(self) -> None:
        self._add(self._sample())

    def _look_around(self) -> None:
        """Find the containers while none is known, or one of them is gone."""
        if self._stale or any(group.used_seconds() is None for group in self._groups.values()):
            self._find_groups()

    def _note_surroundings(self) -> None:
        load = load_average(self.root)
        self._load += [] if load is None else [load]
        for holder in self.other_runs(tuple(cpu_times(self.root))):
            self._others[holder.session] = holder

    @property
    def _stale(self) -> bool:
        """Whether there may be more containers: what is beside a test starts before it, until the window opens."""
        return not self._groups or (bool(self.step.beside) and not self._sums.seconds)

    def _find_groups(self) -> None:
        found: dict[str, ControlGroup] = {}
        with contextlib.suppress(MlorchError):
            for container_id in self.containers():
                group = control_group(container_id, self.root)
                if group is not None and group.used_seconds() is not None:
                    found[container_id] = group
        with self._lock:
            self._groups = found

    def _sample(self) -> _Sample:
        used = [group.used_seconds() for group in self._groups.values()]
        throttled = [group.throttled_seconds() for group in self._groups.values()]
        return _Sample(
            at=time.monotonic(),
            times=cpu_times(self.root),
            used=_sum(used),
            groups=tuple(self._groups),
            throttled=max((each for each in throttled if each is not None), default=None),
            stalled=stalled_seconds(self.root),
            thermal=thermal_events(self._cpus, self.root),
        )

    def _add(self, now: _Sample) -> None:
        before, self._before = self._before, now
        if before is None or not before.times or not now.times:
            return
        sums, seconds = self._sums, now.at - before.at
        sums.seconds += seconds
        busy = _of(self._cpus, before, now, "busy")
        steal = _of(self._cpus, before, now, "steal")
        sums.steal += steal
        sums.siblings += _of(self._siblings, before, now, "busy")
        sums.stalled = _plus(sums.stalled, before.stalled, now.stalled)
        thermal = _plus(sums.thermal, before.thermal, now.thermal)
        sums.thermal = None if thermal is None else int(thermal)
        whole = seconds * len(self._cpus)
        if seconds >= _LEAST_WORST_S:
            sums.worst_steal = max(sums.worst_steal or 0.0, steal / whole)
        if before.used is None or now.used is None or before.groups != now.groups:
            return
        own = now.used - before.used
        sums.known_s += seconds
        sums.busy += busy
        sums.own += own
        sums.throttled = _plus(sums.throttled, before.throttled, now.throttled)
        if seconds >= _LEAST_WORST_S:
            sums.worst_others = max(sums.worst_others or 0.0, (busy - own) / whole)


def _shares(sums: _Sums, count: int, *, with_siblings: bool) -> dict[str, Any]:
    """The figures of a window that was long enough, of ``count`` processors."""
    whole = sums.seconds * count
    shares: dict[str, Any] = {
        "steal": sums.steal / whole,
        "worst_steal": sums.worst_steal,
        "siblings": sums.siblings / whole if with_siblings else None,
        "pressure": None if sums.stalled is None else sums.stalled / sums.seconds,
    }
    if sums.known_s >= LEAST_S:
        known = sums.known_s * count
        shares |= {
            "own": sums.own / known,
            "others": max(0.0, (sums.busy - sums.own) / known),
            "worst_others": sums.worst_others,
            "throttled": None if sums.throttled is None else sums.throttled / sums.known_s,
        }
    rounded: dict[str, Any] = {name: None if value is None else round(value, 4) for name, value in shares.items()}
    return rounded | {"thermal": sums.thermal}


def _of(cpus: Iterable[int], before: _Sample, now: _Sample, what: str) -> float:
    """Processor seconds between two samples."""
    both = [cpu for cpu in cpus if cpu in before.times and cpu in now.times]
    return float(sum(getattr(now.times[cpu], what) - getattr(before.times[cpu], what) for cpu in both))


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None


def _plus(total: float | None, before: float | None, now: float | None) -> float | None:
    """A counter's growth added to what it grew before; None while nobody counts."""
    if before is None or now is None:
        return total
    return (total or 0) + now - before
