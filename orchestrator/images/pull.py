"""Images of layers that need not be built, because a registry has them.

A tag only finds an image. What is pulled is a digest, and only after its labels have
shown that it is the layer wanted; where a published list names a digest, no other will do.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError, RegistryError
from orchestrator.plan.build.layers import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from orchestrator.engines import BuildEvent, ImageFacts, ImageTransfer
    from orchestrator.facts.build import BuildPlan, LayerStep
    from orchestrator.facts.references import Reference, RegistryPrefix
    from orchestrator.http.client import Client
    from orchestrator.images.publish import Published
    from orchestrator.images.registry.client import Registry

_UNREACHED = frozenset({"registry-down", "registry-slow", "registry-ca", "registry-auth", "registry-credentials"})
"""Troubles of a registry as a whole: another one, or a build, may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImage:
    """An image that a registry has: by digest, checked to be the layer's. ``size`` in bytes as sent."""

    reference: Reference
    config: str
    size: int
    prefix: str

    def is_image(self, facts: ImageFacts) -> bool:
        """Whether an engine's image is this one: stores name images by their manifest or by their configuration."""
        return facts.image_id.removeprefix("sha256:") in {
            digest.removeprefix("sha256:") for digest in (self.reference.digest, self.config)
        }


@dataclass(slots=True, kw_only=True)
class ImageSources:
    """Where images of layers are looked for, in order: the registries configured, or those of a published list.

    ``strict`` makes a registry that cannot be asked an error instead of a warning: nothing
    else can help where building is not allowed.
    """

    prefixes: Sequence[RegistryPrefix]
    published: Mapping[str, Published] = field(default_factory=dict)
    strict: bool = False
    warn: Callable[[str], None] = field(default=lambda _text: None)
    http: Client | None = None
    """What registries are asked with; this process's environment says for the site where it is left out."""
    _clients: dict[str, Registry] = field(default_factory=dict)
    _unreached: dict[str, MlorchError] = field(default_factory=dict)

    def accept(
        self, found: Mapping[str, ImageFacts | None], steps: Sequence[LayerStep]
    ) -> dict[str, ImageFacts | None]:
        """`found` without images that have another digest than the one published."""
        kept = dict(found)
        for step in steps:
            bound, facts = self.published.get(step.content_id), found.get(step.image)
            if bound is not None and facts is not None and facts.digest != bound.digest:
                kept[step.image] = None
        return kept

    def registry_images(self, plans: Sequence[BuildPlan], present: Collection[str]) -> dict[str, RegistryImage]:
        """The images to pull: of each plan the highest layer that a registry has, above those present.

        Raises:
            RegistryError: `image-mismatch`, `digest-mismatch`, `digest-not-found` for a published
                image; a registry's trouble where ``strict``.
        """
        found: dict[str, RegistryImage] = {}
        asked: set[str] = set()
        for plan in plans:
            for step in reversed(plan.layers):
                if step.image in present or step.image in found:
                    break
                if step.image in asked:
                    continue
                asked.add(step.image)
                registry_image = self.registry_image(step)
                if registry_image is not None:
                    found[step.image] = registry_image
                    break
        return found

    def registry_image(self, step: LayerStep) -> RegistryImage | None:
        """The image of one layer, or None where no registry has it. Raises as `registry_images`."""
        bound = self.published.get(step.content_id)
        other = ""
        for prefix in self._prefixes(bound):
            try:
                found, moved = self._at(prefix, step, bound)
            except MlorchError as error:
                if error.slug not in _UNREACHED:
                    raise
                self._note(prefix.host, error)
                continue
            if found is not None:
                return found
            other = moved or other
        if bound is not None:
            raise self._lost(step, bound, other)
        if self.strict and self._unreached:
            raise next(iter(self._unreached.values()))
        return None

    def fetch(
        self,
        engine: ImageTransfer,
        step: LayerStep,
        registry_image: RegistryImage,
        on_event: Callable[[BuildEvent], None],
    ) -> ImageFacts:
        """Pull an offered image and give it the layer's name, after it was looked at once more.

        Raises:
            RegistryError: as `ImageTransfer.pull`; `digest-mismatch` where the engine holds something else.
        """
        reference = str(registry_image.reference)
        auth = self._client(registry_image.reference.host).auth(registry_image.reference.repository)
        try:
            facts = engine.pull(reference, auth, on_event)
            _require_same_image(registry_image, facts, step)
            engine.tag(reference, step.image)
        except BaseException:
            _drop(engine, reference)
            raise
        if facts.image_id == registry_image.reference.digest:
            _drop(engine, reference)  # the layer's own name holds it; other stores know the digest by this name only
        return replace(facts, image=step.image, digest=registry_image.reference.digest)

    # -- one registry --------------------------------------------------------------------

    def _prefixes(self, bound: Published | None) -> tuple[RegistryPrefix, ...]:
        from orchestrator.facts.references import parse_registry_prefix

        named = (parse_registry_prefix(bound.registry),) if bound is not None else ()
        prefixes = tuple(dict.fromkeys((*named, *self.prefixes)))
        return tuple(prefix for prefix in prefixes if prefix.host not in self._unreached)

    def _at(self, prefix: RegistryPrefix, step: LayerStep, bound: Published | None) -> tuple[RegistryImage | None, str]:
        """The image at a registry prefix, and the digest under its tag where that is not the published one."""
        reference = prefix.image(step.name, step.content_id)
        client = self._client(prefix.host)
        if bound is not None:
            found = client.head_manifest(reference.repository, bound.digest)
            if found is None:
                tagged = client.head_manifest(reference.repository, reference.tag)
                return None, tagged.digest if tagged else ""
        else:
            found = client.head_manifest(reference.repository, reference.tag)
            if found is None:
                return None, ""
        return looked_at(client, reference, found.digest, step, str(prefix)), ""

    def _client(self, host: str) -> Registry:
        from orchestrator.images.registry.client import Registry

        if host not in self._clients:
            self._clients[host] = Registry.at(host, self.http)
        return self._clients[host]

    def _note(self, host: str, error: MlorchError) -> None:
        """A registry that cannot be asked is not asked again by this command."""
        self._unreached[host] = error
        if not self.strict:
            self.warn(f"{error.message}; going on without it [{error.slug}]")

    def _lost(self, step: LayerStep, bound: Published, other: str) -> MlorchError:
        if self._unreached:
            return next(iter(self._unreached.values()))
        what = f"{bound.registry}/mlorch/{step.name}@{bound.digest}"
        if other:
            return RegistryError(
                f"the list of published images binds `{step.name}` to {bound.digest}, "
                f"and {bound.registry} has {other} under its tag",
                hint="nothing was pulled; find out who replaced it, or publish anew and take the new list",
                slug="digest-mismatch",
            )
        return RegistryError(
            f"no registry has the published image {what}",
            hint="was it deleted there? `mlorch images push` publishes it again; `--no-pull` builds it",
            slug="digest-not-found",
        )


