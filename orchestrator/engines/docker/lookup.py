"""Questions that the Docker Engine API answers without Docker's SDK: images, containers, facts.

`mlorch plan` and a build that finds everything ask nothing but "is this image there?"; the
SDK takes ten times as long to import as an engine takes to answer. On a unix socket the
standard library's sockets do; for an engine elsewhere `docker.engine` hands in the SDK's session.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from orchestrator.engines.docker.hosts import socket_path
from orchestrator.engines.inventory import container_facts, image_facts, understood
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from orchestrator.engines.inventory import ContainerFacts, ImageFacts

_T = TypeVar("_T")
_TIMEOUT_S = 30.0
"""How long one question may take in all, however busy the engine is and however its answer trickles."""
SILENT_S = 2.0
"""After how long an engine that has not answered is asked whether it is there."""
_STARTING_S = 20.0
"""How long it then has to say so: a daemon that systemd starts at the first question takes its time."""
_LARGEST = 256 * 2**20
"""Bytes of an answer; the list of a thousand images has some millions."""
_OK, _NOT_FOUND, _FAULT = 200, 404, 500
_HALF_REMOVED = re.compile(rb"content digest \S+: not found")
"""Of an image whose name is still there, and whose bytes a prune has just taken away."""
_MOST_WORDS = 500
_REMOVED = frozenset({204, _NOT_FOUND, 409})
"""Answers to a removal that leave no container: done, gone before, another one removes it right now."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What can be asked of the engine at ``host``; ``send`` takes a method and a path, and gives status and body.

    Every method raises `EngineError`: `engine-lost` where it stopped answering, `engine-refused` where it refuses.
    """

    host: str
    send: Callable[[str, str], tuple[int, bytes]]

    def images(self, references: Sequence[str]) -> dict[str, ImageFacts | None]:
        """The images with these references, None for one that is not there."""
        return {reference: self._image(reference) for reference in references}

    def labelled(self, label: str) -> list[ImageFacts]:
        """Every tagged image with this label (``name`` or ``name=value``)."""
        return self._inspected(self._list(f"/images/json?{_filters(label=[label], dangling=['false'])}"))

    def labels_in(self, repository: str) -> dict[str, dict[str, str]]:
        """The labels of every image of this repository, by reference.

        The engine counts the bytes of every image that it lists, and reads all that it has to find those with a
        label: where it has hundreds, that takes a second or more, and this some milliseconds.
        """
        found = self._list(f"/images/json?{_filters(reference=[repository])}")
        with self._understood():
            return {str(tag): dict(item.get("Labels") or {}) for item in found for tag in item.get("RepoTags") or ()}

    def _inspected(self, found: list[dict[str, Any]]) -> list[ImageFacts]:
        # The list counts what an image takes on disk; an inspection may count only what was sent.
        with self._understood():
            sizes = {str(tag): int(item.get("Size") or 0) for item in found for tag in item.get("RepoTags") or ()}
        images = self.images(list(sizes))
        return [replace(facts, size=sizes[tag]) for tag, facts in images.items() if facts is not None]

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label (``name`` or ``name=value``), running or not."""
        found = self._list(f"/containers/json?all=1&{_filters(label=[label])}")
        with self._understood():
            return [container_facts(item) for item in found]

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        self._ask("DELETE", f"/containers/{quote(container_id)}?force=1&v=1", _REMOVED)

    def container(self, name: str) -> dict[str, Any] | None:
        """The engine's answer to the inspection of a container; None where there is none of this name or id."""
        status, body = self._ask("GET", f"/containers/{quote(name)}/json", frozenset({_OK, _NOT_FOUND}))
        return None if status == _NOT_FOUND else self._parsed(body, dict)

    def document(self, path: str) -> dict[str, Any]:
        """The object that the engine answers with."""
        return self._parsed(self._ask("GET", path, frozenset({_OK}))[1], dict)

    def _list(self, path: str) -> list[dict[str, Any]]:
        return self._parsed(self._ask("GET", path, frozenset({_OK}))[1], list)

    def _image(self, reference: str) -> ImageFacts | None:
        path = f"/images/{quote(reference, safe='/:@', errors='replace')}/json"
        status, body = self._ask("GET", path, frozenset({_OK, _NOT_FOUND, _FAULT}))
        if status == _NOT_FOUND or (status == _FAULT and _HALF_REMOVED.search(body)):
            return None
        if status == _FAULT:
            raise self._refused(status, body)
        answer = self._parsed(body, dict)
        with self._understood():
            return image_facts(reference, answer, _own_digest(reference, answer.get("RepoDigests") or ()))

    def _understood(self) -> AbstractContextManager[None]:
        return understood(f"the engine at {self.host}")

    def _ask(self, method: str, path: str, good: frozenset[int]) -> tuple[int, bytes]:
        try:
            status, body = self.send(method, path)
        except TimeoutError as error:
            raise engine_lost(self.host, "it says nothing") from error
        except (OSError, ValueError) as error:
            raise engine_lost(self.host, str(error)) from error
        if status not in good:
            raise self._refused(status, body)
        return status, body

    def _refused(self, status: int, body: bytes) -> EngineError:
        words = body.decode(errors="replace").strip()
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            words = str(json.loads(words)["message"])
        said = f"the engine at {self.host} refused: status {status}: {words[:_MOST_WORDS]}"
        return EngineError(said, hint="see `mlorch doctor`", slug="engine-refused")

    def _parsed(self, body: bytes, kind: type[_T]) -> _T:
        """The answer's JSON, a list or an object."""
        with self._understood():
            found = json.loads(body)
            if not isinstance(found, kind):
                raise TypeError(f"{kind.__name__} expected, {type(found).__name__} found")
            return found


