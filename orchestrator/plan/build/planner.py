"""From a resolution to frozen steps: text, context, identity of every layer. Pure.

The content id of a layer is a hash over named inputs (`orchestrator.plan.build.content`): the
rendered text, every file that it copies, every pinned package, its parent's id and
the platform. Same id, same image, on any machine; so an image is never built twice,
and `explain` can name the input that changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.definitions.locks import ROOTFS_SCHEME, platform_lock, require_locks
from orchestrator.errors import DefinitionError
from orchestrator.facts.steps import BuildPlan, DebPin, LayerStep, SdistPin, TreePin
from orchestrator.plan.build.content import (
    CONTENT,
    SETTLE,
    content_id,
    context_files,
    empty_folder,
    sha256_text,
    text_file,
)
from orchestrator.plan.build.layers import TOOL_REQUIREMENTS
from orchestrator.plan.build.render import Renderer, requirements
from orchestrator.plan.build.resolve import Resolution, benchmarks_of, resolve, resolve_framework

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.lock import Deb, PlatformLock, Sdist
    from orchestrator.definitions.kinds.recipes import Benchmark, Layer
    from orchestrator.facts.steps import ContextFile
    from orchestrator.plan.build.resolve import Base

PIP_LAYER = "pip"
"""The layer whose lock names the package with the pip that installs wheels."""


def build_plan(catalog: Catalog, resolution: Resolution, renderer: Renderer | None = None) -> BuildPlan:
    """The steps that build `resolution`, parents first.

    Raises:
        DefinitionError: a template, a lock or a copied file is wrong; located.
    """
    renderer = renderer or catalog_renderer(catalog)
    steps: list[LayerStep] = []
    try:
        for entry in resolution.layers:
            parent = steps[-1] if steps else None
            steps.append(_layer_step(catalog, renderer, resolution, entry, parent))
    except DefinitionError:
        # Of locks everything that drifted is told at once, not only that of the first layer.
        layers = [entry for entry in resolution.layers if _is_locked(resolution, entry.definition)]
        require_locks(catalog, layers, resolution.platform)
        raise
    return BuildPlan(
        target=resolution.target.definition.name,
        benchmark=resolution.benchmark.definition.name if resolution.benchmark else "",
        platform=resolution.platform,
        framework=resolution.framework,
        arch=resolution.arch,
        layers=tuple(steps),
    )


def catalog_renderer(catalog: Catalog) -> Renderer:
    """A renderer over the catalogue's templates."""

    def load(name: str) -> tuple[str, str]:
        template = catalog.template(name)
        return template.text, str(template.path)

    return Renderer(load)


def build_plans(
    catalog: Catalog,
    *,
    target: str,
    benchmarks: Sequence[str] = (),
    platform: str | None = None,
    base: Base | None = None,
    arch: str | None = None,
) -> tuple[BuildPlan, ...]:
    """A plan for each benchmark (all of the target's when none is named); layers that they share are equal.

    A target that no benchmark can use yet has plans of its frameworks.
    """
    renderer = catalog_renderer(catalog)
    names = benchmarks or benchmarks_of(catalog, target)
    if names:
        found = [
            resolve(catalog, target=target, benchmark=name, platform=platform, base=base, arch=arch) for name in names
        ]
    else:
        found = [
            resolve_framework(catalog, target=target, framework=name, platform=platform, base=base, arch=arch)
            for name in catalog.target(target).definition.frameworks
        ]
    return tuple(build_plan(catalog, resolution, renderer) for resolution in found)


# -- one layer ---------------------------------------------------------------------------


