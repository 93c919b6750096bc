"""Cross checks: whether the names, files, hashes and locks that recipes refer to exist and fit."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from orchestrator.definitions.catalog.check_assets import check_inputs, check_lock, check_sources
from orchestrator.definitions.catalog.check_campaigns import check_campaign
from orchestrator.definitions.catalog.check_choices import check_choices
from orchestrator.definitions.catalog.check_harness import check_interface, check_program
from orchestrator.definitions.catalog.check_names import exists, of_level
from orchestrator.definitions.catalog.check_rounds import check_benchmark, check_round
from orchestrator.definitions.catalog.check_servers import check_roles, check_server
from orchestrator.definitions.kinds.assets import Dataset, Model
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.campaigns import Campaign
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.kinds.rounds import Round
from orchestrator.definitions.kinds.servers import Server
from orchestrator.definitions.kinds.sources import RecipeFile
from orchestrator.definitions.kinds.targets import Target
from orchestrator.definitions.locks import no_lock, normalised, pinned_locations, unpinned
from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog, Entry
    from orchestrator.errors import Problem

Loc = tuple[str | int, ...]


def check(catalog: Catalog) -> tuple[Problem, ...]:
    """Every fault between definitions, in the order of kinds and names; reads files and locks."""
    return (
        *check_references(catalog),
        *check_choices(catalog, check_entry),
        *(p for entry in catalog.entries() for p in _files(catalog, entry)),
    )


def check_references(catalog: Catalog) -> tuple[Problem, ...]:
    """The part of `check` that needs no file: names that are not defined, layers at the wrong level."""
    return tuple(problem for entry in catalog.entries() for problem in check_entry(catalog, entry))


def check_entry(catalog: Catalog, entry: AnyEntry) -> tuple[Problem, ...]:
    """`check_references` of one definition."""
    return tuple(_names(catalog, entry))


# -- names -------------------------------------------------------------------------------


def _names(catalog: Catalog, entry: AnyEntry) -> Iterator[Problem]:
    match entry.definition:
        case Target() as target:
            yield from _target(catalog, entry, target)
        case Layer() as layer:
            yield from _over(catalog, entry, layer)
            yield from _from_source(catalog, entry, layer)
        case Harness() as harness:
            yield from of_level(catalog, entry, harness.loadgen, ("loadgen",), "loadgen")
            yield from of_level(catalog, entry, harness.deps, ("deps",), "harness")
            yield from of_level(catalog, entry, harness.code, ("code",), "code")
            for index, name in enumerate(harness.targets):
                yield from exists(catalog, entry, "target", name, ("targets", index))
            yield from _images(catalog, entry, harness)
            if harness.program is not None:
                yield from check_program(catalog, entry, harness.program)
        case Benchmark() as benchmark:
            yield from _benchmark(catalog, entry, benchmark)
            yield from check_roles(catalog, entry, benchmark)
            yield from check_benchmark(catalog, cast("Entry[Benchmark]", entry))
        case Model() | Dataset() as asset:
            yield from _asset(catalog, entry, asset)
        case _:
            yield from _more_names(catalog, entry)


def _more_names(catalog: Catalog, entry: AnyEntry) -> Iterator[Problem]:
    match entry.definition:
        case Server() as server:
            yield from check_server(catalog, entry, server)
        case Round() as rules:
            yield from of_level(catalog, entry, rules.loadgen.layer, ("loadgen", "layer"), "loadgen")
            yield from check_round(catalog, cast("Entry[Round]", entry))
        case Campaign() as campaign:
            yield from check_campaign(catalog, entry, campaign)
        case _:
            pass


def _target(catalog: Catalog, entry: AnyEntry, target: Target) -> Iterator[Problem]:
    yield from of_level(catalog, entry, target.base, ("base",), "base")
    yield from of_level(catalog, entry, target.runtime, ("runtime",), "runtime")
    for framework, layer in target.frameworks.items():
        yield from of_level(catalog, entry, layer, ("frameworks", framework), "framework")
    for index, name in enumerate(target.host):
        yield from exists(catalog, entry, "hostchecks", name, ("host", index))
    for name, other in target.instead.items():
        yield from _instead(catalog, entry, name, other)
    if target.side is not None:
        yield from exists(catalog, entry, "target", target.side, ("side",))
    yield from _own_frameworks(entry, target)


def _instead(catalog: Catalog, entry: AnyEntry, name: str, other: str) -> Iterator[Problem]:
    """Whether a layer that takes another's place is of its level and holds the same packages."""
    loc: Loc = ("instead", name)
    yield from exists(catalog, entry, "layer", name, loc)
    own = catalog.by_key.get(("layer", name))
    if own is None or not isinstance(own.definition, Layer):
        return
    yield from of_level(catalog, entry, other, loc, own.definition.level)
    found = catalog.by_key.get(("layer", other))
    if found is None or not isinstance(found.definition, Layer):
        return
    if set(found.definition.python) != set(own.definition.python):
        message = f"layer `{other}` does not hold what `{name}` does: {', '.join(own.definition.python) or 'nothing'}"
        yield entry.document.fault("instead-differs", message, loc, "the rules of a round ask for this version")


