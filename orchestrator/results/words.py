"""Facts that were observed, in words: a JSON object of a record as names and values for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.facts.record import ContainerRun

MIB, GIB = 1 << 20, 1 << 30


def facts(document: Mapping[str, object]) -> list[tuple[str, str]]:
    """A JSON object of observed facts as names and values in words; empty ones are left out."""
    rows = []
    for key, value in document.items():
        text = _fact(key, value)
        if text:
            rows.append((key.replace("_", " "), text))
    return rows


def _fact(key: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and _is_memory(key):
        return f"{value / GIB:.1f} GiB" if value >= GIB // 10 else f"{value / MIB:.1f} MiB"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, item in value.items() if (text := _fact(str(name), item)))
    if isinstance(value, list | tuple):
        return _list(key, value)
    return str(value)


def _is_memory(key: str) -> bool:
    return "memory" in key or key in {"shm", "swap_total"}


def _list(key: str, value: Sequence[object]) -> str:
    numbers = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    if value and len(numbers) == len(value) and key != "limits":
        return spans(numbers)
    return ", ".join(text for item in value if (text := _fact("", item)))


def spans(numbers: Sequence[int]) -> str:
    """Processor numbers in the kernel's list form: ``0-3, 8``."""
    ordered = sorted(set(numbers))
    if list(numbers) != ordered:
        return ", ".join(map(str, numbers))
    parts: list[list[int]] = []
    for number in ordered:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def limits(container: ContainerRun) -> list[tuple[str, str]]:
    """What a container was given, without what differs from run to run."""
    ulimits = [f"{name} {'/'.join(map(str, value))}" for name, value in container.ulimits.items()]
    mounts = [f"{mount.target} {'ro' if mount.read_only else 'rw'}" for mount in container.mounts]
    rows = [
        ("capabilities", ", ".join(container.capabilities) or "none"),
        ("devices", container.given_devices),
        ("processors", spans(container.cpus) if container.cpus else "all"),
        ("memory", "not limited" if container.memory is None else f"{container.memory / GIB:.2f} GiB"),
        ("user", container.user),
        ("network", container.network),
        ("root file system", "read-only" if container.read_only else "writable"),
        ("limits", ", ".join(ulimits) or "the engine's"),
    ]
    if mounts:
        rows.append(("mounts", ", ".join(mounts)))
    return rows


def setting_text(value: object) -> str:
    """The value of a setting: ``–`` for none, numbers with a comma a thousand."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
