"""What `mlorch tune` tried on a system: one JSON line a trial, appended as it ends, so that a kill loses none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.codec import CodecError, from_plain, to_plain
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.file_lock import locked

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
STATES = ("done", "pruned", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial: its ``parameters`` as the test had them, and what came of it.

    ``key`` as `tuning.key_of`; ``value`` in ``unit``, None where it failed; ``first`` is what its short test measured,
    by which hopeless trials are pruned. ``why`` says what went wrong, or why it was pruned.
    """

    key: str
    content_id: str
    cpus: int
    state: str
    parameters: Mapping[str, int | str]
    value: float | None = None
    first: float | None = None
    unit: str = ""
    higher_is_better: bool = True
    run_ids: tuple[str, ...] = ()
    seconds: float = 0.0
    started: str = ""
    why: str = ""
    accuracy: str = ""
    """``PASSED`` or ``FAILED`` where its accuracy was tested."""
    version: int = field(default=VERSION)


def trials_file(home: Path, system_id: str) -> Path:
    """Where a system's trials lie below mlorch's data folder."""
    return home / "systems" / f"{system_id}.trials.jsonl"


def load(path: Path) -> list[Trial]:
    """All trials in the order in which they ended; a line that is none (a kill cut it off) is stepped over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for line in text.split("\n"):  # strings may hold what `splitlines` takes for an end
        try:
            trial = from_plain(Trial, strict_json(line))
        except (ValueError, CodecError):
            continue
        if trial.version == VERSION and trial.state in STATES:
            found.append(trial)
    return found


def append(path: Path, trial: Trial) -> None:
    """Add a trial, written through to the disk. Raises `StepFailed` [write]."""
    text = json.dumps(to_plain(trial), ensure_ascii=False, allow_nan=False)
    with locked(path.with_suffix(".lock"), needed=False):
        try:
            whole = not path.exists() or path.stat().st_size == 0 or path.read_bytes()[-1:] == b"\n"
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{text}\n" if whole else f"\n{text}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StepFailed(f"{path}: the trial cannot be kept: {error.strerror}", slug="write") from None