def _images(catalog: Catalog, entry: AnyEntry, harness: Harness) -> Iterator[Problem]:
    """Whether the vendor's images of a harness are for targets that it runs on, with layers that there are."""
    for name, image in harness.images.items():
        loc = ("images", name)
        yield from of_level(catalog, entry, image.base, (*loc, "base"), "base")
        yield from of_level(catalog, entry, image.runtime, (*loc, "runtime"), "runtime")
        if harness.targets and name not in harness.targets:
            message = f"an image for target `{name}`, which is none of the harness's `targets`"
            yield entry.document.fault("unknown-target", message, loc, suggestion(name, harness.targets))
            continue
        known = catalog.by_key.get(("target", name))
        if known is None:
            yield from exists(catalog, entry, "target", name, loc)
            continue
        target = cast("Target", known.definition)
        for index, platform in enumerate(image.platforms):
            if platform not in target.platforms:
                message = f"target `{name}` has no images for {platform}"
                hint = f"it has: {', '.join(target.platforms)}"
                yield entry.document.fault("unsupported-platform", message, (*loc, "platforms", index), hint)


def _from_source(catalog: Catalog, entry: AnyEntry, layer: Layer) -> Iterator[Problem]:
    """Whether what is compiled is a requirement of the layer, and the layer names a toolchain."""
    if layer.toolchain is not None:
        yield from of_level(catalog, entry, layer.toolchain, ("toolchain",), "side")
    asked = {normalised(text.partition("==")[0]) for text in layer.python}
    for platform, names in layer.from_source.items():
        if names and layer.toolchain is None:
            message = f"layer `{layer.name}` compiles on {platform} and names no toolchain"
            hint = "write `toolchain: toolchain-cpp`, or another side layer with a compiler"
            yield entry.document.fault("toolchain-missing", message, ("from_source", platform), hint)
        for index, name in enumerate(names):
            if normalised(name) not in asked:
                message = f"`{name}` is compiled on {platform}, and `python` does not ask for it"
                hint = f"write `{name}==VERSION` under `python`"
                yield entry.document.fault("source-unasked", message, ("from_source", platform, index), hint)


def _over(catalog: Catalog, entry: AnyEntry, layer: Layer) -> Iterator[Problem]:
    """Whether the layers below exist, are of the same level (of a server's image: a framework), and form no circle."""
    if layer.over is None:
        return
    over = catalog.by_key.get(("layer", layer.over))
    serves = layer.level == "side" and over is not None and getattr(over.definition, "level", "") == "framework"
    yield from of_level(catalog, entry, layer.over, ("over",), "framework" if serves else layer.level)
    seen, at = [layer.name], layer.over
    while at not in seen:
        below = catalog.by_key.get(("layer", at))
        if below is None or not isinstance(below.definition, Layer) or below.definition.over is None:
            return
        seen.append(at)
        at = below.definition.over
    if at == layer.name:  # a circle further down is a fault of the layers there
        message = f"layer `{layer.name}` lies over itself: {' over '.join([*seen, at])}"
        yield entry.document.fault("layer-circle", message, ("over",), "leave one `over` out")


