"""The processors by /proc/cpuinfo: kind of machine, model, instruction set extensions."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.host.sysfs import read_text


class Cpuinfo:
    """The fields of /proc/cpuinfo: those of the first processor, and the numbers of all.

    ``machine`` is what uname calls it (``x86_64`` or ``aarch64``); by the fields where it is not given.
    """

    def __init__(self, text: str, machine: str) -> None:
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
        self.machine = machine or ("aarch64" if "CPU implementer" in self.first else "x86_64")

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
    """The processors of the machine below ``root``; of this one the kernel says what it is."""
    return Cpuinfo(read_text(root / "proc/cpuinfo"), os.uname().machine if root == Path("/") else "")
