"""Questions that the Docker Engine API answers without Docker's SDK: images, containers, facts.

`mlorch plan` and a build that finds everything ask nothing but "is this image there?"; the
SDK takes ten times as long to import as an engine takes to answer. On a unix socket the
standard library's sockets do; for an engine elsewhere `docker.engine` hands in the SDK's session.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from orchestrator.engines.docker.hosts import socket_path
from orchestrator.engines.inventory import container_facts, image_facts
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.engines.inventory import ContainerFacts, ImageFacts

_T = TypeVar("_T")
_TIMEOUT_S = 30.0
_OK, _NOT_FOUND = 200, 404
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
        return {tag: dict(item.get("Labels") or {}) for item in found for tag in item.get("RepoTags") or ()}

    def _inspected(self, found: list[dict[str, Any]]) -> list[ImageFacts]:
        # The list counts what an image takes on disk; an inspection may count only what was sent.
        sizes = {tag: int(item.get("Size") or 0) for item in found for tag in item.get("RepoTags") or ()}
        images = self.images(list(sizes))
        return [replace(facts, size=sizes[tag]) for tag, facts in images.items() if facts is not None]

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label (``name`` or ``name=value``), running or not."""
        found = self._list(f"/containers/json?all=1&{_filters(label=[label])}")
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
        path = f"/images/{quote(reference, safe='/:@')}/json"
        status, body = self._ask("GET", path, frozenset({_OK, _NOT_FOUND}))
        if status == _NOT_FOUND:
            return None
        answer = self._parsed(body, dict)
        return image_facts(reference, answer, _own_digest(reference, answer.get("RepoDigests") or ()))

    def _ask(self, method: str, path: str, good: frozenset[int]) -> tuple[int, bytes]:
        try:
            status, body = self.send(method, path)
        except (OSError, ValueError) as error:
            raise engine_lost(self.host, str(error)) from error
        if status not in good:
            answer = body[:200].decode(errors="replace").strip()
            raise EngineError(f"the engine at {self.host} refused: status {status}: {answer}", slug="engine-refused")
        return status, body

    def _parsed(self, body: bytes, kind: type[_T]) -> _T:
        """The answer's JSON, a list or an object."""
        try:
            found = json.loads(body)
        except ValueError as error:
            raise engine_lost(self.host, str(error)) from error
        if not isinstance(found, kind):
            raise engine_lost(self.host, "what it says is not what a Docker engine would say")
        return found


def socket_lookup(host: str, timeout_s: float = _TIMEOUT_S) -> Lookup | None:
    """A `Lookup` over the unix socket that ``host`` names; None where it names none."""
    path = socket_path(host)
    return None if path is None else Lookup(host, partial(_send, path, timeout_s))


def engine_lost(host: str, why: str) -> EngineError:
    """The engine at ``host`` answered before, and does not any more."""
    return EngineError(
        f"the engine at {host} stopped answering: {why}",
        hint="see `mlorch doctor`; `mlorch engine ensure` starts mlorch's own engine again",
        slug="engine-lost",
    )


def ping(path: str) -> bool:
    """Whether an engine answers on the unix socket `path`."""
    try:
        status, _ = _send(path, _TIMEOUT_S, "GET", "/_ping")
    except (OSError, ValueError):
        return False
    return status == _OK


def _send(path: str, timeout_s: float, method: str, target: str) -> tuple[int, bytes]:
    """One question over a unix socket. By HTTP/1.0, where an answer is whole when the connection ends.

    `http.client` would do the same, and costs more to import than all questions of a plan together.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(path)
        connection.sendall(f"{method} {target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("ascii"))
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("it broke off, or speaks no HTTP")
    return int(words[1]), body


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
