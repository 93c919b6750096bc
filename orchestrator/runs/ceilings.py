"""What clients of servers reached by themselves, kept on this system so that not every test measures it anew.

An entry holds for one image on the same processors, with as many processes and tokens; after a day it is measured
again, as a machine changes. Its date goes into the record.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError
from orchestrator.facts.codec import to_plain
from orchestrator.facts.measured import Ceiling
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.host.clock import moment
from orchestrator.host.files import atomic_write_text
from orchestrator.results.measure import CEILING, ceiling_of
from orchestrator.runs.system_file import entries, put, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.engines import Engine
    from orchestrator.facts.runs import RunStep

VERSION = 1
_NAME = "ceilings"
KEPT_S = 24 * 3600


def ceilings_file(home: Path, system_id: str) -> Path:
    """Where a system's lie below mlorch's data folder."""
    return home / "systems" / f"{system_id}-ceilings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """Those of one system, in one file; what cannot be read or written there is measured instead."""

    path: Path
    engine: Engine
    clock: Callable[[], float] = time.time

    def put(self, step: RunStep, folder: Path) -> str:
        """Write the figure of a while ago into a test's folder; gives words for that, empty where there is none."""
        key = self._key(step)
        found = self._load().get(key) if key else None
        if found is None or not 0 <= self.clock() - found.unix_ns / 1e9 < KEPT_S:
            return ""
        atomic_write_text(folder / CEILING, json.dumps({"version": VERSION, **to_plain(found)}) + "\n")
        when = moment(found.unix_ns).utc
        return f"the client's ceiling is the one measured at {when}, with this image and these processors"

    def keep(self, step: RunStep, folder: Path) -> None:
        """Keep what a test measured, in place of what was there."""
        key, found = self._key(step), ceiling_of(folder)
        if not key or found is None or not found.unix_ns:
            return
        with contextlib.suppress(OSError, MlorchError):
            put(self.path, _NAME, VERSION, key, found)

    def _load(self) -> Mapping[str, Ceiling]:
        return readable(Ceiling, entries(self.path, _NAME, VERSION))

    def _key(self, step: RunStep) -> str:
        """What the figure depends on; empty where the image is not known."""
        roles, execution, generation = step.roles, step.settings.get("execution"), step.settings.get("generation")
        assert roles is not None  # only a client has a ceiling
        assert roles.null_server is not None
        try:
            image = self.engine.image(step.container.image)
        except MlorchError:
            return ""
        if image is None or not isinstance(execution, dict):
            return ""
        return json.dumps({
            "image": image.image_id,
            "cpus": list(step.container.cpus),
            "server_cpus": list(roles.null_server.cpus),
            "processes": execution.get("processes"),
            # Where one query waits for the other the client has one process.
            "scenario": "" if SCENARIOS[step.scenario].has_rate else step.scenario,
            "tokens": generation.get("limit") if isinstance(generation, dict) else None,
        })  # fmt: skip
