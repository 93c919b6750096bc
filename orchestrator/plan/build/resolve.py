"""Which layers make an image: target × benchmark → an ordered chain. Pure over the catalogue.

L0 base ← L1 runtime ← L2 framework ← L3 loadgen ← L4 harness dependencies, harness code
← L5 benchmark. A side image (prep) hangs below the runtime.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.check_rounds import round_faults
from orchestrator.definitions.catalog.choose import chosen
from orchestrator.definitions.catalog.rounds import loadgen_layer
from orchestrator.definitions.kinds.recipes import (
    Benchmark,
    BootstrapSource,
    Layer,
    OciSource,
    RegistrySource,
    Target,
    VendorImage,
)
from orchestrator.definitions.locks import base_digest
from orchestrator.definitions.variations import choices_of
from orchestrator.errors import MlorchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog, Entry


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


def shared_frameworks(target: Target, benchmark: Benchmark, only: Sequence[str] = ()) -> tuple[str, ...]:
    """The frameworks that both have, the one to use first: what the target prefers, then the benchmark's order.

    ``only`` are the targets that the benchmark's harness runs on, where it does not run on every one.
    """
    if only and target.name not in only:
        return ()
    shared = [name for name in benchmark.frameworks if name in target.frameworks]
    ranks = {name: rank for rank, name in enumerate(target.prefer)}
    return tuple(sorted(shared, key=lambda name: ranks.get(name, len(ranks))))


def _shared(catalog: Catalog, target: Target, benchmark: Benchmark) -> tuple[str, ...]:
    """As `shared_frameworks`, of those that can load the benchmark's model under its harness."""
    harness = catalog.harness(benchmark.harness).definition
    found = shared_frameworks(target, benchmark, harness.targets)
    if harness.program is not None:
        return found
    model = catalog.model(benchmark.model).definition
    return tuple(name for name in found if model.is_for(harness.backends[name]))


def benchmarks_of(catalog: Catalog, target: str) -> tuple[str, ...]:
    """The benchmarks that `target` can run, sorted. Raises `UsageError` for an unknown target."""
    on = catalog.target(target).definition
    found = (entry.definition for entry in catalog.benchmarks())
    return tuple(what.name for what in found if _shared(catalog, on, what))


def targets_of(catalog: Catalog, benchmark: Benchmark) -> tuple[str, ...]:
    """The targets that can run `benchmark`, sorted."""
    found = (entry.definition for entry in catalog.targets())
    return tuple(on.name for on in found if _shared(catalog, on, benchmark))


def benchmark_in(catalog: Catalog, name: str, round_name: str = "") -> Entry[Benchmark]:
    """A benchmark by the rules of a round; of the one that its recipe names where none is given.

    Raises:
        UsageError: `unknown-benchmark`, `unknown-round`; `unknown-round-model`, `loadgen-round`, `loadgen-model`
            where the round has no such model, or does not accept the LoadGen of the harness.
    """
    entry = catalog.benchmark(name)
    if not round_name:
        return entry  # checked with the recipe
    catalog.round(round_name)
    found = replace(entry, definition=entry.definition.model_copy(update={"round": round_name}))
    fault = next(round_faults(catalog, found.definition), None)
    if fault is not None:
        raise UsageError(f"benchmark `{name}`: {fault.message}", hint=fault.hint, slug=fault.slug)
    return found


def framework_of(catalog: Catalog, *, target: str, benchmark: str) -> str:
    """The framework that `benchmark` uses on `target`.

    Raises:
        UsageError: an unknown name, or the two share no framework; with what each has.
    """
    on, what = catalog.target(target).definition, catalog.benchmark(benchmark).definition
    shared = _shared(catalog, on, what)
    if not shared:
        raise _unsupported(catalog, on, what)
    return shared[0]


def _unsupported(catalog: Catalog, on: Target, what: Benchmark) -> UsageError:
    hint = f"it runs on: {', '.join(targets_of(catalog, what)) or 'no target'}"
    both = [name for name in what.frameworks if name in on.frameworks]
    only = catalog.harness(what.harness).definition.targets
    if both and only and on.name not in only:
        why = f"its harness `{what.harness}` does not run there"
    elif both:
        why = f"and its model `{what.model}` has no file that {' or '.join(both)} loads"
        hint += "; write one under `files` of the model's recipe"
    else:
        why = f"which has no layer for {' or '.join(what.frameworks)}"
        hint += f"; `{on.name}` has {', '.join(on.frameworks)}: add another under `frameworks` of its recipe"
    choices = _choices_that_run(catalog, on, what)
    if choices:
        hint = f"on `{on.name}` it runs with {' or '.join(choices)}; as it is, {hint.partition(';')[0]}"
    message = f"benchmark `{what.name}` does not support target `{on.name}`, {why}"
    return UsageError(message, hint=hint, slug="unsupported-target")


def _choices_that_run(catalog: Catalog, on: Target, what: Benchmark) -> list[str]:
    """The choices, one each, with which a benchmark runs on a target that it does not run on by default."""
    entry = catalog.benchmark(what.name)
    found = []
    for choice in choices_of(entry.written or entry.document):
        try:
            other = chosen(catalog, entry, (choice,)).definition
        except MlorchError:  # what it excludes has to be chosen as well
            continue
        if _shared(catalog, on, other):  # type: ignore[arg-type]  # a benchmark
            found.append(f"`--set {choice.key}={choice.value}`")
    return found


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
    at = _platform(on, platform)
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


def _platform_of_image(on: Target, image: VendorImage, requested: str | None) -> str:
    """The platform asked for, if the vendor's image is there for it; the image's first where none was."""
    platform = _platform(on, requested) if requested else image.platforms[0]
    if platform not in image.platforms:
        raise UsageError(
            f"the vendor's image that the harness needs on `{on.name}` is not there for {platform}",
            hint=f"it is there for: {', '.join(image.platforms)}",
            slug="unsupported-platform",
        )
    return platform


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


def _resolution(
    catalog: Catalog, target: str, names: Sequence[str], platform: str | None, base: Base | None
) -> Resolution:
    """A side image of these layers."""
    entry = catalog.target(target)
    at = _platform(entry.definition, platform)
    return Resolution(
        target=entry,
        benchmark=None,
        platform=at,
        base=base or base_candidates(catalog, target, at)[0],
        layers=tuple(catalog.layer(name) for name in names),
        image_name=f"{names[-1]}-{target}",
    )


def _platform(target: Target, requested: str | None) -> str:
    if requested is None:
        return target.platforms[0]
    if requested not in target.platforms:
        raise UsageError(
            f"target `{target.name}` has no images for {requested}",
            hint=f"it has: {', '.join(target.platforms)}",
            slug="unsupported-platform",
        )
    return requested