def socket_lookup(host: str, timeout_s: float = _TIMEOUT_S, silent_s: float | None = None) -> Lookup | None:
    """A `Lookup` over the unix socket that ``host`` names; None where it names none.

    An engine that says nothing for ``silent_s`` (`SILENT_S`) is asked whether it is there. It has as long to say so
    where ``silent_s`` is given, else as long as a daemon may take to start.
    """
    path = socket_path(host)
    doubt_s, there_s = (SILENT_S, _STARTING_S) if silent_s is None else (silent_s, silent_s)
    return None if path is None else Lookup(host, partial(_send, path, timeout_s, doubt_s, there_s))


def engine_lost(host: str, why: str) -> EngineError:
    """The engine at ``host`` answered before, and does not any more."""
    return EngineError(
        f"the engine at {host} stopped answering: {why}",
        hint="see `mlorch doctor`; `mlorch engine ensure` starts mlorch's own engine again",
        slug="engine-lost",
    )


def ping(path: str, timeout_s: float = _TIMEOUT_S) -> bool:
    """Whether an engine answers on the unix socket `path`."""
    try:
        status, _ = _exchange(path, "GET", "/_ping", time.monotonic() + timeout_s)
    except (OSError, ValueError):
        return False
    return status == _OK


def _send(path: str, timeout_s: float, doubt_s: float, there_s: float, method: str, target: str) -> tuple[int, bytes]:
    """One question over a unix socket: given up after ``timeout_s``, or earlier where nobody is there."""
    began = time.monotonic()

    def is_there() -> bool:
        return ping(path, there_s)

    return _exchange(path, method, target, began + timeout_s, began + doubt_s, is_there)


def _exchange(
    path: str,
    method: str,
    target: str,
    until: float,
    doubt_at: float = float("inf"),
    is_there: Callable[[], bool] = bool,
) -> tuple[int, bytes]:
    """Status and body, had before ``until``; where they are not there at ``doubt_at``, ``is_there`` decides.

    By HTTP/1.0, where an answer is whole when the connection ends. `http.client` would do the same, and costs
    more to import than all questions of a plan together.
    """
    answer = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_left(min(until, doubt_at)))
        connection.connect(path)
        connection.sendall(f"{method} {target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("ascii"))
        while True:
            try:
                connection.settimeout(_left(min(until, doubt_at)))
                chunk = connection.recv(1 << 16)
            except TimeoutError:
                if doubt_at > until or not is_there():
                    raise
                doubt_at = float("inf")
                continue
            if not chunk:
                break
            answer += chunk
            if len(answer) > _LARGEST:
                raise ValueError(f"its answer has more than {_LARGEST:,} bytes")
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("it broke off, or speaks no HTTP")
    return int(words[1]), body


def _left(until: float) -> float:
    """Seconds until then. Raises `TimeoutError` where there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("it does not answer")
    return left


def _filters(**filters: list[str]) -> str:
    return f"filters={quote(json.dumps(filters))}"


def _own_digest(reference: str, names: Sequence[str]) -> str:
    """The digest of the image's own name. A pulled image has it under the registry's name, which ends as ours does."""
    tail = (reference.rpartition(":")[0] or reference).removeprefix("localhost")
    for name in names:
        repository, _, digest = name.rpartition("@")
        if repository.endswith(tail):
            return digest
    return ""
