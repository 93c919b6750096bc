"""The processors of a run, reserved on this host from before its first test until its last has ended.

For the whole of a run and not test by test: a rate that one test measures is asked of the next, their figures stand in
one table, and two runs that took turns would both end when the later of them would have ended anyway, each with cold
caches. Locks are taken in the order of the processors' numbers, so no two runs ever wait for each other.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.errors import InterruptedRun
from orchestrator.facts.processors import Holder, Reservation, cpu_list
from orchestrator.host.clock import now
from orchestrator.host.process import this_process
from orchestrator.host.processor_locks import NoLock, ProcessorLock, holders, lock, shared_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


@dataclass(slots=True, kw_only=True)
class Reserved:
    """What a run has reserved; ``facts`` is what its records keep."""

    facts: Reservation
    holder: Holder
    folder: Path | None = None
    locks: list[ProcessorLock] = field(default_factory=list)

    def at(self, run_id: str) -> None:
        """Say which test runs, for whoever waits."""
        self.holder = replace(self.holder, run_id=run_id)
        for one in self.locks:
            one.tell(self.holder)

    def other_runs(self, cpus: Sequence[int]) -> tuple[Holder, ...]:
        """The other mlorchs that have some of ``cpus`` reserved now."""
        return () if self.folder is None else holders(self.folder, cpus)


@contextmanager
def reserve(
    cpus: Sequence[int], session: str, *, wait: bool = True, say: Callable[[str], None], warn: Callable[[str], None]
) -> Iterator[Reserved]:
    """Have the processors for as long as the block lasts; waits where another mlorch has them, and says for whom.

    Raises:
        HostLimitError: `cpus-busy`, where others have them and ``wait`` is False.
        InterruptedRun: Ctrl-C or a signal while it waited.
    """
    reserved = Reserved(
        facts=Reservation(cpus=tuple(sorted(set(cpus)))),
        holder=Holder(session=session, run_id="", user="", since=now().utc, owner=this_process()),
        folder=shared_folder(),
    )
    try:
        _take_all(reserved, wait=wait, say=say, warn=warn)
        if reserved.facts.unreserved:
            warn(f"other runs may use the same processors: {'; '.join(reserved.facts.unreserved)}")
        reserved.at("")
        yield reserved
    finally:
        for one in reserved.locks:
            one.release()
        reserved.locks.clear()


def _take_all(reserved: Reserved, *, wait: bool, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
    facts, folder = reserved.facts, reserved.folder
    if folder is None:
        why = "no folder of this system is open to all its users, as /run/lock is, so nothing was reserved"
        reserved.facts = replace(facts, cpus=(), unreserved=(why,))
        return
    wait_of = _Wait(cpus=facts.cpus, tell=warn)
    unreserved: list[str] = []
    started = time.monotonic()
    for cpu in facts.cpus:
        wait_of.cpu = cpu
        try:
            reserved.locks.append(lock(folder, cpu, on_wait=wait_of.begins, wait=wait))
            reserved.locks[-1].tell(reserved.holder)  # it may wait for the next one for long
        except NoLock as error:
            unreserved.append(str(error))
        except KeyboardInterrupt:
            raise InterruptedRun(
                f"interrupted while it waited for processor {cpu}, which {wait_of.whom} has; no test had begun",
                hint="--cpus takes others; --no-wait fails at once in place of waiting",
            ) from None
    waited = time.monotonic() - started if wait_of.told else 0.0
    if wait_of.told:
        say(f"waited {waited:.1f} s for processors {cpu_list(facts.cpus)}")
    reserved.facts = Reservation(
        cpus=tuple(one.cpu for one in reserved.locks),
        waited_s=round(waited, 3),
        waited_for=tuple(wait_of.holders),
        unreserved=tuple(unreserved),
    )


@dataclass(slots=True, kw_only=True)
class _Wait:
    """Tells for whom a run waits, each of them once."""

    cpus: tuple[int, ...]
    tell: Callable[[str], None]
    """Seen by those too who want one document and no talk: else nothing would tell a wait from a hang."""
    cpu: int = 0
    whom: str = "another mlorch"
    told: list[str] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)

    def begins(self, holder: Holder | None) -> None:
        """It is about to wait for the processor that it is at."""
        self.whom = "another mlorch"
        if holder is not None:
            self.whom = holder.words()
            if all(known.session != holder.session for known in self.holders):
                self.holders.append(holder)
        if self.whom not in self.told:
            self.told.append(self.whom)
            wanted = f"waiting for processors {cpu_list(self.cpus)}"
            self.tell(f"{wanted}: {self.whom} has {self.cpu}; --cpus takes others, --no-wait does not wait")
