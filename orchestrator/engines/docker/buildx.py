"""One layer built by BuildKit through python-on-whales, its own events as they come.

The build's raw progress (a stream of JSON documents) becomes `BuildEvent`s and a log
file. A failure tells the step, its last lines and where the log is; what looks like
the network's or the engine's passing trouble is tried again, and said.
"""

from __future__ import annotations

import base64
import os
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines import BuildEvent
from orchestrator.engines.docker.progress import json_documents, plain_documents
from orchestrator.engines.requirements import numbers
from orchestrator.errors import EngineError, StepFailed
from orchestrator.plan.build.content import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from python_on_whales import DockerClient
    from tenacity import RetryCallState

    from orchestrator.engines import BuildSettings
    from orchestrator.facts.steps import LayerStep

ATTEMPTS = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
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
_NO_PARENT = re.compile(r"failed to resolve source metadata for (\S+): (.*)")
"""The FROM cannot be had: a registry that is down, refuses, or has no such image. Not the engine's fault."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build with what: a step, its context, and the log's place."""

    step: LayerStep
    context: Path
    labels: Mapping[str, str]
    settings: BuildSettings
    log_path: Path
    buildx: str = "0.13"


def build(client: DockerClient, order: Order, on_event: Callable[[BuildEvent], None]) -> None:
    """Build the step under its content id's tag.

    Raises:
        StepFailed: a step of the Dockerfile failed (`build-failed`).
        EngineError: the engine went away (`engine-lost`) or has no space (`engine-disk-full`).
    """
    with_attempts(lambda: _once(client, order, on_event), order, on_event)


def with_attempts(once: Callable[[], None], order: Order, on_event: Callable[[BuildEvent], None]) -> None:
    """Build with `once`, again where a failure may pass by itself; the order's log starts anew."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        text = f"{passing(error) or 'failed'}; attempt {state.attempt_number + 1} of {ATTEMPTS} follows"
        on_event(BuildEvent(kind="retry", step=order.step.name, text=text))

    order.log_path.parent.mkdir(parents=True, exist_ok=True)
    order.log_path.write_bytes(b"")
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


def _once(client: DockerClient, order: Order, on_event: Callable[[BuildEvent], None]) -> None:
    from python_on_whales.exceptions import DockerException

    step, settings = order.step, order.settings
    raw = numbers(order.buildx) >= (0, 13)
    log = Log(path=order.log_path)
    try:
        lines = client.buildx.build(
            order.context,
            builder="default",  # the engine's own: another builder has neither the parent image nor the store
            file=order.context / "Dockerfile",
            tags=[step.image],
            labels=dict(order.labels),
            secrets=[f"id={name},src={path}" for name, path in sorted(settings.secrets.items())],
            build_args={"SOURCE_DATE_EPOCH": str(EPOCH)},  # else the client hands on the user's own
            build_contexts=dict(step.contexts),
            cache=not settings.no_cache,
            network=None if settings.network == "default" else settings.network,
            platforms=[step.platform],
            provenance=False,
            cache_from=[cache(place, step) for place in settings.cache_from] or None,
            cache_to={**cache(settings.cache_to, step), "mode": "max"} if settings.cache_to else None,
            progress="rawjson" if raw else "plain",  # type: ignore[arg-type]  # handed on; the type lists older ones
            stream_logs=True,
        )
        reader = json_documents if raw else plain_documents
        with order.log_path.open("a", encoding="utf-8") as out:
            _follow(reader(lines, log.plain), log, out.write, on_event)  # type: ignore[arg-type]  # an iterator here
    except DockerException as error:
        raise _failure(step, log, str(error)) from None
    except BaseException:
        _end_client(order.context)
        raise


def cache(place: str, step: LayerStep) -> dict[str, str]:
    """Where BuildKit keeps the steps of a layer in a registry: a repository and a tag that no image of ours has."""
    return {"type": "registry", "ref": f"{place}/mlorch/cache/{step.name}:{step.platform.replace('/', '-')}"}


def _end_client(context: Path) -> None:
    """End the client of an interrupted build, and so the build: only its arguments hold this context's path."""
    mark = os.fsencode(context)
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGTERM)
        except OSError:
            continue


def _follow(
    documents: Iterable[dict[str, Any]],
    log: Log,
    write: Callable[[str], object],
    on_event: Callable[[BuildEvent], None],
) -> None:
    for document in documents:
        for event in events(document, log):
            if event.kind == "log":
                write(f"[{event.step}] {event.text}\n")
            elif event.kind in {"start", "error", "cached"}:
                write(f"-- {event.kind}: {event.step} {event.text}\n")
            on_event(event)


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
    if missing := _NO_PARENT.search(words):
        return StepFailed(
            f"the image that `{step.name}` starts from cannot be had: {missing[1]}: {missing[2]}",
            hint="check the registry and the digest, or choose another base: `--base-source bootstrap`",
            slug="no-base",
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
