"""Images as registries hold them: the one for a platform, and what its own configuration says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError
from orchestrator.facts.references import parse_reference
from orchestrator.facts.strict_json import strict_json
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.manifests import config_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.facts.references import Reference
    from orchestrator.http.client import Client
    from orchestrator.images.registry.manifests import ImageConfig, Manifest


def image_digest(image: str, platform: str, http: Client | None = None) -> str:
    """The digest of the manifest that ``image`` (with its tag) has for ``platform`` now.

    Of an index it is the platform's own manifest, so that a lock for one platform does
    not move when another is built anew.

    Raises:
        RegistryError: what `Registry` raises; `no-platform` where there is no image for it.
        UsageError: `bad-reference`.
    """
    reference = parse_reference(image)
    registry = Registry.at(reference.host, http)
    manifest = registry.get_manifest(reference.repository, reference.wanted)
    if manifest.is_index:
        return _member(manifest, platform, image)
    found = image_config(registry, reference.repository, manifest).platform
    if not found:
        raise RegistryError(
            f"the configuration {manifest.config().digest} of {registry.host}/{reference.repository} names no platform",
            slug="bad-manifest",
        )
    if found != platform:
        raise _no_platform(image, platform, [found])
    return manifest.digest


def image_manifest(registry: Registry, reference: Reference, platform: str) -> Manifest:
    """The manifest that a reference means on ``platform``. Raises `RegistryError` (`no-platform`)."""
    manifest = registry.get_manifest(reference.repository, reference.wanted)
    if not manifest.is_index:
        return manifest
    return registry.get_manifest(reference.repository, _member(manifest, platform, str(reference)))


def image_config(registry: Registry, repository: str, manifest: Manifest) -> ImageConfig:
    """What the configuration of an image says; empty where it is none. Raises `RegistryError` as the client."""
    data = registry.read_blob(repository, manifest.config().digest)
    try:
        return config_from(strict_json(data.decode()))
    except ValueError:
        return config_from(None)


def _member(index: Manifest, platform: str, shown: str) -> str:
    digest = index.member(platform)
    if digest is None:
        there = [one.platform for one in index.manifests()]
        raise _no_platform(shown, platform, [name for name in there if name and not name.startswith("unknown/")])
    return digest


def _no_platform(image: str, platform: str, there: Sequence[str]) -> RegistryError:
    return RegistryError(
        f"`{image}` has no image for {platform}",
        hint=f"it has: {', '.join(dict.fromkeys(there)) or 'none'}",
        slug="no-platform",
    )
