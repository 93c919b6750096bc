"""Images in and out of a Docker daemon's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.engines.docker.transfer import refusal_text
from orchestrator.engines.refusals import disk_full, no_image
from orchestrator.errors import StepFailed
from orchestrator.host.files import write_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import docker
    import requests

_BLOCK = 1 << 20
_LOADED = ("Loaded image: ", "Loaded image ID: ")
_SILENCE_S = 600
"""How long the daemon may say nothing while it packs or unpacks a layer."""


def save(api: docker.APIClient, references: Sequence[str], out: Path) -> None:
    """Write images with all their layers to ``out`` as the daemon streams them; see `Engine.save`.

    Raises:
        StepFailed: an image is not there (`no-image`), or the daemon broke off (`save-failed`).
        WriteFailed: no space, no rights. Nothing is left at ``out`` in either case.
    """
    names = {"names": list(references)}
    response = api.get(f"{api.base_url}/images/get", params=names, stream=True, timeout=_SILENCE_S)
    try:
        if not response.ok:
            raise _unsaved(references, response)
        try:
            with out.open("xb", buffering=0) as stream:  # closing writes nothing more, so it cannot fail
                for block in response.iter_content(_BLOCK):
                    _write(stream, block, out)
        except BaseException:
            out.unlink(missing_ok=True)
            raise
    finally:
        response.close()


def _write(stream: Any, block: bytes, out: Path) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:  # raised here: around this, an OSError is the engine's connection
        raise write_failure(out, error) from error


def _unsaved(references: Sequence[str], answer: requests.Response) -> StepFailed:
    why, images = refusal_text(answer), ", ".join(references)
    if answer.status_code == 404 or "No such image" in why or "not found" in why:
        return no_image(images, why)
    return StepFailed(f"the engine cannot save {images}: {why}", slug="save-failed")


def load(api: docker.APIClient, archive: Path) -> tuple[str, ...]:
    """Give the daemon an archive of images; see `Engine.load`.

    Raises:
        StepFailed: the daemon refuses it (`load-failed`).
        EngineError: the daemon has no space for it (`engine-disk-full`).
    """
    with archive.open("rb") as stream:
        return _names(api.load_image(stream, quiet=True))  # type: ignore[no-untyped-call]  # the stubs


def _names(documents: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    found = []
    for document in documents:
        if why := document.get("error"):
            if "no space left on device" in why:
                raise disk_full("to load the images")
            raise StepFailed(f"the engine cannot load the images: {why}", slug="load-failed")
        for line in str(document.get("stream", "")).splitlines():
            found += [line.removeprefix(start).strip() for start in _LOADED if line.startswith(start)]
    return tuple(found)


def remove(api: docker.APIClient, reference: str) -> None:
    """See `Engine.remove_image`.

    Raises:
        StepFailed: `image-in-use`, a container needs it.
    """
    import docker.errors

    try:
        also = _by_digest_only(api, reference)
        api.remove_image(reference)
        for name in also:
            api.remove_image(name)
    except docker.errors.ImageNotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise
        raise StepFailed(f"{reference} is in use: {error.explanation or error}", slug="image-in-use") from None


def _by_digest_only(api: docker.APIClient, reference: str) -> list[str]:
    """The names with a digest under which this very layer was pulled, where `reference` is the last one with a tag.

    The older image store keeps them, and with them the image.
    """
    found = api.inspect_image(reference)  # type: ignore[no-untyped-call]  # the stubs
    if found.get("RepoTags") != [reference]:
        return []
    repository = reference.rpartition(":")[0]
    tail = repository.removeprefix("localhost")
    digests = (str(name) for name in found.get("RepoDigests") or ())
    return [
        name for name in digests if name.rpartition("@")[0].endswith(tail) and not name.startswith(f"{repository}@")
    ]
