"""Which processors and how much memory a container gets; pure, from host facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError, UsageError
from orchestrator.facts.processors import cpu_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.facts.host import HostFacts

_GIB = 2**30
_MOST_CPUS = 1 << 16
"""Beyond any kernel's NR_CPUS: a larger number is a slip of the keys, and a range of it would fill the memory."""


def parse_cpus(text: str) -> tuple[int, ...]:
    """The processors of a Linux cpuset list, ``0-3,8``; empty text names none, which stands for mlorch's choice.

    Raises:
        UsageError: `cpus-syntax`.
    """
    if not text.strip():
        return ()
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        ends = [first, last] if dash else [first]
        if not all(word.isascii() and word.isdigit() and int(word) < _MOST_CPUS for word in ends):
            raise _no_cpus(f"`{part.strip()}` is neither a processor's number nor a range of them")
        low, high = int(first), int(ends[-1])
        if high < low:
            raise _no_cpus(f"the range `{part.strip()}` ends before it begins")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def _no_cpus(why: str) -> UsageError:
    hint = "give numbers and ranges of them, as the kernel's lists have them: --cpus 0-3,8"
    return UsageError(f"--cpus: {why}", hint=hint, slug="cpus-syntax")


def require_allowed(host: HostFacts, asked: tuple[int, ...]) -> None:
    """Whether the processors that were asked for can be had.

    Raises:
        UsageError: `cpus-not-allowed`, which tells what this host does not have from what this process may not use.
    """
    absent = [cpu for cpu in asked if cpu not in host.online_cpus]
    barred = [cpu for cpu in asked if cpu in host.online_cpus and cpu not in host.allowed_cpus]
    why = []
    if absent:
        why.append(f"this host has no processor {cpu_list(absent)} (it has {cpu_list(host.online_cpus)})")
    if barred:
        why.append(f"{cpu_list(barred)} may not be used from here: its affinity or control group leaves it out")
    if why:
        raise UsageError(
            f"--cpus {cpu_list(asked)}: {'; '.join(why)}",
            hint=f"choose from {cpu_list(host.allowed_cpus)}",
            slug="cpus-not-allowed",
        )


def core_advice(host: HostFacts, asked: tuple[int, ...]) -> str:
    """What to know of processors that were asked for: more than a quota gives, or threads of one core; else empty."""
    if host.cpu_quota is not None and len(asked) > host.cpu_quota:
        return (
            f"--cpus {cpu_list(asked)} are {len(asked)} processors, and the control group of this process gives the "
            f"time of {host.cpu_quota:g}: if the engine's containers are below it, they are stopped for the rest"
        )
    shared = [core for core in host.cores if len(set(core) & set(asked)) > 1]
    if not shared:
        return ""
    pairs = ", ".join(cpu_list(set(core) & set(asked)) for core in shared[:4])
    more = " …" if len(shared) > 4 else ""
    better = [next(cpu for cpu in core if cpu in asked) for core in host.cores if set(core) & set(asked)]
    return (
        f"--cpus {cpu_list(asked)} has several threads of one core ({pairs}{more}), which share its units: times vary "
        f"more; one thread of each is --cpus {cpu_list(better)}"
    )


def whole_cores(host: HostFacts, cpus: tuple[int, ...]) -> tuple[int, ...]:
    """``cpus`` and the other threads of their cores: what another test on them would disturb."""
    return tuple(sorted({thread for core in host.cores if set(core) & set(cpus) for thread in core} | set(cpus)))


def cpu_set(host: HostFacts, near: tuple[int, ...] = (), asked: tuple[int, ...] = ()) -> tuple[int, ...]:
    """One hardware thread of every physical core that may be used, node by node; those that were asked for, if any.

    ``near`` are memory nodes to stay on, those of the devices that are used; it restricts
    nothing where none of their cores may be used, or the host has one node only.

    A second thread of a core shares its vector units, so for dense arithmetic it
    adds little and makes times vary. Where a core's first thread is not allowed,
    its first allowed one is taken; all nodes with an allowed core are used whole.

    Where a quota gives less time than that, there are as many as it gives time for.

    Raises `HostLimitError` where none may be used; of those asked for as `require_allowed`.
    """
    if asked:
        require_allowed(host, asked)
        return asked
    allowed = _allowed_cpus(host, near)
    chosen = []
    for core in host.cores:
        threads = [cpu for cpu in core if cpu in allowed]
        if threads:
            chosen.append(threads[0])
    if not chosen:
        raise HostLimitError("this process may use no processor", hint="check its cpuset and affinity")
    return tuple(sorted(within_quota(host, chosen)))


def within_quota(host: HostFacts, cpus: Sequence[int]) -> Sequence[int]:
    """No more processors than the control group gives time for, one at least: on more of them all would be stopped."""
    return cpus if host.cpu_quota is None else cpus[: max(1, int(host.cpu_quota))]


def _allowed_cpus(host: HostFacts, near: tuple[int, ...]) -> set[int]:
    allowed = set(host.allowed_cpus)
    if len(host.nodes) < 2:
        return allowed
    near_cpus = {cpu for node in host.nodes if node.node in near for cpu in node.cpus}
    return allowed & near_cpus or allowed


def memory_nodes(host: HostFacts, cpus: tuple[int, ...]) -> tuple[int, ...]:
    """The NUMA nodes of ``cpus`` that have memory; empty (no restriction) on a host with one node."""
    if len(host.nodes) < 2:
        return ()
    wanted = set(cpus)
    near = tuple(node.node for node in host.nodes if wanted & set(node.cpus) and node.memory)
    return near or tuple(node.node for node in host.nodes if node.memory)


def memory_limit(host: HostFacts) -> int:
    """The container's memory limit in bytes: the host's less a headroom of a tenth (0.5 to 16 GiB).

    From the total and not from what is free now, so that a run repeated later has the same limit.
    """
    headroom = min(max(host.memory // 10, _GIB // 2), 16 * _GIB)
    return max(host.memory - headroom, host.memory // 2) // 2**20 * 2**20


def preflight_memory(host: HostFacts, *, need: int, limit: int) -> None:
    """Raise `HostLimitError` where ``need`` bytes do not fit into the limit or into what is free now."""
    have = min(limit, host.memory_available)
    if need > have:
        raise HostLimitError(
            f"too little memory: the model and data need about {gib(need)}, and {gib(have)} can be had",
            hint="stop other programs, or use a machine (or a cgroup) with more memory",
            slug="memory",
        )


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB"
