"""Counters of energy and power of this host: RAPL of its processors, and what its accelerators say of themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.facts.strict_json import strict_json
from orchestrator.host.command import run_program
from orchestrator.host.sysfs import matches, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.facts.runs import InjectedDevice
    from orchestrator.host.command import Done

RAPL, NVML, ROCM = "rapl", "nvml", "rocm"
_TIMEOUT_S = 5.0
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A zone of RAPL: it counts microjoules up to ``largest`` and begins anew."""

    name: str
    path: Path
    largest: int

    def read(self) -> int | None:
        text = text_of(self.path)
        return int(text) if text.isdecimal() else None


class Gauges(Protocol):
    """Accelerators that say how much power they draw now."""

    kind: str

    def read(self) -> Mapping[str, float]:
        """Watts by the accelerator's name; without those that did not say it."""
        ...


def counters(root: Path = Path("/")) -> tuple[tuple[Counter, ...], str]:
    """The zones of whole processors and of their memory, and the code of why there are none (empty where there are).

    A zone within a processor is a part of it; memory (``dram``) is not, and counts by itself.
    """
    found: list[Counter] = []
    zones = matches("/sys/class/powercap/intel-rapl:*", root)
    wanted = [zone for zone in zones if _is_counted(zone)]
    for zone in wanted:
        path, largest = zone / "energy_uj", text_of(zone / "max_energy_range_uj")
        counter = Counter(name=_name(zone), path=path, largest=int(largest) if largest.isdecimal() else 0)
        if counter.read() is not None:
            found.append(counter)
    if found:
        return tuple(found), ""
    if wanted:
        return (), "not-root"
    return (), "virtual-machine" if "hypervisor" in _flags(root) else "no-counters"


def _is_counted(zone: Path) -> bool:
    name = text_of(zone / "name")
    return name.startswith("package") or name == "dram"


def _name(zone: Path) -> str:
    name = text_of(zone / "name")
    if name != "dram":
        return name
    package = text_of(zone.with_name(zone.name.rpartition(":")[0]) / "name")
    return f"{package or zone.name} {name}"


def _flags(root: Path) -> frozenset[str]:
    for line in text_of(root / "proc/cpuinfo").splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def gauges(devices: Sequence[InjectedDevice], run: Callable[..., Done] = run_program) -> tuple[tuple[Gauges, ...], str]:
    """What reads the test's accelerators, and the code of why nothing does (empty where it does, or there are none)."""
    if not devices:
        return (), ""
    for reader in (Nvidia(tuple(devices), run), Amd(tuple(devices), run)):
        if reader.read():
            return (reader,), ""
    return (), "no-device-reader"


@dataclass(frozen=True, slots=True)
class Nvidia:
    """By nvidia-smi, which comes with the driver."""

    devices: tuple[InjectedDevice, ...]
    run: Callable[..., Done]
    kind = NVML

    def read(self) -> dict[str, float]:
        query = ("nvidia-smi", "--query-gpu=index,uuid,power.draw", "--format=csv,noheader,nounits")
        done = self.run(query, timeout_s=_TIMEOUT_S)
        found = {}
        for line in done.stdout.splitlines() if done.code == 0 else ():
            index, uuid, watts, *_ = (*(part.strip() for part in line.split(",")), "", "", "")
            if _NUMBER.fullmatch(watts) and _is_given(self.devices, index, uuid):
                found[f"GPU {index}"] = float(watts)
        return found


@dataclass(frozen=True, slots=True)
class Amd:
    """By amd-smi, which comes with ROCm."""

    devices: tuple[InjectedDevice, ...]
    run: Callable[..., Done]
    kind = ROCM

    def read(self) -> dict[str, float]:
        done = self.run(("amd-smi", "metric", "--power", "--json"), timeout_s=_TIMEOUT_S)
        try:
            document = strict_json(done.stdout) if done.code == 0 else []
        except ValueError:
            return {}
        listed = document.get("gpu_data") if isinstance(document, dict) else document
        found = {}
        for one in listed if isinstance(listed, list) else ():
            watts = _socket_power(one) if isinstance(one, dict) else None
            if watts is not None and _is_given(self.devices, str(one.get("gpu")), ""):
                found[f"GPU {one.get('gpu')}"] = watts
        return found


def _socket_power(one: Mapping[str, object]) -> float | None:
    power = one.get("power")
    value = power.get("socket_power") if isinstance(power, dict) else None
    value = value.get("value") if isinstance(value, dict) else value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _is_given(devices: Sequence[InjectedDevice], index: str, uuid: str) -> bool:
    """Whether the test was given this accelerator, or a part of it."""
    return any(index == one.index.partition(":")[0] or (uuid and uuid == one.uuid) for one in devices)