def _own_frameworks(entry: AnyEntry, target: Target) -> Iterator[Problem]:
    """Whether the frameworks that a target names elsewhere are its own."""
    named = [(name, entry.document.span(("providers", name), key=True)) for name in target.providers]
    named += [(name, entry.document.span(("prefer", index))) for index, name in enumerate(target.prefer)]
    for framework, span in named:
        if framework not in target.frameworks:
            message = f"`{framework}` is no framework of this target"
            yield entry.document.problem("unknown-framework", message, span, suggestion(framework, target.frameworks))


def _benchmark(catalog: Catalog, entry: AnyEntry, benchmark: Benchmark) -> Iterator[Problem]:
    yield from of_level(catalog, entry, benchmark.layer, ("layer",), "benchmark")
    yield from exists(catalog, entry, "model", benchmark.model, ("model",))
    yield from exists(catalog, entry, "dataset", benchmark.dataset, ("dataset",))
    yield from exists(catalog, entry, "harness", benchmark.harness, ("harness",))
    harness = catalog.by_key.get(("harness", benchmark.harness))
    if harness is not None and isinstance(harness.definition, Harness):
        backends = harness.definition.backends
        unknown = [(at, name) for at, name in enumerate(benchmark.frameworks) if name not in backends]
        for index, name in unknown:
            message = f"harness `{benchmark.harness}` has no backend for framework `{name}`"
            yield entry.document.fault("unknown-framework", message, ("frameworks", index), suggestion(name, backends))
        if unknown:
            return
        if harness.definition.program is None:
            yield from _loadable(catalog, entry, benchmark, harness.definition)
    yield from check_interface(catalog, entry, benchmark)
    yield from _somewhere(catalog, entry, benchmark)


def _somewhere(catalog: Catalog, entry: AnyEntry, benchmark: Benchmark) -> Iterator[Problem]:
    """Whether any target can run a benchmark; not checked where a target could not be read."""
    if any(kind == "target" for kind, _ in catalog.broken):
        return
    harness = catalog.by_key.get(("harness", benchmark.harness))
    only = harness.definition.targets if harness and isinstance(harness.definition, Harness) else ()
    targets = [entry.definition for entry in catalog.targets() if not only or entry.definition.name in only]
    has = sorted({name for target in targets for name in target.frameworks})
    if not set(benchmark.frameworks).intersection(has):
        message = f"no target has a layer for {' or '.join(f'`{name}`' for name in benchmark.frameworks)}"
        hint = f"targets have: {', '.join(has) or 'none'}; add one under `frameworks` of a target"
        yield entry.document.fault("unsupported-framework", message, ("frameworks",), hint)


def _loadable(catalog: Catalog, entry: AnyEntry, benchmark: Benchmark, harness: Harness) -> Iterator[Problem]:
    """Whether any of the frameworks finds a file of the model that it can load."""
    model = catalog.by_key.get(("model", benchmark.model))
    if model is None or not isinstance(model.definition, Model):
        return
    if not any(model.definition.is_for(harness.backends[name]) for name in benchmark.frameworks):
        message = f"model `{benchmark.model}` has no file that {' or '.join(benchmark.frameworks)} loads"
        hint = "take another framework, or write the file under `files` of the model's recipe"
        yield entry.document.fault("unloadable-model", message, ("model",), hint)


