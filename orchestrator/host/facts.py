"""Facts of this machine from /proc and /sys, without vendor tools.

Everything is read below ``root``, so that tests run over recorded trees. A file
that is absent or unreadable makes a fact empty, never an error: containers and
virtual machines hide much of /sys.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.host import HostFacts, NumaNode
from orchestrator.host.sysfs import read_cpuinfo, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.host.sysfs import Cpuinfo

_SYSTEM_ID_VERSION = "1"


def host_facts(root: Path = Path("/"), *, environ: Mapping[str, str] | None = None) -> HostFacts:
    """Read the machine; with ``MLORCH_ANONYMOUS`` set the host name is left out."""
    env = os.environ if environ is None else environ
    cpuinfo = read_cpuinfo(root)
    meminfo = _meminfo(root)
    online = parse_list(text_of(root / "sys/devices/system/cpu/online")) or cpuinfo.cpus
    cores = _cores(root, online)
    paths = _cgroups(root)
    nodes = _nodes(root, online, meminfo.get("MemTotal", 0))
    limit = _memory_limit(root, paths, meminfo.get("MemTotal", 0))
    hypervisor = _virtualisation(root, cpuinfo)
    sockets = len({_topology(root, cpu, "physical_package_id") for cpu in online} - {""}) or 1
    return HostFacts(
        system_id=_system_id(cpuinfo.machine, cpuinfo.model, sockets, cores, nodes, meminfo, hypervisor),
        hostname="anonymous" if env.get("MLORCH_ANONYMOUS") else text_of(root / "proc/sys/kernel/hostname"),
        kernel=text_of(root / "proc/sys/kernel/osrelease"),
        distribution=_distribution(root),
        machine=cpuinfo.machine,
        cpu_model=cpuinfo.model,
        sockets=sockets,
        cores=cores,
        online_cpus=online,
        allowed_cpus=_allowed(root, paths, online),
        cpu_quota=_cpu_quota(root, paths),
        smt=any(len(core) > 1 for core in cores),
        nodes=nodes,
        memory_total=meminfo.get("MemTotal", 0),
        memory_available=meminfo.get("MemAvailable", meminfo.get("MemFree", 0)),
        memory_limit=limit,
        swap_total=meminfo.get("SwapTotal", 0),
        hugepages=meminfo.get("HugePages_Total", 0),
        hugepage_size=meminfo.get("Hugepagesize", 0),
        governor=_governor(root, online),
        turbo=_turbo(root),
        virtualisation=hypervisor,
        cgroup="v1" if any(controllers for controllers, _ in paths) else "v2",
        load=_load(root),
        boot_id=text_of(root / "proc/sys/kernel/random/boot_id"),
    )


def parse_list(text: str) -> tuple[int, ...]:
    """The kernel's list form, ``0-3,8,10-11``, as sorted numbers; anything else gives nothing."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            continue
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


def group_ids(root: Path = Path("/")) -> dict[str, str]:
    """Names of the host's groups and their numbers (containers get numbers, names differ inside)."""
    groups = {}
    for line in text_of(root / "etc/group").splitlines():
        fields = line.split(":")
        if len(fields) >= 3:
            groups[fields[0]] = fields[2]
    return groups


