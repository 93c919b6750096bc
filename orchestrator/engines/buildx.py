"""One layer built by BuildKit through python-on-whales, its own events as they come.

The build's raw progress (a stream of JSON documents) becomes `BuildEvent`s and a log
file. A failure tells the step, its last lines and where the log is; what looks like
the network's or the engine's passing trouble is tried again, and said.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from orchestrator.engines import BuildEvent
from orchestrator.errors import EngineError, StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from python_on_whales import DockerClient

    from orchestrator.engines import BuildSettings
    from orchestrator.model.steps import LayerStep

ATTEMPTS = 3
LAST_LINES = 20

_PASSING = re.compile(
    r"i/o timeout|connection reset by peer|TLS handshake timeout|[Tt]emporary failure in name resolution"
    r"|Temporary failure resolving|Connection timed out|50[234] (?:Bad Gateway|Service|Gateway)|unexpected EOF"
    r"|Read timed out|Connection broken|toomanyrequests|429 Too Many Requests"
)
_ENGINE_GONE = re.compile(
    r"Cannot connect to the Docker daemon|error during connect|connection refused|transport is closing"
    r"|code = Unavailable|closed the connection|no such file or directory: .*\.sock|error reading from server: EOF"
    r"|failed to receive status|no active session|code = Canceled",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left on device")


@dataclass(slots=True)
class Log:
    """What a build said so far: per step its name and last lines, and everything in a file."""

    path: Path
    names: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    failed: str = ""
    error: str = ""
    plain: list[str] = field(default_factory=list)


def build(
    client: DockerClient,
    step: LayerStep,
    context: Path,
    labels: Mapping[str, str],
    settings: BuildSettings,
    log_path: Path,
    on_event: Callable[[BuildEvent], None],
) -> None:
    """Build `step` in `context` under its content id's tag.

    Raises:
        StepFailed: a step of the Dockerfile failed (`build-failed`).
        EngineError: the engine went away (`engine-lost`) or has no space (`engine-disk-full`).
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

    def passing(error: BaseException) -> bool:
        return isinstance(error, StepFailed) and bool(_PASSING.search(error.detail))

    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(initial=1, max=10),
        retry=retry_if_exception(passing),
        reraise=True,
        before_sleep=lambda state: on_event(
            BuildEvent(
                kind="retry",
                step=step.name,
                text=f"the network failed; attempt {state.attempt_number + 1} of {ATTEMPTS}",
            )
        ),
    )
    retrying(_once, client, step, context, labels, settings, log_path, on_event)


def _once(
    client: DockerClient,
    step: LayerStep,
    context: Path,
    labels: Mapping[str, str],
    settings: BuildSettings,
    log_path: Path,
    on_event: Callable[[BuildEvent], None],
) -> None:
    from python_on_whales.exceptions import DockerException

    log = Log(path=log_path)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lines = client.buildx.build(
            context,
            file=context / "Dockerfile",
            tags=[step.image],
            labels=dict(labels),
            secrets=[f"id={name},src={path}" for name, path in sorted(settings.secrets.items())],
            build_args=dict(settings.proxies),
            build_contexts=dict(step.contexts),
            network=None if settings.network == "default" else settings.network,
            platforms=[step.platform],
            provenance=False,
            progress="rawjson",  # type: ignore[arg-type]  # python-on-whales hands it on; its type lists older ones
            stream_logs=True,
        )
        with log_path.open("w", encoding="utf-8") as out:
            _follow(lines, log, out.write, on_event)  # type: ignore[arg-type]  # an iterator with stream_logs
    except DockerException as error:
        raise _failure(step, log, str(error)) from None


def _follow(
    lines: Iterable[str], log: Log, write: Callable[[str], object], on_event: Callable[[BuildEvent], None]
) -> None:
    for document in documents(lines, log.plain):
        for event in events(document, log):
            if event.kind == "log":
                write(f"[{event.step}] {event.text}\n")
            elif event.kind in {"start", "error", "cached"}:
                write(f"-- {event.kind}: {event.step} {event.text}\n")
            on_event(event)


def documents(lines: Iterable[str], plain: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON documents in a stream of lines (pretty-printed or one a line); other lines go to `plain`."""
    decoder = json.JSONDecoder()
    held = ""
    for line in lines:
        if not held and not line.lstrip().startswith("{"):
            if line.strip():
                plain.append(line.rstrip())
            continue
        held += line
        try:
            document, end = decoder.raw_decode(held.lstrip())
        except ValueError:
            continue
        held = held.lstrip()[end:].lstrip()
        if isinstance(document, dict):
            yield document
    if held.strip():
        plain.append(held.strip())


def events(document: Mapping[str, Any], log: Log) -> Iterator[BuildEvent]:
    """What one progress document says; the log learns names, last lines and the failure."""
    for vertex in document.get("vertexes") or ():
        digest, name = str(vertex.get("digest", "")), str(vertex.get("name", ""))
        log.names[digest] = name
        if vertex.get("error"):
            log.failed, log.error = digest, str(vertex["error"])
            yield BuildEvent(kind="error", step=name, text=log.error)
        elif vertex.get("cached"):
            yield BuildEvent(kind="cached", step=name)
        elif vertex.get("completed"):
            yield BuildEvent(kind="done", step=name)
        elif vertex.get("started"):
            yield BuildEvent(kind="start", step=name)
    for status in document.get("statuses") or ():
        name = log.names.get(str(status.get("vertex", "")), "")
        yield BuildEvent(
            kind="progress",
            step=name,
            text=str(status.get("id") or status.get("name") or ""),
            current=int(status.get("current") or 0),
            total=int(status.get("total") or 0),
        )
    for entry in document.get("logs") or ():
        digest = str(entry.get("vertex", ""))
        text = base64.b64decode(entry.get("data") or "").decode("utf-8", "replace")
        for line in text.splitlines():
            kept = log.lines.setdefault(digest, [])
            kept.append(line)
            del kept[:-200]
            yield BuildEvent(kind="log", step=log.names.get(digest, ""), text=line)


def _failure(step: LayerStep, log: Log, said: str) -> StepFailed | EngineError:
    """The story of a failed build, from its own events first and the client's words second."""
    tail = log.lines.get(log.failed, [])[-LAST_LINES:]
    words = "\n".join([log.error, *tail, *log.plain[-LAST_LINES:], said])
    with log.path.open("a", encoding="utf-8") as out:
        out.write("\n".join([log.error, *log.plain]) + "\n")
    if _NO_SPACE.search(words):
        return EngineError(
            f"the engine has no space left to build `{step.name}`",
            hint="free space where the engine keeps images (`mlorch doctor` says where), then run it again",
            slug="engine-disk-full",
        )
    if not tail and _ENGINE_GONE.search(words):
        return EngineError(
            f"the engine went away while `{step.name}` was built",
            hint="see `mlorch doctor`; what was built before is kept",
            slug="engine-lost",
            detail="\n".join(log.plain[-LAST_LINES:]),
        )
    name = log.names.get(log.failed, "")
    detail = "\n".join(tail or log.plain[-LAST_LINES:] or [log.error])
    return StepFailed(
        f"building layer `{step.name}` failed{f' at: {name}' if name else ''}"
        + (f": {log.error}" if log.error else ""),
        hint=f"the whole log is in {log.path}",
        slug="build-failed",
        detail=detail,
    )
