"""What `podman build` prints, as events; and the story of one that failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.engines import BuildEvent
from orchestrator.engines.docker.buildx import LAST_LINES
from orchestrator.engines.podman.cli import complaint
from orchestrator.errors import EngineError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.engines.docker.buildx import Log
    from orchestrator.facts.steps import LayerStep

_LONGEST_NAME = 200
_STEP = re.compile(r"(?:\[(?P<stage>\d+/\d+)\] )?STEP (?P<number>\d+/\d+): (?P<text>.*)")
_COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT\b.*")
_MADE = re.compile(r"--> (?:(?P<cached>Using cache) )?[0-9a-f]{11,64}")
_NO_PARENT = re.compile(r"creating build container: (?:initializing source |reading blob )?(.*)")
_NOISE = re.compile(r"\[Warning\] one or more build args were not consumed: .*")


def events(lines: Iterable[str], log: Log) -> Iterator[BuildEvent]:
    """The steps, lines and the end of a build, from podman's plain output; the log learns what a story needs."""
    current = ""
    for raw in lines:
        line = raw.rstrip("\r\n")
        begins = _begins(line)
        made = _MADE.fullmatch(line)
        if (begins or made) and current:
            yield BuildEvent(kind="cached" if made and made["cached"] else "done", step=current)
        if begins:
            current = log.names[begins] = begins
            yield BuildEvent(kind="start", step=current)
        elif made:
            current = ""
        elif line.startswith("Error: "):
            log.failed, log.error = current, complaint(line)
            yield BuildEvent(kind="error", step=current, text=log.error)
        elif line.strip() and not _NOISE.fullmatch(line):
            kept = log.lines.setdefault(current, [])
            kept.append(line)
            del kept[:-200]
            if current:
                yield BuildEvent(kind="log", step=current, text=line)


def _begins(line: str) -> str:
    """The name of the step that a line begins; empty for any other line."""
    if found := _STEP.fullmatch(line):
        stage = f"{found['stage']} " if found["stage"] else ""
        text = " ".join(found["text"].split())
        return f"[{stage}{found['number']}] {text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + '…'}"
    return "exporting" if _COMMIT.fullmatch(line) else ""


def note(event: BuildEvent, write: Callable[[str], object]) -> None:
    if event.kind == "log":
        write(f"[{event.step}] {event.text}\n")
    elif event.kind in {"start", "error", "cached"}:
        write(f"-- {event.kind}: {event.step} {event.text}\n")


def failure(step: LayerStep, log: Log, code: int) -> StepFailed | EngineError:
    """The story of a failed build."""
    tail = log.lines.get(log.failed, [])[-LAST_LINES:]
    text = "\n".join([log.error, *tail])
    if "no space left on device" in text:
        return EngineError(
            f"the engine has no space left to build `{step.name}`",
            hint="free space where the engine keeps images (`mlorch doctor` says where), then run it again",
            slug="engine-disk-full",
        )
    if code < 0 and not log.error:
        return EngineError(
            f"podman was killed (signal {-code}) while `{step.name}` was built",
            hint="see `mlorch doctor`; what was built before is kept",
            slug="engine-lost",
            detail="\n".join(tail),
        )
    if missing := _NO_PARENT.search(log.error):
        return StepFailed(
            f"the image that `{step.name}` starts from cannot be had: {missing[1]}",
            hint="check the registry and the digest, or choose another base: `--base-source bootstrap`",
            slug="no-base",
        )
    name = log.names.get(log.failed, "")
    why = re.sub(r'^building at STEP ".*": (?:while running runtime: )?', "", log.error, flags=re.DOTALL)
    why = re.sub(r"^exit status (\d+)$", r"exit code: \1", why)
    return StepFailed(
        f"building layer `{step.name}` failed{f' at: {name}' if name else ''}{f': {why}' if why else ''}",
        hint=f"the whole log is in {log.path}",
        slug="build-failed",
        detail="\n".join(tail or [log.error]),
    )
