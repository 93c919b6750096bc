"""Images between a Docker engine and registries: pulls and pushes, followed event by event.

The engine talks to the registry itself. What it says of a failure are words of several
programs; `orchestrator.engines.registry_failures` knows what they mean.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.engines.model import BuildEvent
from orchestrator.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker
    import requests
    from docker.types import CancellableStream

    from orchestrator.engines.model import RegistryAuth

STALLED_S = 60.0
"""How long no byte may come or go while some are still missing. Unpacking is silent, and may take longer."""
_DONE = frozenset({
    "Download complete", "Pull complete", "Already exists", "Extracting", "Verifying Checksum",
    "Pushed", "Layer already exists",
})  # fmt: skip


def pull(
    api: docker.APIClient, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]
) -> None:
    """Get an image from its registry; the engine checks every layer against its digest.

    Raises:
        RegistryError: as `registry_failures.from_engine`; `registry-slow` where nothing comes for a minute.
        EngineError: `engine-disk-full`, or the engine went away.
    """
    name, at, digest = reference.partition("@")
    repository, _, tag = (name, "", digest) if at else reference.rpartition(":")
    params = {"fromImage": repository, "tag": tag}
    try:
        _follow(api, "/images/create", params, reference, auth, on_event)
    except RegistryError as error:
        if error.slug == "digest-mismatch":
            _forget_partial(api)
        raise


def push(
    api: docker.APIClient, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]
) -> str:
    """Send an image to the registry that its name says; gives the manifest's digest, "" where it is not reported.

    Layers that the registry has are not sent. Raises as `pull`, and `registry-full`.
    """
    repository, _, tag = reference.rpartition(":")
    return _follow(api, f"/images/{repository}/push", {"tag": tag}, reference, auth, on_event).digest


def _forget_partial(api: docker.APIClient) -> None:
    """Let the engine throw away what belongs to no image, at once.

    containerd would go on with the wrong bytes at the next pull, and fail on them although
    the registry gives the right ones by then. It collects whenever an image is removed.
    """
    import docker.errors
    import requests

    repository, tag = "localhost/mlorch-none", secrets.token_hex(6)
    with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
        api.import_image_from_data(bytes(1024), repository=repository, tag=tag)  # the end of an empty tar
        api.remove_image(f"{repository}:{tag}")


def _follow(
    api: docker.APIClient,
    path: str,
    params: dict[str, str],
    reference: str,
    auth: RegistryAuth | None,
    on_event: Callable[[BuildEvent], None],
) -> Moving:
    """Ask for a transfer and follow it to its end.

    The SDK's `pull` and `push` cannot be given up when a transfer stalls, so its session is
    asked directly; a password goes into a header, never onto a command line.
    """
    import docker.auth

    from orchestrator.engines.registry_failures import from_engine

    moving = Moving(reference)
    header = docker.auth.encode_header(_auth_config(auth, reference))
    answer = api.post(
        f"{api.base_url}/v{api.api_version}{path}",
        params=params,
        headers={"X-Registry-Auth": header},
        stream=True,
        timeout=None,
    )
    if answer.ok:
        for event in _watched(answer, moving):
            on_event(event)
    else:
        moving.error = refusal_text(answer)
    if moving.error:
        raise from_engine(reference, moving.error, pushing=path.endswith("/push"))
    return moving


def refusal_text(answer: requests.Response) -> str:
    """Why the engine refuses, in its own words."""
    try:
        return str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        return f"status {answer.status_code}"


@dataclass(slots=True)
class Moving:
    """What the engine reported of a transfer so far: per layer its state and bytes."""

    reference: str
    layers: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    digest: str = ""
    error: str = ""
    over: bool = False
    """Whether all bytes are there: what is left is the engine's own work."""
    since: float = field(default_factory=time.monotonic)
    """When some byte came or went last."""
    stalled: bool = False

    def take(self, document: dict[str, Any]) -> BuildEvent | None:
        """Learn from one document of the stream; the event that it is for others, if any."""
        if "error" in document:
            self.error = str((document.get("errorDetail") or {}).get("message") or document["error"])
            return None
        if digest := (document.get("aux") or {}).get("Digest"):
            self.digest = str(digest)
        layer, status = str(document.get("id") or ""), str(document.get("status") or "")
        if not layer or not status or status.startswith("Pulling from"):
            return None
        self._progressed(layer, status, document.get("progressDetail") or {})
        return BuildEvent(kind="progress", step=self.reference, text=f"{status} {layer}", **self.progress())

    def _progressed(self, layer: str, status: str, detail: dict[str, Any]) -> None:
        before = self.progress()
        _, current, total = self.layers.get(layer, ("", 0, 0))
        current, total = int(detail.get("current") or current), int(detail.get("total") or total)
        if _is_over(status):
            current = max(current, total)
        self.layers[layer] = (status, current, total)
        if self.over or self.progress() != before:  # some engines repeat themselves while nothing comes
            self.since = time.monotonic()
        self.over = all(_is_over(status) for status, *_ in self.layers.values())

    def progress(self) -> dict[str, int]:
        """Bytes moved and to be moved, of all layers known so far."""
        return {
            "current": sum(current for _, current, _ in self.layers.values()),
            "total": sum(total for *_, total in self.layers.values()),
        }


def _is_over(status: str) -> bool:
    """Whether a layer's bytes are where they belong."""
    return status in _DONE or status.startswith("Mounted from")


def _watched(answer: requests.Response, moving: Moving) -> Iterator[BuildEvent]:
    """The events of a transfer; given up where nothing moves for too long."""
    from docker.types import CancellableStream

    from orchestrator.engines.registry_failures import stalled

    stream = CancellableStream(map(json.loads, filter(None, answer.iter_lines())), answer)
    ended = threading.Event()
    threading.Thread(target=_end_stalled, args=(stream, moving, ended), daemon=True).start()
    try:
        for document in stream:
            if (event := moving.take(document)) is not None:
                yield event
    finally:
        ended.set()
        stream.close()  # the engine gives up what nobody waits for
    if moving.stalled:
        raise stalled(moving.reference, STALLED_S)


def _end_stalled(stream: CancellableStream[Any], moving: Moving, ended: threading.Event) -> None:
    """End a stream on which nothing moves; who reads it waits as long as the engine is silent."""
    while not ended.wait(1.0):
        if not moving.over and time.monotonic() - moving.since > STALLED_S:
            moving.stalled = True
            stream.close()
            return


def _auth_config(auth: RegistryAuth | None, reference: str) -> dict[str, str]:
    if auth is None:
        return {}
    server = {"serveraddress": reference.partition("/")[0]}
    if auth.identity_token:
        return {**server, "identitytoken": auth.identity_token}
    return {**server, "username": auth.username, "password": auth.password}
