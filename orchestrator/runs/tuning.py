"""What `mlorch run --find` and `mlorch tune` found on a system, kept for the next run: one JSON file a system.

A system is this host, or a server that was there already.

An entry is bound to benchmark, target, scenario and the image's content id: a
changed image must be measured again, and so must other devices. Settings are LoadGen's (`docs/run-contract.md`).
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.runs.system_file import entries, put, readable

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
_NAME = "tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """One finding; ``settings`` such as ``{"target_qps": 512.0}``, ``run_id`` the run that showed it."""

    benchmark: str
    target: str
    scenario: str
    content_id: str
    settings: Mapping[str, float | int | str]
    run_id: str
    found: str
    devices: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of an external harness, as ``--set`` would say them."""
    by: str = "find"
    """What found the layout: ``find`` (it is what calibration chose then) or ``tune``."""
    endpoint: str = ""
    """Whose finding it is where that is a server that was there already: its model and address, for people."""

    @property
    def key(self) -> str:
        """What a later finding replaces."""
        return key_of(self.benchmark, self.target, self.scenario, self.devices)


def key_of(benchmark: str, target: str, scenario: str, devices: str = "") -> str:
    """``devices`` as `--devices` names them, empty for all: fewer devices are another system."""
    more = f"/{devices}" if devices and devices != "all" else ""
    return f"{benchmark}/{target}/{scenario}{more}"


def tuning_file(home: Path, system_id: str) -> Path:
    """Where a system's findings lie below mlorch's data folder."""
    return home / "systems" / f"{system_id}.json"


def load(path: Path) -> dict[str, Tuned]:
    """All findings by key; a file that is absent, broken or of another version counts as empty."""
    return readable(Tuned, entries(path, _NAME, VERSION))


def settings_for(found: Mapping[str, Tuned], *, key: str, content_id: str) -> dict[str, object]:
    """The stored settings for a test, empty where there are none for exactly this image."""
    tuned = tuned_for(found, key=key, content_id=content_id)
    return {} if tuned is None else dict(tuned.settings)


def tuned_for(found: Mapping[str, Tuned], *, key: str, content_id: str) -> Tuned | None:
    """What is stored for a test with exactly this image."""
    tuned = found.get(key)
    return tuned if tuned is not None and tuned.content_id == content_id else None


def store(path: Path, tuned: Tuned) -> None:
    """Add or replace a finding; two processes at once both keep theirs. Raises `StepFailed` [write]."""
    put(path, _NAME, VERSION, tuned.key, tuned)
