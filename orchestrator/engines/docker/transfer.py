"""Images between a Docker engine and registries: names, pulls and pushes, followed event by event.

The engine talks to the registry itself. What it says of a failure are words of several
programs; `orchestrator.engines.registry_messages` knows what they mean.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.engines import BuildEvent
from orchestrator.errors import MlorchError, RegistryError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker

    from orchestrator.engines import ImageFacts, RegistryAuth

STALLED_S = 60.0
"""How long no byte may come or go while some are still missing. Unpacking is silent, and may take longer."""
_DONE = frozenset({
    "Download complete", "Pull complete", "Already exists", "Extracting", "Verifying Checksum",
    "Pushed", "Layer already exists", "Mounted from",
})  # fmt: skip


class DockerTransfers:
    """The part of `DockerEngine` that is `orchestrator.engines.ImageTransfer`."""

    host: str
    _api: docker.APIClient

    def image(self, reference: str) -> ImageFacts | None:
        """The image with this reference, or None."""
        raise NotImplementedError

    def _answers(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def tag(self, reference: str, new: str) -> None:
        """Give the image `reference` a second name."""
        repository, _, tag = new.rpartition(":")
        with self._answers():
            self._api.tag(reference, repository, tag, force=True)

    def remove_image(self, reference: str) -> None:
        """Remove a name of an image, and the image with its last name; one that is gone is fine.

        Raises:
            StepFailed: `image-in-use`, a container needs it.
        """
        import docker.errors

        with self._answers():
            try:
                also = self._by_digest_only(reference)
                self._api.remove_image(reference)
                for name in also:
                    self._api.remove_image(name)
            except docker.errors.ImageNotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                said = str(error.explanation or error)
                raise StepFailed(f"{reference} is in use: {said}", slug="image-in-use") from None

    def _by_digest_only(self, reference: str) -> list[str]:
        """The names with a digest under which this very layer was pulled, where `reference` is the last one with a tag.

        The older image store keeps them, and with them the image.
        """
        found = self._api.inspect_image(reference)  # type: ignore[no-untyped-call]  # the stubs
        if found.get("RepoTags") != [reference]:
            return []
        tail = reference.rpartition(":")[0].removeprefix("localhost")
        digests = (str(name) for name in found.get("RepoDigests") or ())
        return [
            name
            for name in digests
            if name.rpartition("@")[0].endswith(tail) and not name.startswith(f"{reference.rpartition(':')[0]}@")
        ]

    def pull(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Get an image from its registry; the engine checks every layer against its digest.

        Raises:
            RegistryError: as `registries.wording.from_engine`; `registry-slow` where nothing comes for a minute.
            EngineError: `engine-disk-full`, or the engine went away.
        """
        name, at, digest = reference.partition("@")
        repository, _, tag = (name, "", digest) if at else reference.rpartition(":")
        params = {"fromImage": repository, "tag": tag}
        try:
            self._follow("/images/create", params, reference, auth, on_event)
        except RegistryError as error:
            if error.slug == "digest-mismatch":
                self._forget_partial()
            raise
        facts = self.image(reference)
        if facts is None:
            raise StepFailed(f"the engine pulled {reference} but does not hold it", slug="not-loaded")
        return facts

    def push(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> str:
        """Send an image to the registry that its name says; gives the manifest's digest ("" where it is not said).

        Layers that the registry has are not sent. Raises as `pull`, and `registry-full`.
        """
        repository, _, tag = reference.rpartition(":")
        said = self._follow(f"/images/{repository}/push", {"tag": tag}, reference, auth, on_event)
        if said.digest:
            return said.digest
        facts = self.image(reference)  # with its own image store an engine does not say it, but knows it
        return facts.digest if facts is not None else ""

    def _forget_partial(self) -> None:
        """Let the engine throw away what belongs to no image, at once.

        containerd would go on with the wrong bytes at the next pull, and fail on them although
        the registry gives the right ones by then. It collects whenever an image is removed.
        """
        name = f"localhost/mlorch-none:{secrets.token_hex(6)}"
        repository, _, tag = name.rpartition(":")
        with contextlib.suppress(MlorchError), self._answers():
            self._api.import_image_from_data(bytes(1024), repository=repository, tag=tag)  # the end of an empty tar
            self._api.remove_image(name)

    def _follow(
        self,
        path: str,
        params: dict[str, str],
        reference: str,
        auth: RegistryAuth | None,
        on_event: Callable[[BuildEvent], None],
    ) -> Moving:
        """Ask for a transfer and follow it to its end."""
        import docker.auth
        import docker.errors

        from orchestrator.engines.registry_messages import from_engine

        moving = Moving(reference)
        header = docker.auth.encode_header(_auth_config(auth, reference))
        api: Any = self._api  # the public calls cannot be given up when a transfer stalls
        with self._answers():
            try:
                answer = api._post(  # noqa: SLF001
                    api._url(path),  # noqa: SLF001
                    params=params,
                    headers={"X-Registry-Auth": header},
                    stream=True,
                    timeout=None,
                )
                api._raise_for_status(answer)  # noqa: SLF001
                for event in _watched(api, answer, moving):
                    on_event(event)
            except docker.errors.APIError as error:
                moving.error = str(error.explanation or error)
        if moving.error:
            raise from_engine(reference, moving.error, pushing=path.endswith("/push"))
        return moving


@dataclass(slots=True)
class Moving:
    """What the engine said of a transfer so far: per layer its state and bytes."""

    reference: str
    layers: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    digest: str = ""
    error: str = ""

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
        detail = document.get("progressDetail") or {}
        _, current, total = self.layers.get(layer, ("", 0, 0))
        current, total = int(detail.get("current") or current), int(detail.get("total") or total)
        if status in _DONE or status.startswith("Mounted from"):
            current = max(current, total)
        self.layers[layer] = (status, current, total)
        return BuildEvent(kind="progress", step=self.reference, text=f"{status} {layer}", **self.progress())

    def progress(self) -> dict[str, int]:
        """Bytes moved and to be moved, of all layers known so far."""
        return {
            "current": sum(current for _, current, _ in self.layers.values()),
            "total": sum(total for *_, total in self.layers.values()),
        }

    @property
    def moved(self) -> bool:
        """Whether all bytes are over: what is left is the engine's own work."""
        states = [status for status, *_ in self.layers.values()]
        return bool(states) and all(s in _DONE or s.startswith("Mounted from") for s in states)


def _watched(api: Any, answer: Any, moving: Moving) -> Iterator[BuildEvent]:
    """The events of a transfer; given up where nothing moves for too long.

    Read in a thread of its own: some engines repeat what they said while nothing comes, others are silent.
    """
    from docker.types.daemon import CancellableStream

    from orchestrator.engines.registry_messages import stalled

    stream = CancellableStream(api._stream_helper(answer, decode=True), answer)  # noqa: SLF001
    documents: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(stream, documents), daemon=True).start()
    before, since = moving.progress(), time.monotonic()
    try:
        while True:
            try:
                document = documents.get(timeout=1.0)
            except queue.Empty:
                document = {}
            if document is None:
                return
            if isinstance(document, BaseException):
                raise document
            if (event := moving.take(document)) is not None:
                yield event
            if moving.moved or moving.progress() != before:
                before, since = moving.progress(), time.monotonic()
            elif time.monotonic() - since > STALLED_S:
                raise stalled(moving.reference, STALLED_S)
    finally:
        stream.close()  # the engine gives up what nobody waits for


def _read(stream: Any, documents: queue.SimpleQueue[dict[str, Any] | BaseException | None]) -> None:
    try:
        for document in stream:
            documents.put(document)
        documents.put(None)
    except BaseException as error:  # noqa: BLE001 (raised again by the thread that follows)
        documents.put(error if isinstance(error, Exception | MlorchError) else None)


def _auth_config(auth: RegistryAuth | None, reference: str) -> dict[str, str]:
    if auth is None:
        return {}
    said = {"serveraddress": reference.partition("/")[0]}
    if auth.identity_token:
        return {**said, "identitytoken": auth.identity_token}
    return {**said, "username": auth.username, "password": auth.password}