def _require_same_image(registry_image: RegistryImage, facts: ImageFacts, step: LayerStep) -> None:
    if not registry_image.is_image(facts):
        raise RegistryError(
            f"the engine took {registry_image.reference} for {facts.image_id}",
            hint="nothing was tagged",
            slug="digest-mismatch",
        )
    require_labels(facts.labels, step, str(registry_image.reference))


def _drop(engine: ImageTransfer, reference: str) -> None:
    with contextlib.suppress(MlorchError):
        engine.remove_image(reference)


def looked_at(client: Registry, reference: Reference, digest: str, step: LayerStep, prefix: str) -> RegistryImage:
    """What lies under a digest, once its own configuration has shown that it is the layer.

    Raises:
        RegistryError: `image-mismatch`, it is something else; `digest-mismatch`, its bytes are not its digest's.
    """
    from orchestrator.images.registry.images import image_config

    manifest = client.get_manifest(reference.repository, digest)
    if manifest.is_index:
        member = manifest.member(step.platform)
        if member is None:
            raise mismatch(str(reference), f"it holds no image for {step.platform}")
        manifest = client.get_manifest(reference.repository, member)
    require_labels(image_config(client, reference.repository, manifest).labels, step, str(reference))
    return RegistryImage(
        reference=reference.at(manifest.digest),
        config=manifest.config().digest,
        size=sum(layer.size for layer in manifest.layers()),
        prefix=prefix,
    )


def require_labels(found_labels: Mapping[str, str], step: LayerStep, reference: str) -> None:
    """Raises `RegistryError` (`image-mismatch`) where labels are not those of the layer."""
    for name, wanted in labels(step).items():
        if name.startswith("org.mlorch.") and found_labels.get(name) != wanted:
            shown = (
                f"its label {name} is {found_labels[name][:80]!r}"
                if name in found_labels
                else f"it has no label {name}"
            )
            raise mismatch(reference, shown)


def mismatch(reference: str, why: str) -> RegistryError:
    """Something else lies under the name of an image of ours."""
    return RegistryError(
        f"{reference} is not the image that its name says: {why}",
        hint="nothing was pulled; find out who replaced it. `--no-pull` builds without registries",
        slug="image-mismatch",
    )