def _layer_step(
    catalog: Catalog, renderer: Renderer, resolution: Resolution, entry: Entry[Layer], parent: LayerStep | None
) -> LayerStep:
    layer = entry.definition
    lock = _lock_of(catalog, resolution, layer)
    debs, wheels = lock.debs if lock else (), lock.wheels if lock else ()
    sdists = lock.sdists if lock else ()
    tools = _tools(catalog, resolution, layer) if sdists else None
    copies = [(f"{CONTENT}{copied.to.rstrip('/')}", copied) for copied in layer.copy_files]
    trees = _trees(layer, lock)
    facts: dict[str, object] = {
        "layer": {"name": layer.name, "title": layer.title, "template": layer.template, "smoke": layer.smoke},
        "parent": parent.image if parent else "",
        "platform": resolution.platform,
        "arch": resolution.arch if layer.per_arch else "",
        "package_manager": resolution.base.package_manager,
        "base": {"kind": resolution.base.kind, "image": resolution.base.image, "digest": resolution.base.digest},
        "debs": [{"name": deb.name, "version": deb.version} for deb in debs],
        "wheels": [{"name": wheel.name, "version": wheel.version} for wheel in wheels],
        "sdists": [{"name": sdist.name, "version": sdist.version, "filename": sdist.filename} for sdist in sdists],
        "tools": {
            "debs": [{"name": deb.name, "version": deb.version} for deb in tools.debs] if tools else [],
            "wheels": [{"name": wheel.name, "version": wheel.version} for wheel in tools.wheels] if tools else [],
        },
        "env": dict(layer.env),
        "copies": [
            *({"place": place, "to": copied.to} for place, copied in copies),
            *({"place": tree.path, "to": wanted.to} for tree, wanted in zip(trees, layer.git, strict=True)),
        ],
        "python_version": layer.python_version,
        "command": _command(catalog, resolution),
    }
    text = renderer.render(layer.template, facts)
    files = [file for place, copied in copies for file in context_files(catalog.file(entry, copied.source), place)]
    if wheels or sdists:
        files.append(text_file("requirements.txt", requirements([(w.name, w.version, w.sha256) for w in wheels])))
    if tools is not None:
        files.append(text_file(TOOL_REQUIREMENTS, requirements([(w.name, w.version, w.sha256) for w in tools.wheels])))
    if layer.level == "benchmark" and resolution.benchmark is not None:
        facts_text = _benchmark_facts(catalog, resolution.benchmark, resolution.framework)
        files.append(text_file(f"{CONTENT}/opt/mlorch/benchmark.json", facts_text))
        files.append(empty_folder(f"{CONTENT}/results"))  # else WORKDIR makes it, with the time of the build
    if SETTLE in text:
        files.append(text_file(SETTLE, catalog.template(SETTLE).text))
    pip = _pip(catalog, resolution.platform) if wheels or sdists else None
    inputs = _inputs(resolution, parent, text, files, lock)
    if tools is not None:
        inputs |= _tool_inputs(tools)
    if layer.per_arch:
        inputs["arch"] = resolution.arch
    if pip is not None:
        inputs["pip"] = f"{pip.version} {pip.sha256}"
    return LayerStep(
        name=resolution.image_name if entry is resolution.layers[-1] else layer.name,
        level=layer.level,
        platform=resolution.platform,
        content_id=content_id(inputs),
        parent=parent.image if parent else None,
        dockerfile=text,
        files=tuple(files),
        debs=tuple(_pin(deb) for deb in debs if resolution.base.package_manager == "none"),
        pip=pip,
        trees=trees,
        sdists=tuple(_sdist(sdist) for sdist in sdists),
        toolchain=layer.toolchain or "" if sdists else "",
        tools=tuple(_pin(deb) for deb in tools.debs) if tools and resolution.base.package_manager == "none" else (),
        common=_common(renderer, layer, facts, parent) if sdists else "",
        inputs=inputs,
        base_source="" if parent else resolution.base.identity,
        contexts={}
        if parent or not resolution.base.path
        else {"base": f"oci-layout://{resolution.base.path}@{resolution.base.digest}"},
    )


def _pin(deb: Deb) -> DebPin:
    return DebPin(
        name=deb.name, version=deb.version, archive=deb.archive, path=deb.path, sha256=deb.sha256, size=deb.size
    )


def _sdist(sdist: Sdist) -> SdistPin:
    return SdistPin(
        name=sdist.name, version=sdist.version, filename=sdist.filename, sha256=sdist.sha256, size=sdist.size
    )


def _tools(catalog: Catalog, resolution: Resolution, layer: Layer) -> PlatformLock | None:
    """The pins of what compiles the layer's sources: Debian packages, and what Python builds with."""
    assert layer.toolchain is not None, "checked with the recipe: `from_source` needs a `toolchain`"
    return platform_lock(catalog, catalog.layer(layer.toolchain).definition, resolution.platform)


