"""The processors of a run: which it reserved, who else held them, and what else they did while it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.containers import Owner  # noqa: TC001 (the codec reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Iterable


def cpu_list(cpus: Iterable[int]) -> str:
    """Processor numbers in the kernel's list form: ``0-3,8``."""
    parts: list[list[int]] = []
    for number in sorted(set(cpus)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An mlorch that has processors reserved, as it says itself; ``user`` is the kernel's word where it gives one.

    ``session`` is that of its records, ``run_id`` the test that it is at (empty before the first), ``since`` UTC.
    """

    session: str
    run_id: str
    user: str
    since: str
    owner: Owner
    cpus: tuple[int, ...] = ()

    def words(self) -> str:
        """Who it is, for a person."""
        what = f"run {self.run_id}" if self.run_id else f"session {self.session}"
        return f"{what} of user {self.user} (process {self.owner.pid}), since {self.since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a run reserved before its first test: whole cores, for all its tests together.

    ``unreserved`` says why, of each processor (or of all of them) that nothing could be reserved of.
    """

    cpus: tuple[int, ...]
    waited_s: float = 0.0
    waited_for: tuple[Holder, ...] = ()
    unreserved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most of something that a result may have had beside it, and why so.

    ``share`` is of the time of all its processors (of the window, for ``throttled``), ``processors`` the same in whole
    processors: on a large machine a program on one of them is a small share, and slows down all that waits for it.
    """

    share: float
    words: str
    why: str
    processors: float = float("inf")


LIMITS = {
    "others": Limit(
        share=0.05,
        words="other programs used {value} of its processors",
        why="mlorch, the engine and the kernel's own threads were measured to take 1.2 % of two processors in a test",
        processors=1.0,
    ),
    "siblings": Limit(
        share=0.10,
        words="other programs used {value} of the other threads of its cores",
        why="two threads of a core share its units; a tenth of a busy neighbour costs about as much as `others` may",
    ),
    "steal": Limit(
        share=0.05,
        words="the hypervisor gave {value} of its processors to other machines",
        why="a virtual machine on a host that is not overfull loses less than 2 %",
    ),
    "throttled": Limit(
        share=0.01,
        words="a quota of its control group stopped it for {value} of the time",
        why="a test has no quota of mlorch's; one that it meets cuts its figures off",
    ),
}
"""What marks a result as disturbed. A share is of the time of the timed window, over all processors of the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What else happened on a test's processors in its timed window; None is not known, and ``unknown`` says why.

    ``window`` is what was watched: ``test`` from the harness's start of LoadGen to its end, ``containers`` all of the
    time in which containers ran, of a harness that does not say when it measures. Shares are of the processors' time:
    ``own`` used by the test's containers, ``others`` by any other program (mlorch and the engine among them),
    ``siblings`` by the other hardware threads of its cores, ``steal`` taken by the hypervisor; ``throttled`` of the
    window, by a quota; ``worst_others`` and ``worst_steal`` in the worst second. ``pressure`` is the share of the
    window in which some task of the machine waited for a processor, the test's own among them. ``thermal`` counts the
    times that a core slowed down for heat. ``load`` is the machine's load average before and after.
    """

    window: str
    seconds: float
    cpus: tuple[int, ...]
    own: float | None = None
    others: float | None = None
    siblings: float | None = None
    steal: float | None = None
    throttled: float | None = None
    worst_others: float | None = None
    worst_steal: float | None = None
    pressure: float | None = None
    thermal: int | None = None
    load: tuple[float, ...] = ()
    other_runs: tuple[Holder, ...] = ()
    """Other mlorchs that had processors of this machine reserved meanwhile."""
    unknown: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why the result counts as disturbed; empty where it does not."""

    @property
    def disturbed(self) -> bool | None:
        """Whether the result is marked; None where nothing marks it, and not everything is known."""
        if self.reasons:
            return True
        return None if self.unknown else False


def reasons(found: Disturbance) -> tuple[str, ...]:
    """What of ``found`` is beyond its limit, in words with the figures."""
    said = []
    for name, limit in LIMITS.items():
        value = getattr(found, name)
        most = min(limit.share, limit.processors / max(1, len(found.cpus)))
        if value is not None and value > most:
            what = limit.words.format(value=f"{value * 100:.1f} %")
            said.append(f"{what} (more than {most * 100:.3g} %)")
    if found.thermal:
        said.append(f"its cores slowed down for heat {found.thermal:,} times")
    return tuple(said)
