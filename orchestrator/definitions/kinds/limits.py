"""What limits of a container may be: sizes of memory and shared memory, processes, ulimits, times.

An engine tells a value that cannot be when the container starts, after everything was built and fetched; some take
it and do something else. So a recipe is held to what Linux knows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.facts.sizes import size_bytes
from orchestrator.facts.times import seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_MEMORY = "16t"
"""More than the largest machines have."""
_MOST_PROCESSES = 2**22
"""Linux has no more process ids."""
_MOST_FILES = 2**30
"""More than `fs.nr_open` can be."""
_MOST_BYTES = 2**63 - 1
_HIGHEST_PRIORITY = 99
_LONGEST_S = 90 * 24 * 3600

_WORDS = {
    "network": ("bridge",),
    "capability": ("IPC_LOCK", "PERFMON", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE"),
    "ipc": ("host",),
}
_ULIMITS: Mapping[str, tuple[int, int, bool]] = {
    "memlock": (65_536, _MOST_BYTES, True),
    "stack": (131_072, _MOST_BYTES, True),
    "core": (0, _MOST_BYTES, True),
    "nofile": (64, _MOST_FILES, False),
    "rtprio": (0, _HIGHEST_PRIORITY, False),
}
"""Name → the least and the largest number, and whether it can be unlimited. Linux has no unlimited `nofile`."""


def require_size(text: str, least: str = "1", most: str = "1024t") -> str:
    """A size within bounds; raises ValueError that says them."""
    try:
        size = size_bytes(text)
    except ValueError:
        raise ValueError(f"`{text[:40]}` is no size: a whole number and `k`, `m`, `g` or `t`, such as `64m`") from None
    if not size_bytes(least) <= size <= size_bytes(most):
        raise ValueError(f"a size of `{text[:40]}` cannot be meant: at least {least} and at most {most}")
    return text


def require_memory(text: str) -> str:
    """The size of something in memory, which a page must fit in; raises ValueError."""
    return require_size(text, "64k", _MOST_MEMORY)


def require_limit_of_time(text: str) -> str:
    """A time that a step may take; raises ValueError."""
    try:
        seconds = seconds_of(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= _LONGEST_S:
        raise ValueError(f"`{text[:40]}` is no time limit: `30s`, `90m`, `24h` or `3d`, at most 90 days")
    return text


def require_deviation(what: str, value: str) -> str:
    """What a need beyond the run contract may be; raises ValueError with what is possible."""
    if what in _WORDS:
        if value not in _WORDS[what]:
            raise ValueError(f"{what} cannot be `{value[:60]}`: it can be {' or '.join(_WORDS[what])}")
        return value
    if what == "shm":
        return require_memory(value)
    if what == "pids":
        return _require_number("pids", value, 16, _MOST_PROCESSES)
    return _require_ulimit(value)


def _require_ulimit(value: str) -> str:
    name, equals, number = value.partition("=")
    if not equals:
        raise ValueError(f"ulimit cannot be `{value[:60]}`: write NAME=NUMBER, with one of {', '.join(_ULIMITS)}")
    require_ulimit(name, number)
    return value


def require_ulimit(name: str, number: str) -> str:
    """What a ulimit may be; raises ValueError with what is possible."""
    if name not in _ULIMITS:
        raise ValueError(f"there is no ulimit `{name[:40]}` here: there are {', '.join(_ULIMITS)}")
    least, most, can_be_unlimited = _ULIMITS[name]
    if number == "unlimited":
        if not can_be_unlimited:
            raise ValueError(f"ulimit {name} cannot be unlimited: give a number from {least:,} to {most:,}")
        return number
    return _require_number(f"ulimit {name}", number, least, most, "unlimited or " if can_be_unlimited else "")


def _require_number(what: str, text: str, least: int, most: int, else_: str = "") -> str:
    if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise ValueError(f"{what} cannot be `{text[:60]}`: it is {else_}a whole number from {least:,} to {most:,}")
    return text
