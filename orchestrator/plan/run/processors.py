"""Which processors and how much memory a container gets; pure, from host facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError

if TYPE_CHECKING:
    from orchestrator.facts.host import HostFacts

_GIB = 2**30


def cpu_set(host: HostFacts, near: tuple[int, ...] = ()) -> tuple[int, ...]:
    """One hardware thread of every physical core that may be used, node by node.

    ``near`` are memory nodes to stay on, those of the devices that are used; it restricts
    nothing where none of their cores may be used, or the host has one node only.

    A second thread of a core shares its vector units, so for dense arithmetic it
    adds little and makes times vary. Where a core's first thread is not allowed,
    its first allowed one is taken; all nodes with an allowed core are used whole.
    """
    allowed = _allowed_cpus(host, near)
    chosen = []
    for core in host.cores:
        threads = [cpu for cpu in core if cpu in allowed]
        if threads:
            chosen.append(threads[0])
    if not chosen:
        raise HostLimitError("this process may use no processor", hint="check its cpuset and affinity")
    return tuple(sorted(chosen))


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
