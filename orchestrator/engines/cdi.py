"""Which devices an engine can be asked for by CDI name: from the spec files that it reads, and its own list.

Spec files (JSON or YAML, Container Device Interface 0.3 and later) lie in /etc/cdi and /var/run/cdi;
a file in a later folder replaces the devices of an earlier one. Two files of one folder that name
the same device make its name unusable, as engines refuse to choose.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError, MlorchError
from orchestrator.facts.devices import CdiDevice
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.paths import is_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.engines.model import EngineFacts

FOLDERS = ("/etc/cdi", "/var/run/cdi")
_LARGEST = 2**20
_TOOLS = {"nvidia.com": "nvidia-ctk cdi generate --output={spec}", "amd.com": "amd-ctk cdi generate --output={spec}"}
_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """The devices of all readable spec files by name, and what is wrong with the others."""

    devices: tuple[CdiDevice, ...] = ()
    faults: tuple[str, ...] = ()


def known(facts: EngineFacts) -> Specs:
    """What the engine can be asked for: names that both it and a spec know.

    An engine that lists its devices is believed; one that does not (Docker before 28) is believed to
    read the folders that it names. Of an engine on another host only its own list is known.
    """
    if not facts.cdi:
        return Specs()
    local = facts.host.startswith(("unix://", "exec://")) or not facts.host
    specs = read_specs(facts.cdi_folders or FOLDERS) if local else Specs()
    if not facts.cdi_devices:
        return specs
    by_name = {device.name: device for device in specs.devices}
    return Specs(
        devices=tuple(by_name.get(name, CdiDevice(name=name)) for name in facts.cdi_devices), faults=specs.faults
    )


def read_specs(folders: Iterable[str]) -> Specs:
    """The devices of the spec files in ``folders``, the last folder first in rank."""
    devices: dict[str, CdiDevice] = {}
    faults: list[str] = []
    for folder in folders:
        here: dict[str, CdiDevice] = {}
        twice: set[str] = set()
        for path in _files(Path(folder)):
            try:
                found = spec_devices(_document(path), str(path))
            except (OSError, ValueError, MlorchError) as error:
                faults.append(f"{path}: {error}")
                continue
            twice |= here.keys() & {device.name for device in found}
            here |= {device.name: device for device in found}
        faults += [f"{folder}: two files name {name}, so engines refuse it" for name in sorted(twice)]
        devices = {name: device for name, device in {**devices, **here}.items() if name not in twice}
    return Specs(devices=tuple(devices.values()), faults=tuple(faults))


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".yaml", ".yml"})
    except OSError:
        return []


def _document(path: Path) -> object:
    if not is_file(path):
        raise ValueError("no regular file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes, so no CDI spec")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return strict_json(text)
    from orchestrator.definitions.yaml import read_document, to_plain

    return to_plain(read_document(path, text))


def spec_devices(document: object, path: str) -> tuple[CdiDevice, ...]:
    """The devices of one spec. Raises `ValueError` for what is no CDI spec."""
    if not isinstance(document, dict) or not str(document.get("cdiVersion", "")):
        raise ValueError("no CDI spec: cdiVersion is missing")
    kind = document.get("kind")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ValueError(f"kind is {kind!r}, not vendor/class")
    listed = document.get("devices")
    if not isinstance(listed, list) or not listed:
        raise ValueError("it names no devices")
    shared, files = tuple(_nodes(document)), tuple(_files_of(document))
    found = []
    for device in listed:
        name = str(device.get("name", "")) if isinstance(device, dict) else ""
        if not _NAME.fullmatch(name):
            raise ValueError(f"a device is called {name!r}")
        found.append(
            CdiDevice(
                name=f"{kind}={name}",
                nodes=tuple(_nodes(device)),
                shared=shared,
                files=(*files, *_files_of(device)),
                spec=path,
            )
        )
    return tuple(found)


def stale(devices: Iterable[CdiDevice]) -> tuple[str, ...]:
    """Specs that name what this host does not have any more, each with the first such path and what to do.

    A spec holds paths of the driver's version that it was written for; engines refuse it whole where one is gone.
    """
    gone: dict[str, tuple[str, str]] = {}
    for device in devices:
        for path in (*device.nodes, *device.shared, *device.files):
            if device.spec not in gone and _is_gone(path):
                gone[device.spec] = (device.kind, path)
    return tuple(f"{spec} names {path}, which is not here: {_anew(kind, spec)}" for spec, (kind, path) in gone.items())


def require_fresh(names: Iterable[str], facts: EngineFacts) -> None:
    """Raise `HostLimitError` [device] where a device that is asked for comes from a spec that is `stale`."""
    wanted = set(names)
    if not wanted:
        return
    for why in stale(device for device in known(facts).devices if device.name in wanted):
        raise HostLimitError(f"a CDI spec does not fit this host any more: {why}", slug="device")


def _is_gone(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 (`Path.exists` would take what may not be seen for gone, or raise)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _anew(kind: str, spec: str) -> str:
    """How the spec of a vendor is written again."""
    tool = _TOOLS.get(kind.partition("/")[0])
    return f"write it anew (`{tool.format(spec=spec)}`)" if tool else "write it anew with the vendor's tool"


def _files_of(part: Mapping[str, object]) -> Iterator[str]:
    """The host's files and folders that a part's edits mount."""
    edits = part.get("containerEdits")
    listed = edits.get("mounts") if isinstance(edits, dict) else None
    for mount in listed if isinstance(listed, list) else ():
        path = mount.get("hostPath") if isinstance(mount, dict) else None
        if isinstance(path, str):
            yield path


def _nodes(part: Mapping[str, object]) -> Iterator[str]:
    """The host's nodes of a part's edits; a spec may give them another path in the container."""
    edits = part.get("containerEdits")
    listed = edits.get("deviceNodes") if isinstance(edits, dict) else None
    for node in listed if isinstance(listed, list) else ():
        if isinstance(node, dict):
            path = node.get("hostPath") or node.get("path")
            if isinstance(path, str):
                yield path
