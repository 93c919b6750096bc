"""Image look-ups over the engine's unix socket, with the standard library alone.

`mlorch plan` and a build that finds everything ask nothing but "is this image
there?"; importing a docker client for that would cost ten times the question.
"""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import quote

from orchestrator.engines import ImageFacts
from orchestrator.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TIMEOUT_S = 30.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
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


def _listens(path: str) -> bool:
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
    own = [d for d in digests if isinstance(d, str) and d.rpartition("@")[0].endswith(repository)]  # type: ignore[attr-defined]
    image_id = str(answer.get("Id", ""))
    return ImageFacts(
        image=reference,
        image_id=image_id,
        digest=own[0].rpartition("@")[2] if own else image_id,
        size=int(str(answer.get("Size") or 0)),
        created=str(answer.get("Created", "")),
        labels=dict(config.get("Labels") or {}),  # type: ignore[attr-defined]
    )
