"""One build of a layer, whatever builds it: the request, its output so far, and what its failure means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.engines.model import BuildEvent
from orchestrator.engines.refusals import KEEP_OFF
from orchestrator.errors import EngineError, StepFailed
from orchestrator.host.folders import cache_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tenacity import RetryCallState

    from orchestrator.engines.inventory import ImageFacts
    from orchestrator.facts.build import LayerStep
    from orchestrator.facts.build_settings import BuildSettings

ATTEMPTS = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
LAST_LINES = 20
_MEMORY_LINES = 200

_PASSING = re.compile(
    r"i/o timeout|connection reset by peer|TLS handshake timeout|[Tt]emporary failure in name resolution"
    r"|Temporary failure resolving|Connection timed out|50[234] (?:Bad Gateway|Service|Gateway)|unexpected EOF"
    r"|Read timed out|Connection broken|toomanyrequests|429 Too Many Requests"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build with what: a step, its context folder, labels, and what the site gives."""

    step: LayerStep
    context: Path
    labels: Mapping[str, str]
    settings: BuildSettings

    @property
    def log_path(self) -> Path:
        """The file that gets everything which the build says."""
        return cache_home() / "logs" / f"{self.step.name}-{self.step.content_id[:12]}.log"


@dataclass(slots=True)
class BuildLog:
    """What a build printed so far: per step its name and last lines, and everything in a file."""

    path: Path
    names: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    failed: str = ""
    """The step that failed."""
    error: str = ""
    plain: list[str] = field(default_factory=list)
    """What the client printed outside of any step."""

    def add(self, step: str, line: str) -> None:
        """A line of a step's output."""
        known = self.lines.setdefault(step, [])
        known.append(line)
        del known[:-_MEMORY_LINES]

    def tail(self) -> list[str]:
        """The last lines of the step that failed."""
        return self.lines.get(self.failed, [])[-LAST_LINES:]


def follow(events: Iterable[BuildEvent], log: BuildLog, on_event: Callable[[BuildEvent], None]) -> None:
    """Write the events of a build into its log file and hand them on."""
    with log.path.open("a", encoding="utf-8") as out:
        for event in events:
            if event.kind == "log":
                out.write(f"[{event.step}] {event.text}\n")
            elif event.kind in {"start", "error", "cached"}:
                out.write(f"-- {event.kind}: {event.step} {event.text}\n")
            on_event(event)


def with_attempts(once: Callable[[], None], request: BuildRequest, on_event: Callable[[BuildEvent], None]) -> None:
    """Build with `once`, again where a failure may pass by itself; the request's log starts anew."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        text = f"{passing(error) or 'failed'}; attempt {state.attempt_number + 1} of {ATTEMPTS} follows"
        on_event(BuildEvent(kind="retry", step=request.step.name, text=text))

    request.log_path.parent.mkdir(parents=True, exist_ok=True)
    request.log_path.write_bytes(b"")
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        retry=retry_if_exception(lambda error: bool(passing(error))),
        reraise=True,
        before_sleep=say,
    )
    retrying(once)


def passing(error: BaseException | None) -> str:
    """The words of a failure that may be gone the next time (a network's); empty for any other."""
    if not isinstance(error, StepFailed):
        return ""
    found = _PASSING.search(f"{error.message}\n{error.detail}")
    return found.group() if found else ""


def built(request: BuildRequest, facts: ImageFacts | None) -> ImageFacts:
    """The image that a build made. Raises `EngineError` (`not-loaded`) where the engine does not hold it."""
    return held(facts, request.step.image, f"; the build's log is {request.log_path}")


def held(facts: ImageFacts | None, image: str, more: str = "") -> ImageFacts:
    """The image that was just built or pulled; `EngineError` (`not-loaded`) where the engine does not hold it."""
    if facts is None:
        raise EngineError(
            f"the engine got {image}, but does not hold it",
            hint=f"was it removed meanwhile? {KEEP_OFF}{more}",
            slug="not-loaded",
        )
    return facts


def no_base(step: LayerStep, image: str, why: str) -> StepFailed:
    """The ``image`` of FROM cannot be had: a registry that is down, refuses, or has no such image.

    The layer below is no registry's: it was in the engine when this build began.
    """
    if image == step.parent:
        return StepFailed(
            f"the layer that `{step.name}` starts from was removed while it was built: {image}",
            hint=KEEP_OFF,
            slug="parent-removed",
        )
    return StepFailed(
        f"the image that `{step.name}` starts from cannot be had: {image}: {why}",
        hint="check the registry and the digest, or choose another base: `--base-source bootstrap`",
        slug="no-base",
    )


def engine_gone(what: str, detail: Iterable[str]) -> EngineError:
    """The engine, or its program, ended during a build."""
    return EngineError(
        what, hint="see `mlorch doctor`; what was built before is kept", slug="engine-lost", detail="\n".join(detail)
    )


def build_failed(step: LayerStep, log: BuildLog, why: str) -> StepFailed:
    """A step of the Dockerfile failed: which one, why, and its last lines."""
    message = f"building layer `{step.name}` failed"
    if name := log.names.get(log.failed, ""):
        message += f" at: {name}"
    if why:
        message += f": {why}"
    last = log.tail() or log.plain[-LAST_LINES:] or [log.error]
    return StepFailed(message, hint=f"the whole log is in {log.path}", slug="build-failed", detail="\n".join(last))
