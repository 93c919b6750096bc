"""What is known of a machine: read by `orchestrator.host.facts`, used by `orchestrator.plan.run`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """One memory node; processor numbers and bytes."""

    node: int
    cpus: tuple[int, ...]
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A machine as mlorch sees it, memory in bytes.

    ``allowed_cpus`` is what this process may use (affinity and cgroup);
    ``cores`` groups the online hardware threads by physical core;
    ``cpu_quota`` is the processors' time that the tightest control group gives, in
    whole processors (1.5), or None; ``memory_limit`` is the tightest cgroup limit or None. ``governor`` and
    ``virtualisation`` are empty and ``turbo`` is None where the machine does not say.
    """

    system_id: str
    hostname: str
    kernel: str
    distribution: str
    machine: str
    cpu_model: str
    sockets: int
    cores: tuple[tuple[int, ...], ...]
    online_cpus: tuple[int, ...]
    allowed_cpus: tuple[int, ...]
    smt: bool
    nodes: tuple[NumaNode, ...]
    memory_total: int
    memory_available: int
    memory_limit: int | None
    swap_total: int
    hugepages: int
    hugepage_size: int
    governor: str
    turbo: bool | None
    virtualisation: str
    cgroup: str
    load: tuple[float, float, float]
    boot_id: str
    cpu_quota: float | None = None

    @property
    def memory(self) -> int:
        """Bytes that this process could use at most: the machine's or the cgroup's."""
        return self.memory_total if self.memory_limit is None else min(self.memory_total, self.memory_limit)