def _tool_inputs(tools: PlatformLock) -> dict[str, str]:
    """Compilers shape what they make, so they are part of the identity; they are no packages of the image."""
    found = {f"tool-deb:{deb.name}": f"{deb.version} {deb.sha256}" for deb in tools.debs}
    found |= {f"tool-wheel:{w.name}": f"{w.version} {' '.join(w.sha256)}" for w in tools.wheels}
    return found


def _common(renderer: Renderer, layer: Layer, facts: Mapping[str, object], parent: LayerStep | None) -> str:
    """The hash of the text as a platform has it whose index has wheels of everything."""
    sdists, wheels = facts["sdists"], facts["wheels"]
    assert isinstance(sdists, list)
    assert isinstance(wheels, list)
    text = renderer.render(layer.template, {**facts, "sdists": [], "wheels": [*wheels, *sdists]})
    return sha256_text(text.replace(parent.image, "parent") if parent else text)


def _trees(layer: Layer, lock: PlatformLock | None) -> tuple[TreePin, ...]:
    """The trees of git in the order of the recipe, at the commits of the lock."""
    commits = {(pin.url, pin.ref): pin.commit for pin in lock.git} if lock else {}
    return tuple(
        TreePin(path=f"{CONTENT}{tree.to.rstrip('/')}", url=tree.url, commit=commits[tree.url, tree.ref])
        for tree in layer.git
    )


def _pip(catalog: Catalog, platform: str) -> DebPin:
    """The pinned package that holds the pip which installs wheels (layer `pip`, never an image)."""
    lock = platform_lock(catalog, catalog.layer(PIP_LAYER).definition, platform)
    assert lock is not None, "the pip layer names a package, and platform_lock refuses to do without its lock"
    return _pin(lock.debs[0])


def _lock_of(catalog: Catalog, resolution: Resolution, layer: Layer) -> PlatformLock | None:
    """The pins of a layer; the base's own packages count only where it is bootstrapped from them."""
    return platform_lock(catalog, layer, resolution.platform) if _is_locked(resolution, layer) else None


def _is_locked(resolution: Resolution, layer: Layer) -> bool:
    return layer.level != "base" or resolution.base.kind == "bootstrap"


def _inputs(
    resolution: Resolution,
    parent: LayerStep | None,
    text: str,
    files: Sequence[ContextFile],
    lock: PlatformLock | None,
) -> dict[str, str]:
    # The parent counts under its own name only, so that `explain` blames the layer that changed.
    own_text = text.replace(parent.image, "parent") if parent else text
    inputs = {"dockerfile": sha256_text(own_text), "platform": resolution.platform}
    inputs["parent" if parent else "base"] = parent.content_id if parent else resolution.base.identity
    for file in files:
        inputs[f"file:{file.path}"] = f"{file.sha256} {file.mode:o}"
    if lock is not None:
        inputs |= {f"git:{pin.url}@{pin.ref}": pin.commit for pin in lock.git}
        inputs |= {f"deb:{deb.name}": f"{deb.version} {deb.sha256}" for deb in lock.debs}
        inputs |= {f"sdist:{s.name}": f"{s.version} {s.sha256}" for s in lock.sdists}
        inputs |= {f"wheel:{w.name}": f"{w.version} {' '.join(w.sha256)}" for w in lock.wheels}
        if lock.debs and resolution.base.package_manager == "none":
            inputs["rootfs"] = ROOTFS_SCHEME
    return inputs


def _command(catalog: Catalog, resolution: Resolution) -> tuple[str, ...]:
    if resolution.benchmark is None:
        return ()
    what = resolution.benchmark.definition
    return catalog.harness(what.harness).definition.command


def _benchmark_facts(catalog: Catalog, entry: Entry[Benchmark], framework: str) -> str:
    """What the image says of its benchmark: the definition's constant part, never a tuned parameter."""
    what = entry.definition
    model = catalog.model(what.model).definition
    dataset = catalog.dataset(what.dataset).definition
    facts = what.model_dump(
        mode="json", include={"name", "title", "task", "round", "input", "output", "accuracy", "note"}
    )
    facts["framework"] = framework
    facts["scenarios"] = sorted(what.scenarios)
    facts["model"] = {"name": model.name, "files": {o.file: o.sha256 for o in model.outputs}}
    facts["dataset"] = {"name": dataset.name, "files": {o.file: o.sha256 for o in dataset.outputs}}
    return json.dumps(facts, indent=1, sort_keys=True) + "\n"
