"""Images of layers: the verbs of `mlorch images`, as documents.

``target`` and the fields of `Selection` say which images are meant. Keys are paths of PEM files;
``password`` gives that of a private key, called only where it has one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import context_of, document_of, progress_of, selection_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.api.calls import Document
    from orchestrator.images.attest.keys import Signer, Verifier
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress

    Password = Callable[[], str]


def list(*, registries: Sequence[str] = (), unused: bool = False, **options: Any) -> Document:  # noqa: A001 (the verb)
    """Images of mlorch in the engine and in registries: ``{"images": [...]}``."""
    from orchestrator.operations.images.listing import ListRequest, list_images

    context = context_of(progress_of(talk=False), options)
    request = ListRequest(registries=tuple(registries), unused=unused)
    return {"images": document_of(list_images(context, request, context.talk).images)}


def pull(target: str | None = None, *, registries: Sequence[str] = (), images: str = "", **options: Any) -> Document:
    """Pull the images of a target; the document of `build`. Raises `StepFailed` [image-missing], `RegistryError`."""
    from orchestrator.operations.images.pull import PullRequest
    from orchestrator.operations.images.pull import pull as pull_images
    from orchestrator.operations.plan import plan_document

    context, progress, selection = _selected(target, options)
    request = PullRequest(registries=tuple(registries), images=images)
    return _document(plan_document(*pull_images(context, selection, request, progress)))


def push(registry: str, target: str | None = None, *, tag: str = "latest", overwrite: bool = False,
         key: str | Path = "", password: Password | None = None, **options: Any) -> Document:  # fmt: skip
    """Publish the images of a target, signed where there is a key: ``{"registry", "pushed", "indexes", …}``."""
    from orchestrator.operations.images.publish import PublishRequest
    from orchestrator.operations.images.publish import push as push_images

    context, progress, selection = _selected(target, options)
    request = PublishRequest(registry=registry, tag=tag, overwrite=overwrite, signer=_signer(key, password))
    return _document(push_images(context, selection, request, progress))


def verify(names: Sequence[str] = (), target: str | None = None, *, registry: str = "", key: str | Path = "",
           **options: Any) -> Document:  # fmt: skip
    """Check images against plan, SBOM, provenance and signature: ``{"images": [{"image", "good", "checks"}]}``."""
    from orchestrator.operations.images.verify import VerifyRequest
    from orchestrator.operations.images.verify import verify as verify_images

    context, _, selection = _selected(target, options)
    request = VerifyRequest(selections=(selection,), names=tuple(names), registry=registry, verifier=_verifier(key))
    return {"images": document_of(tuple(verify_images(context, request)))}


def sign(names: Sequence[str] = (), target: str | None = None, *, registry: str = "", key: str | Path = "",
         password: Password | None = None, **options: Any) -> Document:  # fmt: skip
    """Write SBOM and provenance, signed where there is a key: ``{"images": [...]}``."""
    from orchestrator.operations.images.sign import SignRequest
    from orchestrator.operations.images.sign import sign as sign_images

    context, _, selection = _selected(target, options)
    request = SignRequest(selections=(selection,), names=tuple(names), registry=registry, signer=_signer(key, password))
    return {"images": document_of(tuple(sign_images(context, request)))}


def sbom(names: Sequence[str] = (), target: str | None = None, **options: Any) -> Document:
    """SBOM and provenance of images of the engine: ``{"images": [{"name", "digest", "sbom", "provenance", …}]}``."""
    from orchestrator.operations.images.sbom import SbomRequest
    from orchestrator.operations.images.sbom import sbom as documents

    context, _, selection = _selected(target, options)
    found = documents(context, SbomRequest(selections=(selection,), names=tuple(names)))
    return {"images": [document_of(one) for one in found]}


def rebuild(layers: Sequence[str] = (), target: str | None = None, *, verify: bool = False, talk: bool = False,
            **options: Any) -> Document:  # fmt: skip
    """Build layers again without a cache, and with ``verify`` compare them: ``{"layers": [...]}``."""
    from orchestrator.operations.images.rebuild import RebuildRequest
    from orchestrator.operations.images.rebuild import rebuild as build_again

    context, progress, selection = _selected(target, options, talk=talk)
    request = RebuildRequest(selections=(selection,), layers=tuple(layers), verify=verify)
    return {"layers": [document_of(one) for group in build_again(context, request, progress) for one in group]}


def lock(layers: Sequence[str] = (), **options: Any) -> Document:
    """Pin layers to what there is now: ``{"locks": [...]}``; ``options`` are fields of `LockRequest`."""
    from orchestrator.operations.images.lock import LockRequest
    from orchestrator.operations.images.lock import lock as lock_layers

    context = context_of(progress_of(talk=False), options)
    request = LockRequest(layers=tuple(layers), **options)
    return {"locks": [document_of(one) for one in lock_layers(context, request, context.talk)]}


def bundle(output: str | Path, target: str | None = None, *, talk: bool = False, **options: Any) -> Document:
    """Write images, models and data into one file for a machine with no network."""
    from orchestrator.operations.images.bundle import BundleRequest
    from orchestrator.operations.images.bundle import bundle as write

    context, progress, selection = _selected(target, options, talk=talk)
    return _document(write(context, BundleRequest(output=Path(output), selections=(selection,)), progress))


def load(file: str | Path, *, key: str | Path = "", recipes: Sequence[str] = ()) -> Document:
    """Take a bundle in; with a key every image of it must be signed."""
    from orchestrator.operations.images.load import LoadRequest
    from orchestrator.operations.images.load import load as take_in

    request = LoadRequest(file=Path(file), recipes=tuple(recipes), verifier=_verifier(key))
    return _document(take_in(request, progress_of(talk=False)))


def prune(*, remove: bool = False, **options: Any) -> Document:
    """Images that no plan needs, removed where ``remove`` says so."""
    from orchestrator.operations.images.prune import PruneRequest
    from orchestrator.operations.images.prune import prune as remove_unneeded

    context = context_of(progress_of(talk=False), options)
    return _document(remove_unneeded(context, PruneRequest(remove=remove), context.talk))


def _selected(
    target: str | None, options: dict[str, Any], *, talk: bool = False
) -> tuple[Context, Progress, Selection]:
    progress = progress_of(talk=talk)
    context = context_of(progress, options)
    return context, progress, selection_of(target, options)


def _document(value: Any) -> Document:
    document: Document = document_of(value)
    return document


def _signer(key: str | Path, password: Password | None) -> Signer | None:
    from orchestrator.images.attest.keys import load_signer

    return load_signer(Path(key), password or (lambda: "")) if key else None


def _verifier(key: str | Path) -> Verifier | None:
    from orchestrator.images.attest.keys import load_verifier

    return load_verifier(Path(key)) if key else None
