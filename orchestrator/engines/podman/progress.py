"""What `podman build` prints, as events; and why one failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.engines.builds import build_failed, engine_gone, no_base
from orchestrator.engines.model import BuildEvent
from orchestrator.engines.podman.cli import complaint
from orchestrator.engines.refusals import disk_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.engines.builds import BuildLog
    from orchestrator.errors import EngineError, StepFailed
    from orchestrator.facts.build import LayerStep

_LONGEST_NAME = 200
_STEP = re.compile(r"(?:\[(?P<stage>\d+/\d+)\] )?STEP (?P<number>\d+/\d+): (?P<text>.*)")
_COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT\b.*")
_MADE = re.compile(r"--> (?:(?P<cached>Using cache) )?[0-9a-f]{11,64}")
_NO_PARENT = re.compile(r"creating build container: (?:initializing source |reading blob )?(?:docker://)?(\S+?):? (.*)")
_NOISE = re.compile(r"\[Warning\] one or more build args were not consumed: .*")


def events(lines: Iterable[str], log: BuildLog) -> Iterator[BuildEvent]:
    """The steps, lines and the end of a build, from podman's plain output; the log learns what a failure needs."""
    current = ""
    for raw in lines:
        line = raw.rstrip("\r\n")
        begins, made = _begins(line), _MADE.fullmatch(line)
        if (begins or made) and current:
            yield BuildEvent(kind="cached" if made and made["cached"] else "done", step=current)
        if begins:
            current = log.names[begins] = begins
            yield BuildEvent(kind="start", step=current)
        elif made:
            current = ""
        elif line.strip():
            yield from _of_line(current, line, log)


def _of_line(step: str, line: str, log: BuildLog) -> Iterator[BuildEvent]:
    """A line within a step, or of none: podman's error, or output."""
    if line.startswith("Error: "):
        log.failed, log.error = step, complaint(line)
        yield BuildEvent(kind="error", step=step, text=log.error)
    elif not _NOISE.fullmatch(line):
        log.add(step, line)
        if step:
            yield BuildEvent(kind="log", step=step, text=line)


def _begins(line: str) -> str:
    """The name of the step that a line begins; empty for any other line."""
    if found := _STEP.fullmatch(line):
        stage = f"{found['stage']} " if found["stage"] else ""
        text = " ".join(found["text"].split())
        return f"[{stage}{found['number']}] {text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + '…'}"
    return "exporting" if _COMMIT.fullmatch(line) else ""


def failure(step: LayerStep, log: BuildLog, code: int) -> StepFailed | EngineError:
    """Why a build failed."""
    tail = log.tail()
    if "no space left on device" in "\n".join([log.error, *tail]):
        return disk_full(f"to build `{step.name}`")
    if code < 0 and not log.error:
        return engine_gone(f"podman was killed (signal {-code}) while `{step.name}` was built", tail)
    if missing := _NO_PARENT.search(log.error):
        return no_base(step, missing[1], missing[2])
    why = re.sub(r'^building at STEP ".*": (?:while running runtime: )?', "", log.error, flags=re.DOTALL)
    return build_failed(step, log, re.sub(r"^exit status (\d+)$", r"exit code: \1", why))
