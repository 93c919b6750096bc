"""Which devices an engine can be asked for by CDI name: from the spec files that it reads, and its own list.

Spec files (JSON or YAML, Container Device Interface 0.3 and later) lie in /etc/cdi and /var/run/cdi;
a file in a later folder replaces the devices of an earlier one. Two files of one folder that name
the same device make its name unusable, as engines refuse to choose.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError
from orchestrator.facts.devices import CdiDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.engines.model import EngineFacts

FOLDERS = ("/etc/cdi", "/var/run/cdi")
_LARGEST = 2**20
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
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes, so no CDI spec")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
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
    shared = tuple(_nodes(document))
    found = []
    for device in listed:
        name = str(device.get("name", "")) if isinstance(device, dict) else ""
        if not _NAME.fullmatch(name):
            raise ValueError(f"a device is called {name!r}")
        found.append(CdiDevice(name=f"{kind}={name}", nodes=tuple(_nodes(device)), shared=shared, spec=path))
    return tuple(found)


def _nodes(part: Mapping[str, object]) -> Iterator[str]:
    """The host's nodes of a part's edits; a spec may give them another path in the container."""
    edits = part.get("containerEdits")
    listed = edits.get("deviceNodes") if isinstance(edits, dict) else None
    for node in listed if isinstance(listed, list) else ():
        if isinstance(node, dict):
            path = node.get("hostPath") or node.get("path")
            if isinstance(path, str):
                yield path
