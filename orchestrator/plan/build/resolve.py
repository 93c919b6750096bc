"""Which layers make an image: target × benchmark → an ordered chain. Pure over the catalogue.

L0 base ← L1 runtime ← L2 framework ← L3 loadgen ← L4 harness dependencies, harness code
← L5 benchmark. A side image (prep) hangs below the runtime.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.rounds import loadgen_layer
from orchestrator.errors import UsageError
from orchestrator.plan.build.bases import Base, base_candidates, platform_on, vendor_base
from orchestrator.plan.build.frameworks import benchmark_in, framework_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.harnesses import VendorImage
    from orchestrator.definitions.kinds.layers import Layer
    from orchestrator.definitions.kinds.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One image to be: its target, its benchmark (None for a side image) and its layers, parents first."""

    target: Entry[Target]
    benchmark: Entry[Benchmark] | None
    platform: str
    base: Base
    layers: tuple[Entry[Layer], ...]
    image_name: str
    arch: str = ""
    """What device code is built for; empty where the target has no such axis."""
    framework: str = ""
    """The one that was chosen of those that target and benchmark share; empty for a side image."""


def resolve(
    catalog: Catalog,
    *,
    target: str,
    benchmark: str,
    platform: str | None = None,
    base: Base | None = None,
    arch: str | None = None,
    round_name: str = "",
) -> Resolution:
    """The chain of layers of `benchmark` on `target`.

    Raises:
        UsageError: an unknown name, a benchmark that does not support the target, or a
            platform or arch that it has nothing for; a round that does not fit (see `benchmark_in`);
            each with what there is instead.
    """
    on, what = catalog.target(target).definition, benchmark_in(catalog, benchmark, round_name)
    framework = framework_of(catalog, target=target, benchmark=benchmark)
    harness = catalog.harness(what.definition.harness).definition
    loadgen = loadgen_layer(catalog, what.definition)
    image = harness.images.get(target)
    lowest = [on.base, on.runtime]
    if image is not None:
        lowest = [image.base, image.runtime]
        platform = _platform_of_image(on, image, platform)
        base = vendor_base(catalog, on, image, platform, base)
    tops = [*lowest, on.frameworks[framework], loadgen, harness.deps, harness.code, what.definition.layer]
    if image is None:  # with a vendor's image the harness names what fits it
        tops = [on.instead.get(top, top) for top in tops]
    names = [name for top in tops for name in stack(catalog, top)]
    found = _resolution(catalog, target, names, platform, base)
    name = f"{benchmark}-{target}"
    return replace(found, benchmark=what, framework=framework, arch=arch_of(on, arch), image_name=name)


def resolve_framework(
    catalog: Catalog,
    *,
    target: str,
    framework: str,
    platform: str | None = None,
    base: Base | None = None,
    arch: str | None = None,
) -> Resolution:
    """The chain up to a framework: what a target has that no benchmark can use yet."""
    on = catalog.target(target).definition
    last = on.frameworks[framework]
    found = _resolution(catalog, target, (on.base, on.runtime, last), platform, base)
    return replace(found, framework=framework, arch=arch_of(on, arch), image_name=last)


def arch_of(target: Target, requested: str | None) -> str:
    """What device code is built for: ``requested``, else the target's default; empty for a target without the axis.

    Raises:
        UsageError: the target has no such axis, or not this choice.
    """
    if target.arch is None:
        if not requested:
            return ""
        raise UsageError(
            f"target `{target.name}` is not built for a kind of device; --arch {requested} means nothing to it",
            hint="leave --arch out",
            slug="unsupported-arch",
        )
    if requested and requested not in target.arch.choices:
        raise UsageError(
            f"target `{target.name}` has nothing for arch `{requested}`",
            hint=f"it has: {', '.join(target.arch.choices)}",
            slug="unsupported-arch",
        )
    return requested or target.arch.default


def resolve_side(
    catalog: Catalog, *, target: str, layer: str, platform: str | None = None, base: Base | None = None
) -> Resolution:
    """The chain of a side image: the target's base, the lowest layer of its runtime, then `layer`.

    What a vendor adds to the runtime is for the device, and a side image never sees one. Where the target names
    another one for its `side`, those of that one are taken. The image of a server is another thing: it lies over a
    framework of the target's and sees its devices, so it has the whole runtime.
    """
    on = catalog.target(target).definition
    own = stack(catalog, layer)
    if catalog.layer(own[0]).definition.level == "framework":
        return _resolution(
            catalog, target, (*stack(catalog, on.base), *stack(catalog, on.runtime), *own), platform, base
        )
    if on.side is not None:
        found = resolve_side(catalog, target=on.side, layer=layer, platform=platform or on.platforms[0])
        return replace(found, target=catalog.target(target), image_name=f"{layer}-{target}")
    names = (*stack(catalog, on.base), stack(catalog, on.runtime)[0], *own)
    return _resolution(catalog, target, names, platform, base)


def stack(catalog: Catalog, top: str) -> tuple[str, ...]:
    """The layer `top` and those that it lies over, the lowest first."""
    names: list[str] = []
    at: str | None = top
    while at is not None and at not in names:  # a circle is reported by the checker
        names.append(at)
        at = catalog.layer(at).definition.over
    return tuple(reversed(names))


def _platform_of_image(on: Target, image: VendorImage, requested: str | None) -> str:
    """The platform asked for, if the vendor's image is there for it; the image's first where none was."""
    platform = platform_on(on, requested) if requested else image.platforms[0]
    if platform not in image.platforms:
        raise UsageError(
            f"the vendor's image that the harness needs on `{on.name}` is not there for {platform}",
            hint=f"it is there for: {', '.join(image.platforms)}",
            slug="unsupported-platform",
        )
    return platform


def _resolution(
    catalog: Catalog, target: str, names: Sequence[str], platform: str | None, base: Base | None
) -> Resolution:
    """A side image of these layers."""
    entry = catalog.target(target)
    at = platform_on(entry.definition, platform)
    return Resolution(
        target=entry,
        benchmark=None,
        platform=at,
        base=base or base_candidates(catalog, target, at)[0],
        layers=tuple(catalog.layer(name) for name in names),
        image_name=f"{names[-1]}-{target}",
    )
