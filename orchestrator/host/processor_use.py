"""What the processors of this machine do, as the kernel counts it: busy, stolen, throttled, too hot.

Read below ``root``. What is absent or unreadable is None or left out, never taken for nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.facts import parse_list
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_DEEPEST, _MOST_GROUPS = 12, 20_000
_GROUPS_V1 = ("sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct")
_GROUPS_V2 = "sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds since the start of the machine: working for anybody, and wanted but taken by the hypervisor."""

    busy: float
    steal: float


def cpu_times(root: Path = Path("/")) -> dict[int, CpuTimes]:
    """The times of each processor that is online, from /proc/stat (proc_stat(5)); empty where it cannot be read."""
    found = {}
    for line in text_of(root / "proc/stat").splitlines():
        name, *fields = line.split()
        number = name.removeprefix("cpu")
        if not (name.startswith("cpu") and number.isdigit() and len(fields) >= 8):
            continue
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
        busy = user + nice + system + irq + softirq  # guests are in user
        found[int(number)] = CpuTimes(busy / _TICKS_A_SECOND, steal / _TICKS_A_SECOND)
    return found


def load_average(root: Path = Path("/")) -> float | None:
    """Of the last minute."""
    try:
        return float(text_of(root / "proc/loadavg").split()[0])
    except (IndexError, ValueError):
        return None


def stalled_seconds(root: Path = Path("/")) -> float | None:
    """How long some task has waited for a processor, since the start (PSI); None where the kernel does not count it."""
    for line in text_of(root / "proc/pressure/cpu").splitlines():
        kind, *fields = line.split()
        total = next((field.removeprefix("total=") for field in fields if field.startswith("total=")), "")
        if kind == "some" and total.isdigit():
            return int(total) / 1e6
    return None


def thermal_events(cpus: Iterable[int], root: Path = Path("/")) -> int | None:
    """How often these processors' cores slowed down for heat, since the start; None where nobody counts (x86 does)."""
    counts = [text_of(root / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count") for cpu in cpus]
    known = [int(count) for count in counts if count.isdigit()]
    return sum(known) if known else None


def siblings_of(cpus: Iterable[int], root: Path = Path("/")) -> tuple[int, ...]:
    """The other hardware threads of the cores of ``cpus``."""
    own = set(cpus)
    found: set[int] = set()
    for cpu in own:
        found.update(
            parse_list(text_of(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")),
        )
    return tuple(sorted(found - own))


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The control group of a container, of either version; ``limited_by`` are itself and those above it."""

    usage: Path
    limited_by: tuple[Path, ...]

    def used_seconds(self) -> float | None:
        """Processor time that the container has used; None once it is gone."""
        text = text_of(self.usage)
        if self.usage.name == "cpuacct.usage":
            return int(text) / 1e9 if text.isdigit() else None
        used = _field(text, "usage_usec")
        return None if used is None else used / 1e6

    def throttled_seconds(self) -> float | None:
        """How long a quota has stopped it, its own or the longest of those above; None where nobody counts."""
        times = []
        for stat in self.limited_by:
            text = text_of(stat)
            micro, nano = _field(text, "throttled_usec"), _field(text, "throttled_time")
            if micro is not None:
                times.append(micro / 1e6)
            elif nano is not None:
                times.append(nano / 1e9)
        return max(times, default=None)


def control_group(container_id: str, root: Path = Path("/")) -> ControlGroup | None:
    """Where the kernel accounts for a container; None where it cannot be seen from here."""
    if not container_id:
        return None
    if (root / _GROUPS_V2 / "cgroup.controllers").exists():
        group = _find(root / _GROUPS_V2, container_id)
        return None if group is None else ControlGroup(group / "cpu.stat", _upwards(root / _GROUPS_V2, group))
    for base in _GROUPS_V1:
        group = _find(root / base, container_id)
        if group is not None:
            quotas = root / "sys/fs/cgroup/cpu" if base.endswith("/cpuacct") else root / base
            return ControlGroup(group / "cpuacct.usage", _upwards(quotas, quotas / group.relative_to(root / base)))
    return None


def _upwards(base: Path, group: Path) -> tuple[Path, ...]:
    """The statistics of a group and of all above it, below ``base``."""
    return tuple(each / "cpu.stat" for each in (group, *group.parents) if each.is_relative_to(base))


def _find(base: Path, container_id: str) -> Path | None:
    """The group with a container's id in its name: ``ID``, ``docker-ID.scope``, ``libpod-ID.scope``."""
    for number, folder in enumerate(_groups(base)):
        if container_id in folder.name:
            return folder
        if number > _MOST_GROUPS:
            return None
    return None


def _groups(base: Path) -> Iterator[Path]:
    """The groups below ``base``, those nearest to it first."""
    level = [base]
    for _ in range(_DEEPEST):
        below = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    below += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue  # it ended meanwhile
        yield from below
        level = below


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None
