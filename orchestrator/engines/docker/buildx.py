"""One layer built by BuildKit through python-on-whales, its own events as they come.

buildx 0.13 and newer print BuildKit's status as JSON documents (`--progress=rawjson`). Of an older
one the plain lines are read (``#7 [2/3] RUN …``, ``#7 0.123 text``, ``#7 DONE 1.2s``) into
documents of the same form: ``vertexes`` and ``logs``. They become `BuildEvent`s.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines.builds import (
    LAST_LINES,
    BuildLog,
    build_failed,
    engine_gone,
    follow,
    no_base,
    with_attempts,
)
from orchestrator.engines.model import BuildEvent, numbers
from orchestrator.engines.refusals import disk_full
from orchestrator.plan.build.content import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from python_on_whales import DockerClient

    from orchestrator.engines.builds import BuildRequest
    from orchestrator.errors import EngineError, StepFailed
    from orchestrator.facts.build import LayerStep

_RAW_SINCE = (0, 13)
"""The first buildx that prints BuildKit's status as JSON."""
_ENGINE_GONE = re.compile(
    r"Cannot connect to the Docker daemon|error during connect|connection refused|transport is closing"
    r"|code = Unavailable|closed the connection|no such file or directory: .*\.sock|error reading from server: EOF"
    r"|failed to receive status|no active session|code = Canceled",
    re.IGNORECASE,
)
_NO_PARENT = re.compile(r"failed to resolve source metadata for (\S+): (.*)")
"""The FROM cannot be had: a registry that is down, refuses, or has no such image. Not the engine's fault."""
_NO_SPACE = re.compile(r"no space left on device")

_NUMBERED = re.compile(r"#(?P<number>\d+) (?P<rest>.*)", re.DOTALL)
_LOGGED = re.compile(r"(?P<seconds>\d+\.\d+) (?P<text>.*)", re.DOTALL)
_ENDED = re.compile(r"(?P<word>DONE|CACHED|CANCELED|ERROR)\b:? ?(?P<text>.*)", re.DOTALL)


def build(client: DockerClient, request: BuildRequest, buildx: str, on_event: Callable[[BuildEvent], None]) -> None:
    """Build the step under its content id's tag; ``buildx`` is the version that the client has.

    Raises:
        StepFailed: a step of the Dockerfile failed (`build-failed`).
        EngineError: the engine went away (`engine-lost`) or has no space (`engine-disk-full`).
    """
    raw = numbers(buildx) >= _RAW_SINCE
    with_attempts(lambda: _once(client, request, on_event, raw=raw), request, on_event)


def _once(client: DockerClient, request: BuildRequest, on_event: Callable[[BuildEvent], None], *, raw: bool) -> None:
    from python_on_whales.exceptions import DockerException

    step, settings = request.step, request.settings
    log = BuildLog(path=request.log_path)
    try:
        lines = client.buildx.build(
            request.context,
            builder="default",  # the engine's own: another builder has neither the parent image nor the store
            file=request.context / "Dockerfile",
            tags=[step.image],
            labels=dict(request.labels),
            secrets=[f"id={name},src={path}" for name, path in sorted(settings.secrets.items())],
            build_args={"SOURCE_DATE_EPOCH": str(EPOCH)},  # else the client hands on the user's own
            build_contexts=dict(step.contexts),
            cache=not settings.no_cache,
            network=None if settings.network == "default" else settings.network,
            platforms=[step.platform],
            provenance=False,
            cache_from=[cache(prefix, step) for prefix in settings.cache_from] or None,
            cache_to={**cache(settings.cache_to, step), "mode": "max"} if settings.cache_to else None,
            progress="rawjson" if raw else "plain",  # type: ignore[arg-type]  # handed on; the type lists older ones
            stream_logs=True,
        )
        reader = json_documents if raw else plain_documents
        follow(events(reader(lines, log.plain), log), log, on_event)  # type: ignore[arg-type]  # an iterator here
    except DockerException as error:
        raise _failure(step, log, str(error)) from None
    except BaseException:
        _end_client(request.context)
        raise


def cache(prefix: str, step: LayerStep) -> dict[str, str]:
    """Where BuildKit keeps the steps of a layer in a registry: a repository and a tag that no image of ours has."""
    return {"type": "registry", "ref": f"{prefix}/mlorch/cache/{step.name}:{step.platform.replace('/', '-')}"}


