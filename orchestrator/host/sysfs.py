"""Files of /proc, /sys and /dev as text, and the processors: what is absent or unreadable is empty, never an error."""

from __future__ import annotations

import os
import re
from pathlib import Path


def text_of(path: Path) -> str:
    """A file's text without blanks around it; '' where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return ""


def link_name(path: Path) -> str:
    """The last part of where a link leads; '' where there is no link."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def natural_order(text: str) -> tuple[tuple[int, str], ...]:
    """A key to sort names as people count: ``renderD9`` before ``renderD128``."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text))


def matches(pattern: str, root: Path) -> tuple[Path, ...]:
    """The paths below ``root`` that an absolute path or glob names, sorted as people count (9 before 10)."""
    relative = pattern.lstrip("/")
    if not any(mark in relative for mark in "*?["):
        path = root / relative
        return (path,) if path.exists() or path.is_symlink() else ()
    return tuple(sorted(root.glob(relative), key=lambda path: natural_order(str(path))))


def taken(text: str, pattern: str) -> str:
    """The first group of ``pattern`` in a text (the whole match without a group), all of it without a pattern."""
    if not pattern:
        return text
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        return ""
    return (match[1] if match.re.groups else match[0]) or ""


def hardware_signature(root: Path = Path("/")) -> str:
    """Changes when a device, its driver or a device node comes or goes; cheap enough for every command."""
    bus, dev = os.path.join(root, "sys/bus/pci/devices"), os.path.join(root, "dev")  # noqa: PTH118 (on the hot path)
    parts = []
    try:
        for name in sorted(os.listdir(bus)):  # noqa: PTH208
            try:
                driver = os.readlink(f"{bus}/{name}/driver").rpartition("/")[2]  # noqa: PTH115
            except OSError:
                driver = ""
            parts.append(f"{name}={driver}")
        parts.append(str(os.stat(dev).st_mtime_ns))  # noqa: PTH116
    except OSError:
        pass
    return " ".join(parts)


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
    return Cpuinfo(text_of(root / "proc/cpuinfo"), os.uname().machine if root == Path("/") else "")
