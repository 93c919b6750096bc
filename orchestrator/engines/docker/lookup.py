"""Image look-ups over the engine's unix socket, with the standard library alone.

`mlorch plan` and a build that finds everything ask nothing but "is this image
there?"; importing a docker client for that would cost ten times the question.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from orchestrator.engines import ContainerFacts, ImageFacts
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TIMEOUT_S = 30.0
_SWEEP_TIMEOUT_S = 10.0
_REMOVED = frozenset({http.client.NO_CONTENT, http.client.NOT_FOUND, http.client.CONFLICT})
"""Answers to a removal that leave no container: done, gone before, another one removes it right now."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float = _TIMEOUT_S) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def fast_lookup(host: str) -> Callable[[Sequence[str]], dict[str, ImageFacts | None]] | None:
    """A look-up on `host`, or None where it is no unix socket or nothing listens there.

    The function that it gives asks for several references over one connection; an
    image that is not there is None.

    Raises (the function):
        EngineError: the engine stopped answering.
    """
    path = host.removeprefix("unix://")
    if path == host or not _listens(path):
        return None

    def look_up(references: Sequence[str]) -> dict[str, ImageFacts | None]:
        connection = _UnixConnection(path)
        try:
            return {reference: _image(connection, reference) for reference in references}
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EngineError(
                f"the engine at {host} stopped answering: {error}", hint="see `mlorch doctor`", slug="engine-lost"
            ) from error
        finally:
            connection.close()

    return look_up


@dataclass(frozen=True, slots=True)
class Containers:
    """Finds and removes containers over a unix socket: what a sweep needs, without a docker client."""

    path: str

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label (``name`` or ``name=value``), running or not. Raises `EngineError`."""
        filters = quote(json.dumps({"label": [label]}))
        body = self._ask("GET", f"/containers/json?all=1&filters={filters}", frozenset({http.client.OK}))
        return [container_facts(item) for item in json.loads(body)]

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine. Raises `EngineError`."""
        self._ask("DELETE", f"/containers/{quote(container_id)}?force=1&v=1", _REMOVED)

    def _ask(self, method: str, place: str, good: frozenset[int]) -> bytes:
        connection = _UnixConnection(self.path, _SWEEP_TIMEOUT_S)
        try:
            connection.request(method, place)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"the engine at {self.path} stopped answering: {error}", slug="engine-lost") from error
        finally:
            connection.close()
        if answer.status not in good:
            raise EngineError(f"the engine at {self.path} refused: status {answer.status}", slug="engine-refused")
        return body


def fast_containers(host: str) -> Containers | None:
    """`Containers` of `host`, or None where it is no unix socket or nothing listens there."""
    path = host.removeprefix("unix://")
    return None if path == host or not _listens(path) else Containers(path)


def container_facts(item: dict[str, object]) -> ContainerFacts:
    """An element of the engine's list of containers as facts."""
    names = item.get("Names") or [""]
    return ContainerFacts(
        container_id=str(item["Id"]),
        name=str(names[0]).removeprefix("/"),  # type: ignore[index]  # a list of names, as the API says
        state=str(item.get("State", "")),
        labels=dict(item.get("Labels") or {}),  # type: ignore[call-overload]  # an object of texts, as the API says
    )


def _listens(path: str) -> bool:
    if not os.path.exists(path):  # noqa: PTH110 (one call, on the hot path)
        return False
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(2.0)
    try:
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True


def ping(path: str) -> bool:
    """Whether an engine answers on the unix socket `path`."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _image(connection: _UnixConnection, reference: str) -> ImageFacts | None:
    connection.request("GET", f"/images/{quote(reference, safe='/:@')}/json")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status == http.client.NOT_FOUND:
        return None
    if answer.status != http.client.OK:
        raise ValueError(f"status {answer.status}: {body[:200].decode(errors='replace')}")
    return image_facts(reference, json.loads(body))


def image_facts(reference: str, answer: dict[str, object]) -> ImageFacts:
    """The engine's answer to an image inspection as facts."""
    config = answer.get("Config") or {}
    digests = answer.get("RepoDigests") or []
    repository = reference.rpartition(":")[0] or reference
    # A pulled image has its digest under the registry's name, which ends as ours does.
    tail = repository.removeprefix("localhost")
    own = [d for d in digests if isinstance(d, str) and d.rpartition("@")[0].endswith(tail)]  # type: ignore[attr-defined]
    image_id = str(answer.get("Id", ""))
    return ImageFacts(
        image=reference,
        image_id=image_id,
        digest=own[0].rpartition("@")[2] if own else image_id,
        size=int(str(answer.get("Size") or 0)),
        created=str(answer.get("Created", "")),
        labels=dict(config.get("Labels") or {}),  # type: ignore[attr-defined]
        layers=tuple((answer.get("RootFS") or {}).get("Layers") or ()),  # type: ignore[attr-defined]
    )