def _end_client(context: Path) -> None:
    """End the client of an interrupted build, and so the build: only its arguments hold this context's path."""
    mark = os.fsencode(context)
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGTERM)
        except OSError:
            continue


# -- progress ----------------------------------------------------------------------------


def json_documents(lines: Iterable[str], plain: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON documents in a stream of lines (pretty-printed or one a line); other lines go to `plain`."""
    decoder = json.JSONDecoder()
    held = ""
    for line in lines:
        if not held and not line.lstrip().startswith("{"):
            if line.strip():
                plain.append(line.rstrip())
            continue
        held += line
        if not line.rstrip().endswith("}"):  # a document ends with its brace; parsing before is wasted
            continue
        try:
            document, end = decoder.raw_decode(held.lstrip())
        except ValueError:
            continue
        held = held.lstrip()[end:].lstrip()
        if isinstance(document, dict):
            yield document
    if held.strip():
        plain.append(held.strip())


def plain_documents(lines: Iterable[str], plain: list[str]) -> Iterator[dict[str, Any]]:
    """The same documents out of plain progress lines; what belongs to no step goes to `plain`."""
    names: dict[str, str] = {}
    for raw in lines:
        line = raw.rstrip("\r\n")
        match = _NUMBERED.fullmatch(line)
        if match is None:
            if line.strip():
                plain.append(line)
            continue
        digest, rest = f"#{match['number']}", match["rest"]
        if digest not in names:
            names[digest] = rest
            yield {"vertexes": [{"digest": digest, "name": rest, "started": "1"}]}
        elif ended := _ENDED.fullmatch(rest):
            yield {"vertexes": [_end(digest, names[digest], ended["word"], ended["text"])]}
        elif logged := _LOGGED.fullmatch(rest):
            data = base64.b64encode(f"{logged['text']}\n".encode()).decode()
            yield {"logs": [{"vertex": digest, "data": data}]}


def _end(digest: str, name: str, word: str, text: str) -> dict[str, Any]:
    vertex: dict[str, Any] = {"digest": digest, "name": name, "started": "1", "completed": "1"}
    if word == "CACHED":
        vertex["cached"] = True
    elif word in {"ERROR", "CANCELED"}:
        vertex["error"] = text or word.lower()
    return vertex


def events(documents: Iterable[Mapping[str, Any]], log: BuildLog) -> Iterator[BuildEvent]:
    """What BuildKit's documents say; the log learns names, last lines and the failure."""
    for document in documents:
        for vertex in document.get("vertexes") or ():
            yield from _of_vertex(vertex, log)
        for status in document.get("statuses") or ():
            yield _of_status(status, log)
        for entry in document.get("logs") or ():
            yield from _of_output(entry, log)


def _of_vertex(vertex: Mapping[str, Any], log: BuildLog) -> Iterator[BuildEvent]:
    """A step that begins, ends, fails, or is there already."""
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


def _of_status(status: Mapping[str, Any], log: BuildLog) -> BuildEvent:
    """How far a step is."""
    return BuildEvent(
        kind="progress",
        step=log.names.get(str(status.get("vertex", "")), ""),
        text=str(status.get("id") or status.get("name") or ""),
        current=int(status.get("current") or 0),
        total=int(status.get("total") or 0),
    )


def _of_output(entry: Mapping[str, Any], log: BuildLog) -> Iterator[BuildEvent]:
    """What a step printed."""
    digest = str(entry.get("vertex", ""))
    text = base64.b64decode(entry.get("data") or "").decode("utf-8", "replace")
    for line in text.splitlines():
        log.add(digest, line)
        yield BuildEvent(kind="log", step=log.names.get(digest, ""), text=line)


def _failure(step: LayerStep, log: BuildLog, client_error: str) -> StepFailed | EngineError:
    """Why a build failed: from its own events first, from the client's words second."""
    tail = log.tail()
    words = "\n".join([log.error, *tail, *log.plain[-LAST_LINES:], client_error])
    with log.path.open("a", encoding="utf-8") as out:
        out.write("\n".join([log.error, *log.plain]) + "\n")
    if _NO_SPACE.search(words):
        return disk_full(f"to build `{step.name}`")
    if missing := _NO_PARENT.search(words):
        return no_base(step, missing[1], missing[2])
    if not tail and _ENGINE_GONE.search(words):
        return engine_gone(f"the engine went away while `{step.name}` was built", log.plain[-LAST_LINES:])
    return build_failed(step, log, log.error)
