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
    """For each test the line that makes its folders and files, and a line that starts each of its containers."""
    from orchestrator.commands.device_view import device_injection_lines
    from orchestrator.operations.run import containers_of

    notes = [note for step in steps for note in (*show.notes(step.container), *_missing(step.container))]
    for note in dict.fromkeys(notes):
        console.say(f"note: {note}")
    for step in steps:
        console.result(prepared(step))
        for container in containers_of(step):
            console.result(show.line(container))
    for words in dict.fromkeys(line for step in steps for line in device_injection_lines(step.device_injection)):
        console.say(words)
    for text in dict.fromkeys(text for step in steps if step.external for text in step.external.deviations):
        console.say(f"beyond the run contract: {text}")


def prepared(step: RunStep) -> str:
    """A shell line that makes the folders which the containers write to, and the files that their programs read.

    Root's containers are somebody else: the folders become theirs.
    """
    from orchestrator.facts.containers import ARTIFACTS, RECORD, RESULTS
    from orchestrator.operations.run import containers_of

    mounts = [mount for container in containers_of(step) for mount in container.mounts]
    writable = list(dict.fromkeys(mount.source for mount in mounts if not mount.read_only))
    results = next(mount.source for mount in mounts if mount.target == RESULTS)
    artifacts = next((mount.source for mount in mounts if mount.target == ARTIFACTS), "")
    files = {"settings.json": json.dumps(dict(step.settings), separators=(",", ":")), **_files(step)}
    folders = [f"{results}/{name.rpartition('/')[0]}" for name in files if "/" in name]
    # Where an artefact is mounted, so that no engine makes the place as root.
    inside = [mount.target.removeprefix(ARTIFACTS) for mount in mounts if mount.target.startswith(f"{ARTIFACTS}/")]
    folders += [f"{artifacts}{name}" for name in inside]
    words = [shlex.join(["mkdir", "-p", *dict.fromkeys([*writable, *folders])])]
    words.append(f"touch {shlex.quote(f'{results}/{RECORD}')}")
    words += [f"printf %s {shlex.quote(text)} > {shlex.quote(f'{results}/{name}')}" for name, text in files.items()]
    if step.container.user != step.results_owner:
        words.append(shlex.join(["chown", step.container.user, *writable]))
    return " && ".join(words)


def _files(step: RunStep) -> dict[str, str]:
    """The files that are written for somebody else's harness, by their names below the run's folder."""
    from orchestrator.facts.external import CONFIG_FOLDER

    return {} if step.external is None else {f"{CONFIG_FOLDER}/{one.name}": one.text for one in step.external.files}


def _missing(spec: ContainerSpec) -> Iterator[str]:
    """What a reader of those lines has to get first."""
    from pathlib import Path

    assets = [mount for mount in spec.mounts if mount.target.startswith(("/models/", "/data/"))]
    if not all(Path(mount.source).exists() for mount in assets):
        yield "models or data are not here yet: `mlorch assets get`"
