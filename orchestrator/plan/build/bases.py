"""The bases that an image can stand on: of the recipe, of --base-source, or a vendor's. Pure over the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.layers import BootstrapSource, Layer, OciSource, RegistrySource
from orchestrator.definitions.locks import base_digest
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.harnesses import VendorImage
    from orchestrator.definitions.kinds.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The base that was chosen: its source, and what pins it (a digest, or the lock's packages)."""

    kind: str
    package_manager: str
    image: str = ""
    digest: str = ""
    path: str = ""

    @property
    def identity(self) -> str:
        """What counts in a content id: the digest, and for a registry the name that the text holds; no path."""
        if self.kind == "registry" and not self.digest:
            return f"registry:{self.image}"
        return f"{self.kind}:{self.image}@{self.digest}" if self.digest else self.kind

    @property
    def unlocked(self) -> bool:
        """Whether nobody has looked up the digest yet: good to plan and render, never to build."""
        return self.kind == "registry" and not self.digest

    @property
    def option(self) -> str:
        """The --base-source that asks for exactly this base."""
        if self.kind == "registry":
            return f"registry:{self.image}@{self.digest}"
        return f"oci:{self.path}" if self.kind == "oci" else self.kind


def base_candidates(catalog: Catalog, target: str, platform: str | None = None, source: str = "") -> tuple[Base, ...]:
    """The bases that can be tried, in the recipe's order; `source` is the value of --base-source.

    A registry image without a digest, in the recipe or the lock, is a moving reference: it
    comes into question only where nothing else does, and then it is `Base.unlocked`.
    ``registry:IMAGE@sha256:…`` and ``oci:PATH`` bring their own.

    Raises:
        UsageError: nothing is left, or the source is not understood.
    """
    on = catalog.target(target).definition
    layer = catalog.layer(on.base).definition
    at = platform_on(on, platform)
    kind, _, rest = source.partition(":")
    if rest:
        return (_requested_base(kind, rest, layer),)
    found = [_base(catalog, layer, one, at) for one in layer.sources]
    if kind:
        found = [base for base in found if base.kind == kind]
    locked = [base for base in found if not base.unlocked]
    if not found:
        kinds = ", ".join(sorted({one.kind for one in layer.sources})) or "none"
        which = f"`{source}` " if source else ""
        raise UsageError(
            f"no base source {which}can be used for `{layer.name}` on {at}",
            hint=f"the recipe has: {kinds}; or give --base-source registry:IMAGE@sha256:… or oci:PATH",
            slug="no-base-source",
        )
    return tuple(locked or found)


def vendor_base(catalog: Catalog, on: Target, image: VendorImage, platform: str, asked: Base | None) -> Base:
    """The base of a harness that brings its vendor's image.

    ``asked`` is what the build would stand on. Where that is one of the target's own bases, nobody asked for it and
    the vendor's image takes its place; any other was named with --base-source: a copy of the vendor's image.
    """
    if asked is not None and not _of_target(catalog, on, platform, asked):
        return asked
    own = [_base(catalog, catalog.layer(image.base).definition, one, platform) for one in _sources(catalog, image.base)]
    return next((base for base in own if not base.unlocked), own[0])


def _sources(catalog: Catalog, layer: str) -> tuple[RegistrySource | OciSource | BootstrapSource, ...]:
    return catalog.layer(layer).definition.sources


def _of_target(catalog: Catalog, on: Target, platform: str, base: Base) -> bool:
    """Whether ``base`` is one that the target's own recipe has; of those on this machine any (`oci`) that it has."""
    layer = catalog.layer(on.base).definition
    own = [_base(catalog, layer, one, platform) for one in layer.sources]
    if base.kind == "registry":
        return any(base.identity == one.identity for one in own)
    return any(base.kind == one.kind for one in own)


def _requested_base(kind: str, rest: str, layer: Layer) -> Base:
    if kind == "registry":
        image, at, digest = rest.partition("@")
        if not at or not digest.startswith("sha256:") or len(digest) != len("sha256:") + 64:
            raise UsageError(
                f"--base-source registry:{rest} names no digest",
                hint="a tag can move; write registry:IMAGE@sha256:<64 hex digits>",
                slug="moving-reference",
            )
        # The recipe knows how packages come into images of this kind: a vendor's may be no Debian at all.
        managers = [source.package_manager for source in layer.sources if isinstance(source, RegistrySource)]
        return Base(kind="registry", package_manager=managers[0] if managers else "apt", image=image, digest=digest)
    if kind == "oci":
        return Base(kind="oci", package_manager="none", path=rest)
    raise UsageError(
        f"--base-source `{kind}` is not known",
        hint="use bootstrap, registry, registry:IMAGE@sha256:… or oci:PATH",
        slug="unknown-base-source",
    )


def _base(catalog: Catalog, layer: Layer, source: RegistrySource | OciSource | BootstrapSource, platform: str) -> Base:
    match source:
        case BootstrapSource():
            return Base(kind="bootstrap", package_manager="none")
        case OciSource(path=path, package_manager=manager):
            return Base(kind="oci", package_manager=manager, path=path)
        case RegistrySource(image=image, package_manager=manager):
            digest = base_digest(catalog, layer, source, platform)
            return Base(kind="registry", package_manager=manager, image=image, digest=digest)


def platform_on(target: Target, requested: str | None) -> str:
    if requested is None:
        return target.platforms[0]
    if requested not in target.platforms:
        raise UsageError(
            f"target `{target.name}` has no images for {requested}",
            hint=f"it has: {', '.join(target.platforms)}",
            slug="unsupported-platform",
        )
    return requested
