"""A run as a submission sees it: its record and figures, what its settings say, and which system it ran on."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.host.untrusted import UnreadableFile, read_object
from orchestrator.results.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.facts.measured import LoadGenResult
    from orchestrator.facts.record import RunRecord
    from orchestrator.results.summary import Summary

SETTINGS = "settings.json"
HARNESS = "harness.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemKey:
    """What makes two runs' systems one: the machine, the target, the devices that were given, and the framework.

    A system's JSON names one framework, so another version of it is another system.
    """

    machine: str
    target: str
    devices: tuple[str, ...]
    framework: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run that ended, and the documents of its folder; empty ones where none can be read."""

    summary: Summary

    @cached_property
    def settings(self) -> Mapping[str, object]:
        """What the harness was asked to do; read only of runs that are taken."""
        return _document(self.folder, SETTINGS)

    @cached_property
    def harness(self) -> Mapping[str, object]:
        """What it said of itself."""
        return _document(self.folder, HARNESS)

    @property
    def record(self) -> RunRecord:
        return self.summary.record

    @property
    def folder(self) -> Path:
        return self.summary.folder

    @property
    def loadgen(self) -> LoadGenResult | None:
        return self.summary.loadgen

    @cached_property
    def system(self) -> SystemKey:
        """The system that it ran on."""
        record = self.record
        machine = record.host.get("system_id") or record.host.get("cpu_model") or ""
        return SystemKey(
            machine=str(machine), target=record.target, devices=devices_of(record), framework=framework_of(record)
        )

    @property
    def what(self) -> tuple[object, ...]:
        """What was measured: performance and accuracy of one result are of the same image, rules, model and data."""
        record = self.record
        model, dataset = record.model, record.dataset
        return (
            record.image.digest or record.image.image_id,
            record.recipe.sha256,
            record.changed_rules,
            None if model is None else tuple(sorted(model.files.items())),
            None if dataset is None else tuple(sorted(dataset.files.items())),
        )


def evidence_of(record: RunRecord, folder: Path) -> Evidence:
    """A run's evidence."""
    return Evidence(summary=summarise(record, folder))


def _document(folder: Path, name: str) -> dict[str, object]:
    with contextlib.suppress(UnreadableFile):
        return read_object(folder, name)
    return {}


def devices_of(record: RunRecord) -> tuple[str, ...]:
    """The products of the accelerators that a test was given, one each; ``device`` where the host knew none."""
    return tuple(one.product or "device" for one in record.container.device_injection.devices)


def framework_of(record: RunRecord) -> str:
    """The framework of the image and its version where the harness said one: ``onnxruntime 1.32.0``."""
    layers = [layer.name for layer in record.image.layers if layer.level == "framework"]
    if not layers:
        return ""
    stem = layers[-1].partition("-")[0]
    versions = packages_of(record)
    near = [name for name in versions if name in stem or stem in re.split(r"[-_]", name)[0]]
    if not near:
        return layers[-1]
    name = stem if stem in near else min(near, key=len)
    return f"{name} {versions[name]}"


def packages_of(record: RunRecord) -> dict[str, str]:
    """The Python packages that the harness found in its image, with their versions."""
    found = record.container_facts.get("packages")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}
