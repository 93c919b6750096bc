"""The processors by /proc/cpuinfo: kind of machine, model, instruction set extensions."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.host.pci import read_line


class Cpuinfo:
    """The fields of /proc/cpuinfo: those of the first processor, and the numbers of all."""

    def __init__(self, text: str) -> None:
        self.first: dict[str, str] = {}
        cpus: list[int] = []
        for line in text.splitlines():
            key, _, value = line.partition(":")
            key, value = key.strip(), value.strip()
            if key == "processor" and value.isdigit():
                cpus.append(int(value))
            elif key:
                self.first.setdefault(key, value)
        self.cpus = tuple(cpus)

    @property
    def flags(self) -> frozenset[str]:
        return frozenset((self.first.get("flags") or self.first.get("Features") or "").split())

    @property
    def model(self) -> str:
        """The model's name; on Arm, which has none, the implementer and part."""
        name = self.first.get("model name") or self.first.get("Model")
        if name:
            return name
        part = f"{self.first.get('CPU implementer', '')} {self.first.get('CPU part', '')}".strip()
        return f"Arm {part}" if part else "unknown"


def read_cpuinfo(root: Path) -> Cpuinfo:
    return Cpuinfo(read_line(root / "proc/cpuinfo"))


def machine_name(root: Path = Path("/")) -> str:
    """What uname calls the machine below ``root``: ``x86_64`` or ``aarch64``."""
    return machine_of(root, read_cpuinfo(root))


def cpu_flags(root: Path = Path("/")) -> frozenset[str]:
    """The instruction set extensions that /proc/cpuinfo lists for the first processor."""
    return read_cpuinfo(root).flags


def machine_of(root: Path, cpuinfo: Cpuinfo) -> str:
    if root == Path("/"):
        return os.uname().machine
    return "aarch64" if "CPU implementer" in cpuinfo.first else "x86_64"