def _meminfo(root: Path) -> dict[str, int]:
    """Bytes by name (counts for ``HugePages_*``)."""
    facts: dict[str, int] = {}
    for line in text_of(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if fields and fields[0].isdigit():
            facts[name] = int(fields[0]) * (1024 if fields[1:] == ["kB"] else 1)
    return facts


def _topology(root: Path, cpu: int, name: str) -> str:
    return text_of(root / f"sys/devices/system/cpu/cpu{cpu}/topology/{name}")


def _cores(root: Path, online: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Online threads grouped by physical core, in the order of their first thread."""
    cores: dict[tuple[int, ...], None] = {}
    for cpu in online:
        listed = _topology(root, cpu, "thread_siblings_list") or _topology(root, cpu, "core_cpus_list")
        siblings = tuple(n for n in parse_list(listed) if n in online)
        cores.setdefault(siblings if cpu in siblings else (cpu,))
    return tuple(sorted(cores))


def _nodes(root: Path, online: tuple[int, ...], total: int) -> tuple[NumaNode, ...]:
    nodes = []
    for number in parse_list(text_of(root / "sys/devices/system/node/online")):
        folder = f"sys/devices/system/node/node{number}"
        memory = 0
        for line in text_of(root / f"{folder}/meminfo").splitlines():
            fields = line.split()
            if len(fields) >= 4 and fields[2] == "MemTotal:":
                memory = int(fields[3]) * 1024
        cpus = tuple(n for n in parse_list(text_of(root / f"{folder}/cpulist")) if n in online)
        nodes.append(NumaNode(node=number, cpus=cpus, memory=memory))
    return tuple(nodes) or (NumaNode(node=0, cpus=online, memory=total),)


def _cgroups(root: Path) -> list[tuple[str, str]]:
    """Controllers and path of every hierarchy that this process is in; v2 has no controllers named."""
    found = []
    for line in text_of(root / "proc/self/cgroup").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and not fields[1].startswith("name="):
            found.append((fields[1], fields[2]))
    return found


def _cgroup_folders(root: Path, paths: list[tuple[str, str]], controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of a controller from the process's group up to the root, each with its hierarchy's version."""
    for controllers, path in paths:
        if controllers and controller not in controllers.split(","):
            continue
        base = root / (f"sys/fs/cgroup/{controllers}" if controllers else "sys/fs/cgroup")
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        for depth in range(len(parts), -1, -1):
            yield base.joinpath(*parts[:depth]), 1 if controllers else 2


def _cgroup_files(root: Path, paths: list[tuple[str, str]], controller: str, names: tuple[str, str]) -> list[str]:
    """Contents of a controller's file from the process's group up to the root: ``names`` is (v1, v2)."""
    texts = (text_of(folder / names[version - 1]) for folder, version in _cgroup_folders(root, paths, controller))
    return [text for text in texts if text]


def _cpu_quota(root: Path, paths: list[tuple[str, str]]) -> float | None:
    """How many processors' time the tightest group gives (cpu.max, or cpu.cfs_quota_us in v1); None without a bound."""
    found = []
    for folder, version in _cgroup_folders(root, paths, "cpu"):
        if version == 2:
            words = text_of(folder / "cpu.max").split()
        else:
            words = [text_of(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        if len(words) == 2 and all(word.isdigit() and int(word) > 0 for word in words):  # not "max", not -1
            found.append(int(words[0]) / int(words[1]))
    return min(found, default=None)


def _memory_limit(root: Path, paths: list[tuple[str, str]], total: int) -> int | None:
    texts = _cgroup_files(root, paths, "memory", ("memory.limit_in_bytes", "memory.max"))
    # "no limit" is a number near 2^63 in v1 and "max" in v2; one above MemTotal limits nothing.
    limits = [int(text) for text in texts if text.isdigit() and int(text) < total]
    return min(limits, default=None)


def _allowed(root: Path, paths: list[tuple[str, str]], online: tuple[int, ...]) -> tuple[int, ...]:
    """Affinity (the kernel's ``Cpus_allowed_list``) within the cgroup's cpuset."""
    allowed = set(online)
    for line in text_of(root / "proc/self/status").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            allowed &= set(parse_list(line.partition(":")[2])) or allowed
    names = ("cpuset.effective_cpus", "cpuset.cpus.effective")
    for text in _cgroup_files(root, paths, "cpuset", names)[:1]:
        allowed &= set(parse_list(text)) or allowed
    return tuple(sorted(allowed))


def _governor(root: Path, online: tuple[int, ...]) -> str:
    names = {text_of(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor") for cpu in online[:1024]}
    return ",".join(sorted(names - {""}))


def _turbo(root: Path) -> bool | None:
    intel = text_of(root / "sys/devices/system/cpu/intel_pstate/no_turbo")
    if intel in {"0", "1"}:
        return intel == "0"
    boost = text_of(root / "sys/devices/system/cpu/cpufreq/boost")
    return boost == "1" if boost in {"0", "1"} else None


def _virtualisation(root: Path, cpuinfo: Cpuinfo) -> str:
    """The hypervisor's or container's name, ``unknown`` for one that has no name, empty for bare metal."""
    kind = text_of(root / "sys/hypervisor/type")
    vendor = (
        f"{text_of(root / 'sys/class/dmi/id/sys_vendor')} {text_of(root / 'sys/class/dmi/id/product_name')}".lower()
    )
    known = {"qemu": "kvm", "kvm": "kvm", "vmware": "vmware", "virtualbox": "virtualbox", "xen": "xen"}
    known |= {"amazon ec2": "amazon", "google compute": "google", "virtual machine": "hyper-v"}
    for mark, name in known.items():
        if mark in vendor and not ("metal" in vendor and name == "amazon"):
            return name
    if kind:
        return kind
    return "unknown" if "hypervisor" in cpuinfo.flags else ""


def _distribution(root: Path) -> str:
    for path in ("etc/os-release", "usr/lib/os-release"):
        for line in text_of(root / path).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip("\"'")
    return "unknown"


def _load(root: Path) -> tuple[float, float, float]:
    fields = text_of(root / "proc/loadavg").split()[:3]
    try:
        one, five, fifteen = (float(field) for field in fields)
    except ValueError:
        return (0.0, 0.0, 0.0)
    return (one, five, fifteen)


def _system_id(
    machine: str,
    model: str,
    sockets: int,
    cores: tuple[tuple[int, ...], ...],
    nodes: tuple[NumaNode, ...],
    meminfo: dict[str, int],
    hypervisor: str,
) -> str:
    """Names the hardware, not its state: same parts, same id, whatever the kernel, name or load.

    Memory is rounded to GiB, as firmware and balloons take some of it away.
    """
    gib = round(meminfo.get("MemTotal", 0) / 2**30)
    parts = [
        _SYSTEM_ID_VERSION,
        machine,
        model,
        sockets,
        cores,
        [node.cpus for node in nodes],
        gib,
        hypervisor,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
