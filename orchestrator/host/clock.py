"""The time as records and names of runs keep it: one clock for the whole life of a process, whatever is set meanwhile.

A machine that hears from its time server late, a virtual machine that was asleep, an administrator: the wall clock
may jump by hours while a test runs. From its start on this process counts by itself (asleep too), so that no test took
minus three hours and the second of a session never comes before the first.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from orchestrator.facts.record import Moment

_BEGAN_NS = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def unix_ns() -> int:
    """Nanoseconds since 1970: of the clock as it was when this process began, and what has passed since then."""
    return _BEGAN_NS + time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def now() -> Moment:
    """The time, as records keep it."""
    return moment(unix_ns())


def moment(at_ns: int) -> Moment:
    """A point in time, as records keep it."""
    stamp = datetime.fromtimestamp(at_ns // 10**9, tz=UTC)
    return Moment(utc=stamp.strftime("%Y-%m-%dT%H:%M:%SZ"), unix_ns=at_ns)


def stamp() -> str:
    """The time as names have it: ``20261128T201500Z``."""
    return datetime.fromtimestamp(unix_ns() // 10**9, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
