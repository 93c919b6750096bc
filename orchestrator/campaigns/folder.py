"""The folder of a campaign: its lock, its plan as it was last begun, and a folder of results for each cell.

campaigns/NAME/journal, plan.json, lock
campaigns/NAME/cells/CELL/cell.json and the folders of its tests, as `mlorch run` makes them
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.campaigns.journal import NAME as JOURNAL
from orchestrator.campaigns.journal import is_name
from orchestrator.errors import NoLocksError, StepFailed
from orchestrator.facts.containers import RECORD
from orchestrator.host.file_lock import open_lock, try_lock
from orchestrator.host.files import atomic_write_text, make_folder
from orchestrator.host.untrusted import UnreadableFile, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.campaigns.journal import JournalLine
    from orchestrator.campaigns.keys import PlannedCell

PLAN, CELLS, CELL, LOCK = "plan.json", "cells", "cell.json", "lock"
CAMPAIGNS = "campaigns"
"""Below a folder of results: a folder for each campaign."""
VERSION = 1
LARGEST_PLAN = 256 * 2**20
_TRIES, _PAUSE_S = 10, 0.1
"""`campaign status` holds the lock for a moment; who begins then tries again."""


class KeptCell(NamedTuple):
    """A cell as a campaign was last begun with it; ``axes`` by name, ``obstacle`` why it cannot be run here."""

    place: str
    folder: str
    mode: str
    repetition: int
    axes: dict[str, str]
    obstacle: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """What takes about as long: benchmark, scenario and mode."""
        return (self.axes.get("benchmark", ""), self.axes.get("scenario", ""), self.mode)


def kept(planned: PlannedCell) -> KeptCell:
    """A planned cell in the form that is kept."""
    cell = planned.cell
    folder = "" if planned.obstacle else planned.folder
    return KeptCell(cell.place, folder, cell.mode, cell.repetition, dict(cell.axes), planned.obstacle)


def write_plan(folder: Path, name: str, cells: Sequence[KeptCell]) -> None:
    """Keep the cells that a campaign is begun with. Raises `WriteFailed`."""
    make_folder(folder)
    document = {"version": VERSION, "campaign": name, "cells": cells}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    atomic_write_text(folder / PLAN, text + "\n", overwrite=True)


def read_plan(folder: Path) -> tuple[KeptCell, ...] | None:
    """The cells that a campaign was last begun with; None where it never was. Raises `StepFailed` [campaign-plan]."""
    try:
        document = json.loads(read_text(folder, PLAN, LARGEST_PLAN))
        version = document["version"]
        if version == VERSION:
            return tuple(map(_kept, document["cells"]))
    except UnreadableFile as error:
        if error.missing:
            return None
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        version = None
    why = "is no plan of a campaign" if version is None else f"has version {str(version)[:20]}; this mlorch reads 1"
    hint = "`mlorch campaign resume` writes it anew from the recipe; results and journal are not touched"
    raise StepFailed(f"{folder / PLAN} {why}", hint=hint, slug="campaign-plan")


def _kept(fields: Any) -> KeptCell:
    """A cell of a plan; raises ValueError or TypeError for what no mlorch wrote."""
    cell = KeptCell(*fields)
    texts = type(cell.place) is type(cell.folder) is type(cell.mode) is type(cell.obstacle) is str
    if not texts or type(cell.repetition) is not int or (cell.folder and not is_name(cell.folder)):
        raise ValueError("no cell")
    if not all(type(value) is str for value in cell.axes.values()):
        raise ValueError("no axes")
    return cell


def has_begun(folder: Path) -> bool:
    """Whether a campaign was ever begun here."""
    return (folder / PLAN).exists() or (folder / JOURNAL).exists()


# -- cells -------------------------------------------------------------------------------


def cell_folder(folder: Path, name: str) -> Path:
    """Where the results of a cell are."""
    return folder / CELLS / name


def cell_names(folder: Path) -> frozenset[str]:
    """The cells that have a folder."""
    try:
        with os.scandir(folder / CELLS) as found:
            return frozenset(one.name for one in found)
    except FileNotFoundError:
        return frozenset()


def results_gone(folder: Path, lines: Iterable[JournalLine]) -> frozenset[str]:
    """The cells whose last test has no record any more, by their folders."""
    return frozenset(
        line.folder
        for line in lines
        if line.runs and not os.path.lexists(f"{folder}/{CELLS}/{line.folder}/{line.runs[-1]}/{RECORD}")
    )


def write_cell(folder: Path, planned: PlannedCell) -> Path:
    """Make a cell's folder and write there what decides its result, for `--why`. Raises `WriteFailed`."""
    place = cell_folder(folder, planned.folder)
    make_folder(place)
    if not (place / CELL).exists():
        cell = planned.cell
        document = {
            "version": VERSION,
            "key": planned.key,
            "axes": dict(cell.axes),
            "mode": cell.mode,
            "repetition": cell.repetition,
            "inputs": planned.inputs,
        }
        atomic_write_text(place / CELL, json.dumps(document, indent=1) + "\n", overwrite=True)
    return place


def read_inputs(folder: Path, name: str) -> Mapping[str, str] | None:
    """What decided the result of a cell; None where that cannot be read."""
    try:
        document: Any = json.loads(read_text(cell_folder(folder, name), CELL))
        inputs = document["inputs"]
        return {str(key): str(value) for key, value in inputs.items()}
    except (UnreadableFile, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


# -- one process at a time ----------------------------------------------------------------


@contextmanager
def campaign_lock(folder: Path) -> Iterator[None]:
    """Be the only one who runs this campaign. Raises `StepFailed` [campaign-busy] where somebody else does."""
    make_folder(folder)
    path = folder / LOCK
    with open_lock(path) as stream:
        for again in range(_TRIES, -1, -1):
            if _locked(stream.fileno(), path):
                break
            if not again:
                raise _busy(path)
            time.sleep(_PAUSE_S)
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield


def _locked(descriptor: int, path: Path) -> bool:
    try:
        return try_lock(descriptor, path)
    except NoLocksError as error:  # its own hint is of mlorch's home
        hint = "name a folder of results on a local disk with -o"
        raise NoLocksError(error.message, hint=hint) from None


def _busy(path: Path) -> StepFailed:
    pid = path.read_text(encoding="ascii", errors="replace").strip()[:20]
    who = f"process {pid}" if pid.isdigit() else "another mlorch"
    hint = "wait for it, or stop it with Ctrl-C; `mlorch campaign status` shows how far it is"
    return StepFailed(f"{who} runs the campaign in {path.parent}", hint=hint, slug="campaign-busy")


def is_running(folder: Path) -> bool:
    """Whether somebody runs this campaign now, as far as the lock says."""
    path = folder / LOCK
    try:
        with open_lock(path, write=False) as stream:
            return not try_lock(stream.fileno(), path, fcntl.LOCK_SH)
    except (OSError, StepFailed):
        return False
