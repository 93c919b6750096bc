"""Images of layers: the verbs of `mlorch images`, as documents.

``target`` and the fields of `Selection` say which images are meant. Keys are paths of PEM files;
``password`` gives that of a private key, called only where it has one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import context_of, document_of, only_context, progress_of, request_of, selection_of, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.api.calls import Document
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.pick import ImageSelection
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress

    Password = Callable[[], str]


def list(*, registries: Sequence[str] = (), unused: bool = False, **options: Any) -> Document:  # noqa: A001 (the verb)
    """Images of mlorch in the engine and in registries: ``{"images": [...]}``."""
    from orchestrator.operations.images.listing import list_images

    found = list_images(only_context(options), words("registries", registries), unused=unused)
    return {"images": document_of(found.images)}


def pull(target: str | None = None, *, registries: Sequence[str] = (), images: str = "", **options: Any) -> Document:
    """Pull the images of a target; the document of `build`. Raises `StepFailed` [image-missing], `RegistryError`."""
    from orchestrator.operations.build import build_images
    from orchestrator.operations.plan import plan_document
    from orchestrator.operations.pull_policy import PullPolicy

    context, progress, selection = _selected(target, options)
    policy = PullPolicy(pull=True, build=False, images=images, registries=words("registries", registries))
    return _document(plan_document(*build_images(context, selection, progress, pull_policy=policy)))


def push(registry: str, target: str | None = None, *, tag: str = "latest", overwrite: bool = False,
         key: str | Path = "", password: Password | None = None, **options: Any) -> Document:  # fmt: skip
    """Publish the images of a target, signed where there is a key: ``{"registry", "pushed", "indexes", …}``."""
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.images import publish

    context, progress, selection = _selected(target, options)
    signer = signer_of(key, password or str)
    request = publish.PublishRequest(registry=registry, tag=tag, overwrite=overwrite, signer=signer)
    return _document(publish.push(context, selection, request, progress))


def verify(names: Sequence[str] = (), target: str | None = None, *, registry: str = "", key: str | Path = "",
           **options: Any) -> Document:  # fmt: skip
    """Check images against plan, SBOM, provenance and signature: ``{"images": [{"image", "good", "checks"}]}``."""
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.images.attestations import verify as verify_images

    context, images = _images(target, names, registry, options)
    return {"images": document_of(tuple(verify_images(context, images, verifier_of(key))))}


def sign(names: Sequence[str] = (), target: str | None = None, *, registry: str = "", key: str | Path = "",
         password: Password | None = None, **options: Any) -> Document:  # fmt: skip
    """Write SBOM and provenance, signed where there is a key: ``{"images": [...]}``."""
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.images.attestations import sign as sign_images

    context, images = _images(target, names, registry, options)
    return {"images": document_of(tuple(sign_images(context, images, signer_of(key, password or str))))}


def keygen(prefix: str | Path = "mlorch", password: str = "") -> Document:
    """A key pair in PREFIX.key and PREFIX.pub: ``{"key", "pub", "sha256"}``; an empty password encrypts nothing.

    Raises `WriteFailed` where a file is there already.
    """
    from orchestrator.operations.images.attestations import keygen as make

    return document_of(make(Path(prefix), password))


def sbom(names: Sequence[str] = (), target: str | None = None, **options: Any) -> Document:
    """SBOM and provenance of images of the engine: ``{"images": [{"name", "digest", "sbom", "provenance", …}]}``."""
    from orchestrator.operations.images.attestations import sbom as documents

    return {"images": [document_of(one) for one in documents(*_images(target, names, "", options))]}


def rebuild(layers: Sequence[str] = (), target: str | None = None, *, verify: bool = False, talk: bool = False,
            **options: Any) -> Document:  # fmt: skip
    """Build layers again without a cache, and with ``verify`` compare them: ``{"layers": [...]}``."""
    from orchestrator.operations.images.rebuild import rebuild as build_again

    context, progress, selection = _selected(target, options, talk=talk)
    groups = build_again(context, (selection,), progress, layers=words("layers", layers), verify=verify)
    return {"layers": [document_of(one) for group in groups for one in group]}


def lock(layers: Sequence[str] = (), **options: Any) -> Document:
    """Pin layers to what there is now: ``{"locks": [...]}``; ``options`` are fields of `LockRequest`."""
    from orchestrator.operations.images import lock as locking

    context = context_of(progress_of(talk=False), options)
    request = request_of(locking.LockRequest, options, layers=words("layers", layers))
    return {"locks": [document_of(one) for one in locking.lock(context, request)]}


def bundle(
    output: str | Path, target: str | None = None, *, key: str | Path = "", talk: bool = False, **options: Any
) -> Document:
    """Write images, models and data into one file for a machine with no network; signed with a private key, if any."""
    from orchestrator.images.attest.signatures import environment_password, signer_of
    from orchestrator.operations.images.bundle import bundle as write

    context, progress, selection = _selected(target, options, talk=talk)
    return _document(write(context, (selection,), Path(output), progress, signer_of(key, environment_password)))


def load(file: str | Path, *, key: str | Path = "", recipes: Sequence[str] = ()) -> Document:
    """Take a bundle in; with a key all of it must be signed."""
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.images.bundle import load as take_in

    verifier = verifier_of(key)
    return _document(take_in(Path(file), progress_of(talk=False), recipes=words("recipes", recipes), verifier=verifier))


def prune(*, remove: bool = False, **options: Any) -> Document:
    """Images that no plan needs, removed where ``remove`` says so, and the artefacts of runs with them."""
    from orchestrator.operations.images.listing import prune as remove_unneeded

    return _document(remove_unneeded(only_context(options), remove=remove))


def _images(
    target: str | None, names: Sequence[str], registry: str, options: dict[str, Any]
) -> tuple[Context, ImageSelection]:
    from orchestrator.operations.images.pick import ImageSelection

    context, _, selection = _selected(target, options)
    return context, ImageSelection(selections=(selection,), names=words("names", names), registry=registry)


def _selected(
    target: str | None, options: dict[str, Any], *, talk: bool = False
) -> tuple[Context, Progress, Selection]:
    progress = progress_of(talk=talk)
    context = context_of(progress, options)
    return context, progress, selection_of(target, options)


def _document(value: Any) -> Document:
    document: Document = document_of(value)
    return document
