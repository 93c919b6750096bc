"""Images of layers sent to a registry, each under its content id, and the lists of digests that a site publishes.

What is published stays: an image that lies under the tag already is not replaced, though
its bytes may differ from those built here (others may have its digest in their lists).
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError, RegistryError, UsageError
from orchestrator.host.files import atomic_write_text, output_path
from orchestrator.images.pull import looked_at, require_labels
from orchestrator.plan.build.layers import set_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.engines import BuildEvent, Engine, ImageFacts
    from orchestrator.facts.build import BuildPlan, LayerStep
    from orchestrator.facts.references import Reference, RegistryPrefix
    from orchestrator.images.registry.client import Registry
    from orchestrator.images.registry.manifests import Descriptor

SET = "org.mlorch.set"
"""The annotation of an index's members: which definitions they were made of, whatever the platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An image of a layer in a registry, by digest."""

    layer: str
    content_id: str
    platform: str
    digest: str
    registry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of a layer: ``pushed``, ``there`` (the same bytes) or ``kept`` (other bytes of the same identity)."""

    image: Published
    state: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """An index that names one image for each platform."""

    reference: str
    digest: str
    platforms: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Publisher:
    """Pushes layers of plans from one engine to one registry prefix."""

    engine: Engine
    prefix: RegistryPrefix
    client: Registry
    overwrite: bool = False
    warn: Callable[[str], None] = field(default=lambda _text: None)
    on_layer: Callable[[LayerStep, str], None] = field(default=lambda _step, _state: None)
    on_event: Callable[[LayerStep, BuildEvent], None] = field(default=lambda _step, _event: None)

    def push(self, steps: Sequence[LayerStep]) -> tuple[Pushed, ...]:
        """Publish those of `steps` that the engine has; a layer that only an image above holds goes with that one.

        Raises:
            RegistryError: as `ImageTransfer.push`; `image-mismatch` where something else lies under a tag;
                `digest-mismatch` where the registry has other bytes afterwards.
        """
        done = []
        for step in steps:
            facts = self.engine.image(step.image)
            if facts is None:
                self.on_layer(step, "absent")
                continue
            require_labels(facts.labels, step, step.image)
            done.append(self._push(step, facts))
        return tuple(done)

    def index(self, plan: BuildPlan, digest: str, tag: str) -> Indexed:
        """Name the image of a plan under a tag for people, beside those of other platforms made of the same."""
        from orchestrator.images.registry.manifests import index_of

        top = plan.layers[-1]
        reference = replace(self.prefix.image(top.name, top.content_id), tag=tag)
        found = self.client.head_manifest(reference.repository, digest)
        if found is None:
            raise RegistryError(f"{reference} cannot name {digest}: it is not there", slug="digest-not-found")
        same = set_id(plan)
        own = replace(found, platform=plan.platform, annotations={SET: same})
        others = [
            one
            for one in self._members(reference)
            if one.platform != plan.platform and one.annotations.get(SET) == same
        ]
        members = tuple(sorted((*others, own), key=lambda one: one.platform))
        made = self.client.put_manifest(reference.repository, index_of(members), tag=tag)
        return Indexed(
            reference=str(reference), digest=made.digest, platforms=tuple(member.platform for member in members)
        )

    def _members(self, reference: Reference) -> tuple[Descriptor, ...]:
        if self.client.head_manifest(reference.repository, reference.tag) is None:
            return ()
        there = self.client.get_manifest(reference.repository, reference.tag)
        return there.manifests() if there.is_index else ()

    def _push(self, step: LayerStep, facts: ImageFacts) -> Pushed:
        reference = self.prefix.image(step.name, step.content_id)
        there = self.client.head_manifest(reference.repository, reference.tag)
        if there is None or (self.overwrite and there.digest != facts.digest):
            digest, state = self._send(step, reference), "pushed"
        elif there.digest == facts.digest:
            digest, state = there.digest, "there"
        else:
            found = looked_at(self.client, reference, there.digest, step, str(self.prefix))
            digest, state = there.digest, "there" if found.is_image(facts) else "kept"
        if state == "kept":
            self.warn(f"{reference} has other bytes of the same identity; it stays (--overwrite replaces it)")
        self.on_layer(step, state)
        image = Published(
            layer=step.name,
            content_id=step.content_id,
            platform=step.platform,
            digest=digest,
            registry=str(self.prefix),
        )
        return Pushed(image=image, state=state, reference=str(reference))

    def _send(self, step: LayerStep, reference: Reference) -> str:
        self.on_layer(step, "push")
        self.engine.tag(step.image, str(reference))
        try:
            auth = self.client.auth(reference.repository)
            announced = self.engine.push(str(reference), auth, lambda event: self.on_event(step, event))
        finally:
            with contextlib.suppress(MlorchError):
                self.engine.remove_image(str(reference))  # the layer's own name holds it
        found = self.client.head_manifest(reference.repository, reference.tag)
        if found is None or (announced and found.digest != announced):
            now = found.digest if found else "nothing"
            raise RegistryError(
                f"{reference} was pushed as {announced}, and the registry has {now} there",
                hint="does somebody else push the same? run it again",
                slug="digest-mismatch",
            )
        return found.digest


# -- published lists -----------------------------------------------------------------------


def read_published(path: Path) -> dict[str, Published]:
    """The images of a list by content id.

    Raises:
        UsageError: `no-published-list`, there is no such file.
        DefinitionError: faults of the file, located.
    """
    from orchestrator.definitions.kinds.settings import PublishedList
    from orchestrator.definitions.yaml import decode, read_document

    if not path.is_file():
        raise UsageError(
            f"there is no list of published images at {path}",
            hint="`mlorch images push REGISTRY -o FILE` writes one",
            slug="no-published-list",
        )
    found = decode(read_document(path), PublishedList)
    return {image.content_id: Published(**image.model_dump()) for image in found.images}


def write_published(path: Path, images: Iterable[Published]) -> None:
    """Write a list: JSON where the name ends so, else YAML; what was there before goes.

    Raises `WriteFailed`.
    """
    document = {"version": 1, "images": [asdict(image) for image in images]}
    if path.suffix == ".json":
        text = json.dumps(document, indent=1) + "\n"
    else:
        head = "# Images that were published, by digest. Written by mlorch; `images: FILE` in mlorch.yaml binds them.\n"
        text = head + "version: 1\nimages:\n" + "".join(_yaml(asdict(image)) for image in images)
    atomic_write_text(output_path(path), text, overwrite=True, mode=0o644)


def _yaml(fields: Mapping[str, str]) -> str:
    """One element; every value is a name, a hash or a host, and JSON's strings are YAML's."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "".join(f"{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(lines))