def _asset(catalog: Catalog, entry: AnyEntry, asset: Model | Dataset) -> Iterator[Problem]:
    if asset.prepare is not None:
        yield from of_level(catalog, entry, asset.prepare.layer, ("prepare", "layer"), "side")
        yield from check_inputs(catalog, entry, asset.prepare)
    yield from check_sources(entry, asset)
    files = [output.path for output in asset.outputs]
    for index, file in enumerate(files):
        if file in files[:index]:
            yield entry.document.fault("duplicate-output", f"a second output `{file}`", ("outputs", index, "file"))
    named: dict[Loc, str] = {}
    if isinstance(asset, Model):
        named |= {("files", backend): file for backend, file in asset.files.items()}
        for name in asset.reaches:
            yield from exists(catalog, entry, "dataset", name, ("reaches", name))
    if isinstance(asset, Dataset):
        for name in asset.parameters:
            yield from exists(catalog, entry, "harness", name, ("parameters", name))
        arrays = asset.all_arrays
        named |= {("arrays", key) if key in asset.arrays else (key,): arrays[key] for key in arrays}
    for loc, file in named.items():
        if not any(output.has(file) for output in asset.outputs):
            yield entry.document.fault(
                "unknown-output", f"`{file}` is not among the outputs", loc, suggestion(file, files)
            )


# -- files, hashes, locks ----------------------------------------------------------------


def _files(catalog: Catalog, entry: AnyEntry) -> Iterator[Problem]:
    match entry.definition:
        case Layer() as layer:
            yield from _template(catalog, entry, layer)
            for copied in layer.copy_files:
                yield from _exists(catalog, entry, copied.source)
            yield from _lock(catalog, entry, layer)
        case Model() | Dataset() as asset:
            for script in asset.prepare.files if asset.prepare is not None else ():
                yield from _exists(catalog, entry, script)
            yield from check_lock(catalog, entry, asset)
            for output in asset.outputs:
                if output.manifest is not None:
                    yield from _exists(catalog, entry, output.manifest)
            for index, source in enumerate(asset.sources):
                if isinstance(source, RecipeFile):
                    yield from _hashes(catalog, entry, asset, source, index)
        case _:
            pass


def _template(catalog: Catalog, entry: AnyEntry, layer: Layer) -> Iterator[Problem]:
    try:
        catalog.template(layer.template)
    except DefinitionError as error:
        yield entry.document.fault(error.slug, error.message, ("template",), error.hint)


def _exists(catalog: Catalog, entry: AnyEntry, source: str) -> Iterator[Problem]:
    try:
        catalog.file(entry, source)
    except DefinitionError as error:
        yield from error.problems()


def _hashes(
    catalog: Catalog, entry: AnyEntry, asset: Model | Dataset, source: RecipeFile, index: int
) -> Iterator[Problem]:
    """Whether a file beside the recipe is the one that `sources`, and `outputs` where it becomes one as it is, name."""
    try:
        with catalog.file(entry, source.path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except DefinitionError as error:
        yield from error.problems()
        return
    except OSError as error:
        yield entry.document.fault("unreadable", f"cannot read `{source.path}`: {error.strerror}", ("sources", index))
        return
    written: dict[Loc, str] = {("sources", index, "sha256"): source.sha256}
    for at, output in enumerate(asset.outputs):
        if asset.prepare is None and output.file == PurePosixPath(source.path).name:
            written["outputs", at, "sha256"] = output.sha256
    for loc, sha256 in written.items():
        if found != sha256:
            message = f"`{source.path}` hashes to {found[:12]}…, not to what is written here"
            yield entry.document.fault("hash-mismatch", message, loc, f"if the file is right, write sha256: {found}")


def _lock(catalog: Catalog, entry: AnyEntry, layer: Layer) -> Iterator[Problem]:
    """Whether the packages that a layer asks for are pinned in its lock, on every platform of the lock."""
    first = next(pinned_locations(layer), None)
    if first is None:
        return
    try:
        lock = catalog.lock(layer.name)
    except DefinitionError as error:
        yield from error.problems()
        return
    hint = f"run `mlorch images lock {layer.name}`"
    if lock is not None and layer.unlocked:
        message = f"layer `{layer.name}` has a lock, and says that it has none"
        yield entry.document.fault("lock-stale", message, ("unlocked",), "take `unlocked` out")
    if lock is None and layer.unlocked:
        return
    if lock is None:
        yield entry.document.fault("lock-missing", no_lock(layer), first, hint)
        return
    for platform, pins in lock.platforms.items():
        for message, loc in unpinned(layer, pins, platform):
            yield entry.document.fault("lock-missing", f"layer `{layer.name}` on {platform}: {message}", loc, hint)
