"""What `mlorch run --dry-run` prints: a script of each test's container, to read or to paste into a shell."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.console import Console
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.runs import RunStep


def show_dry(console: Console, steps: Sequence[RunStep], show: Printer) -> None:
    """For each test the line that makes its folders and settings, and the line that starts its container."""
    from orchestrator.commands.device_view import device_injection_lines

    notes = [note for step in steps for note in (*show.notes(step.container), *_missing(step.container))]
    for note in dict.fromkeys(notes):
        console.say(f"note: {note}")
    for step in steps:
        console.result(prepared(step))
        console.result(show.line(step.container))
    for words in dict.fromkeys(line for step in steps for line in device_injection_lines(step.device_injection)):
        console.say(words)


def prepared(step: RunStep) -> str:
    """A shell line that makes the folders which the container writes to, and the settings that its harness reads.

    Root's containers are somebody else: the folders become theirs.
    """
    from orchestrator.facts.containers import RECORD, RESULTS

    writable = {mount.target: mount.source for mount in step.container.mounts if not mount.read_only}
    folders = shlex.join(["mkdir", "-p", *writable.values()])
    settings = json.dumps(dict(step.settings), separators=(",", ":"))
    record, path = (shlex.quote(f"{writable[RESULTS]}/{name}") for name in (RECORD, "settings.json"))
    line = f"{folders} && touch {record} && printf %s {shlex.quote(settings)} > {path}"
    if step.container.user != step.results_owner:
        line += f" && {shlex.join(['chown', step.container.user, *writable.values()])}"
    return line


def _missing(spec: ContainerSpec) -> Iterator[str]:
    """What a reader of those lines has to get first."""
    from pathlib import Path

    assets = [mount for mount in spec.mounts if mount.target.startswith(("/models/", "/data/"))]
    if not all(Path(mount.source).exists() for mount in assets):
        yield "models or data are not here yet: `mlorch assets get`"
