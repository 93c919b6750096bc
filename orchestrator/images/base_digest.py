"""The digest of a base image for one platform, as its registry gives it: never one that nobody answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.http.client import Client
    from orchestrator.images.registry.client import Registry
    from orchestrator.images.registry.manifests import Descriptor, Manifest


def digest_of(image: str, platform: str, http: Client | None = None) -> str:
    """The digest of the manifest that ``image`` (with its tag) has for ``platform`` now.

    Of an index it is the platform's own manifest, so that a lock for one platform does
    not move when another is built anew.

    Raises:
        RegistryError: what `Registry` raises; `no-platform` where there is no image for it.
        UsageError: `bad-reference`.
    """
    from orchestrator.facts.references import parse_reference
    from orchestrator.images.registry.client import Registry

    reference = parse_reference(image)
    registry = Registry.at(reference.host, http)
    manifest = registry.get_manifest(reference.repository, reference.wanted)
    if not manifest.is_index:
        found = _platform_of(registry, reference.repository, manifest)
        if found != platform:
            raise _no_platform(image, platform, [found])
        return manifest.digest
    members = [one for one in manifest.manifests() if one.platform and not one.platform.startswith("unknown/")]
    for one in members:
        if _fits(one, platform):
            return one.digest
    raise _no_platform(image, platform, [one.platform for one in members])


def _fits(one: Descriptor, platform: str) -> bool:
    """Whether a member of an index is for ``platform``; the variant of 64-bit Arm is always v8."""
    return one.platform in {platform, f"{platform}/v8"}


def _platform_of(registry: Registry, repository: str, manifest: Manifest) -> str:
    """What the configuration of a single image says: ``linux/amd64``."""
    digest = manifest.config().digest
    try:
        facts = json.loads(registry.read_blob(repository, digest))
        return f"{facts['os']}/{facts['architecture']}"
    except (ValueError, KeyError, TypeError):
        raise RegistryError(
            f"the configuration {digest} of {registry.host}/{repository} names no platform", slug="bad-manifest"
        ) from None


def _no_platform(image: str, platform: str, there: Sequence[str]) -> RegistryError:
    return RegistryError(
        f"`{image}` has no image for {platform}",
        hint=f"it has: {', '.join(dict.fromkeys(there)) or 'none'}",
        slug="no-platform",
    )
