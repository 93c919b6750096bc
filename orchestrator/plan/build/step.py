"""One layer as a frozen step: the facts of its template, the files of its context, the inputs of its id. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.base import is_commit
from orchestrator.definitions.kinds.lock import PlatformLock
from orchestrator.definitions.locks import ROOTFS_SCHEME, platform_lock, unpinned_packages
from orchestrator.facts.build import DebPin, LayerStep, SdistPin, TreePin
from orchestrator.plan.build.content import (
    BENCHMARK_FACTS,
    CONTENT,
    NORMALISE,
    content_id,
    context_files,
    empty_folder,
    sha256_text,
    text_file,
)
from orchestrator.plan.build.layers import TOOL_REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.layers import Layer
    from orchestrator.definitions.kinds.lock import Deb, Sdist, Wheel
    from orchestrator.facts.build import ContextFile
    from orchestrator.plan.build.render import Renderer
    from orchestrator.plan.build.resolve import Resolution

PIP_LAYER = "pip"
"""The layer whose lock names the package with the pip that installs wheels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A layer of a resolution, with what its locks pin on the platform."""

    catalog: Catalog
    resolution: Resolution
    entry: Entry[Layer]
    parent: LayerStep | None
    lock: PlatformLock
    unpinned: tuple[str, ...]
    """What it asks for where that lock is still to be made."""
    tools: PlatformLock
    """Of the layer that compiles this one's sources; without any pin where nothing is compiled."""
    pip: DebPin | None

    @property
    def layer(self) -> Layer:
        return self.entry.definition

    @property
    def lays_out_debs(self) -> bool:
        """Whether the image has no package manager, so that mlorch unpacks the packages itself."""
        return self.resolution.base.package_manager == "none"


def layer_step(
    catalog: Catalog, renderer: Renderer, resolution: Resolution, entry: Entry[Layer], parent: LayerStep | None
) -> LayerStep:
    """The step that builds one layer of ``resolution`` on ``parent`` (None for the base layer).

    Raises:
        DefinitionError: the template, a lock or a copied file is wrong; located.
    """
    work = _work(catalog, resolution, entry, parent)
    layer, lock = work.layer, work.lock
    trees = _trees(layer, lock)
    facts = _template_facts(work, trees)
    text = renderer.render(layer.template, facts)
    files = _context_files(work, text)
    inputs = _inputs(work, text, files)
    contexts = {}
    if parent is None and resolution.base.path:  # of a base that comes from an OCI layout on this machine
        contexts["base"] = f"oci-layout://{resolution.base.path}@{resolution.base.digest}"
    return LayerStep(
        name=resolution.image_name if entry is resolution.layers[-1] else layer.name,
        level=layer.level,
        platform=resolution.platform,
        content_id=content_id(inputs),
        parent=parent.image if parent else None,
        dockerfile=text,
        files=tuple(files),
        debs=_laid_out(work, lock),
        pip=work.pip,
        trees=trees,
        sdists=tuple(SdistPin(**sdist.model_dump()) for sdist in lock.sdists),
        toolchain=layer.toolchain or "" if lock.sdists else "",
        tools=_laid_out(work, work.tools),
        common=_common(renderer, work, facts),
        inputs=inputs,
        base_source="" if parent else resolution.base.identity,
        contexts=contexts,
        unpinned=work.unpinned,
    )


def has_lock(resolution: Resolution, layer: Layer) -> bool:
    """Whether a layer's pins count: the packages of a base are used only where it is bootstrapped from them."""
    return layer.level != "base" or resolution.base.kind == "bootstrap"


# -- pins --------------------------------------------------------------------------------


def _work(catalog: Catalog, resolution: Resolution, entry: Entry[Layer], parent: LayerStep | None) -> _Work:
    layer = entry.definition
    lock, tools = PlatformLock(), PlatformLock()
    unpinned: tuple[str, ...] = ()
    if has_lock(resolution, layer):
        lock = platform_lock(catalog, layer, resolution.platform)
        unpinned = unpinned_packages(catalog, layer, resolution.platform)
    if lock.sdists:
        assert layer.toolchain is not None, "checked with the recipe: `from_source` needs a `toolchain`"
        tools = platform_lock(catalog, catalog.layer(layer.toolchain).definition, resolution.platform)
    return _Work(
        catalog=catalog,
        resolution=resolution,
        entry=entry,
        parent=parent,
        lock=lock,
        unpinned=unpinned,
        tools=tools,
        pip=_pip(catalog, resolution.platform) if lock.wheels or lock.sdists else None,
    )


def _pip(catalog: Catalog, platform: str) -> DebPin:
    """The pinned package that holds the pip which installs wheels (layer `pip`, never an image)."""
    lock = platform_lock(catalog, catalog.layer(PIP_LAYER).definition, platform)
    return DebPin(**lock.debs[0].model_dump())


def _laid_out(work: _Work, lock: PlatformLock) -> tuple[DebPin, ...]:
    """The packages of a lock that mlorch unpacks into the context itself; none where the image has apt."""
    if not work.lays_out_debs:
        return ()
    return tuple(DebPin(**deb.model_dump()) for deb in lock.debs)


def _trees(layer: Layer, lock: PlatformLock) -> tuple[TreePin, ...]:
    """The trees of git in the order of the recipe, at the commits of the lock."""
    commits = {(pin.url, pin.ref): pin.commit for pin in lock.git}
    return tuple(
        TreePin(
            path=_content_path(tree.to),
            url=tree.url,
            commit=tree.ref if is_commit(tree.ref) else commits.get((tree.url, tree.ref), tree.ref),
            paths=tree.paths,
        )
        for tree in layer.git
    )


def _content_path(to: str) -> str:
    """Where a context holds what the image has at ``to``."""
    return f"{CONTENT}{to.rstrip('/')}"


# -- the facts of the template -----------------------------------------------------------


def _template_facts(work: _Work, trees: Sequence[TreePin]) -> dict[str, object]:
    layer, lock, resolution = work.layer, work.lock, work.resolution
    base, tools = resolution.base, work.tools
    command: tuple[str, ...] = ()
    if resolution.benchmark is not None:
        command = work.catalog.harness(resolution.benchmark.definition.harness).definition.command
    copies = [{"place": _content_path(copied.to), "to": copied.to} for copied in layer.copy_files]
    copies += [{"place": tree.path, "to": wanted.to} for tree, wanted in zip(trees, layer.git, strict=True)]
    return {
        "layer": {"name": layer.name, "title": layer.title, "template": layer.template, "smoke": layer.smoke},
        "parent": work.parent.image if work.parent else "",
        "platform": resolution.platform,
        "arch": resolution.arch if layer.per_arch else "",
        "package_manager": base.package_manager,
        "base": {"kind": base.kind, "image": base.image, "digest": base.digest},
        "debs": _versions(lock.debs),
        "wheels": _versions(lock.wheels),
        "sdists": [{"name": sdist.name, "version": sdist.version, "filename": sdist.filename} for sdist in lock.sdists],
        "tools": {"debs": _versions(tools.debs), "wheels": _versions(tools.wheels)},
        "unpinned": work.unpinned,
        "env": dict(layer.env),
        "copies": copies,
        "python_version": layer.python_version,
        "command": command,
    }


def _versions(pins: Sequence[Deb | Wheel | Sdist]) -> list[dict[str, str]]:
    return [{"name": pin.name, "version": pin.version} for pin in pins]


def _common(renderer: Renderer, work: _Work, facts: Mapping[str, object]) -> str:
    """The hash that the text would have on a platform whose index has wheels of everything; empty: its own."""
    if not work.lock.sdists:
        return ""
    wheels = _versions([*work.lock.wheels, *work.lock.sdists])
    text = renderer.render(work.layer.template, {**facts, "sdists": [], "wheels": wheels})
    return sha256_text(_without_parent(work, text))


def _without_parent(work: _Work, text: str) -> str:
    """The parent counts under its own name only, so that `explain` blames the layer that changed."""
    return text.replace(work.parent.image, "parent") if work.parent else text


# -- the files of the context ------------------------------------------------------------


def _context_files(work: _Work, text: str) -> list[ContextFile]:
    files: list[ContextFile] = []
    for copied in work.layer.copy_files:
        files += context_files(work.catalog.file(work.entry, copied.source), _content_path(copied.to))
    if work.pip is not None:
        files.append(text_file("requirements.txt", requirements(work.lock.wheels)))
    if work.lock.sdists:
        files.append(text_file(TOOL_REQUIREMENTS, requirements(work.tools.wheels)))
    if work.layer.level == "benchmark" and work.resolution.benchmark is not None:
        facts = _benchmark_facts(work.catalog, work.resolution.benchmark, work.resolution.framework)
        files.append(text_file(BENCHMARK_FACTS, facts))
        files.append(empty_folder(f"{CONTENT}/results"))  # else WORKDIR makes it, with the time of the build
    if NORMALISE in text:
        files.append(text_file(NORMALISE, work.catalog.template(NORMALISE).text))
    return files


def requirements(wheels: Sequence[Wheel]) -> str:
    """A pip requirements text with every hash, one distribution a line."""
    lines = [[f"{wheel.name}=={wheel.version}", *(f"--hash=sha256:{one}" for one in wheel.sha256)] for wheel in wheels]
    return "".join(" ".join(words) + "\n" for words in lines)


def _benchmark_facts(catalog: Catalog, entry: Entry[Benchmark], framework: str) -> str:
    """What the image says of its benchmark: the definition's constant part, never a tuned parameter."""
    what = entry.definition
    model = catalog.model(what.model).definition
    dataset = catalog.dataset(what.dataset).definition
    facts = what.model_dump(mode="json", include={"name", "title", "task", "round", "input", "output", "note"})
    facts["accuracy"] = what.accuracy.model_dump(mode="json", exclude_none=True, exclude={"also"})
    if what.accuracy.also:
        facts["accuracy"]["also"] = [goal.model_dump(mode="json", exclude_none=True) for goal in what.accuracy.also]
    facts["framework"] = framework
    facts["scenarios"] = sorted(what.scenarios)
    facts["model"] = {"name": model.name, "files": {out.path: out.sha256 for out in model.outputs}}
    facts["dataset"] = {"name": dataset.name, "files": {out.path: out.sha256 for out in dataset.outputs}}
    return json.dumps(facts, indent=1, sort_keys=True) + "\n"


# -- the inputs of the content id --------------------------------------------------------


def _inputs(work: _Work, text: str, files: Sequence[ContextFile]) -> dict[str, str]:
    inputs = {"dockerfile": sha256_text(_without_parent(work, text)), "platform": work.resolution.platform}
    if work.parent is not None:
        inputs["parent"] = work.parent.content_id
    else:
        inputs["base"] = work.resolution.base.identity
    for file in files:
        inputs[f"file:{file.path}"] = f"{file.sha256} {file.mode:o}"
    inputs |= _package_inputs(work.lock)
    inputs |= {f"unpinned:{name}": name for name in work.unpinned}
    for tree, pin in zip(work.layer.git, _trees(work.layer, work.lock), strict=True):
        inputs[f"git:{tree.url}@{tree.ref}"] = " ".join((pin.commit, *pin.paths))
    inputs |= {f"sdist:{sdist.name}": f"{sdist.version} {sdist.sha256}" for sdist in work.lock.sdists}
    if work.lock.debs and work.lays_out_debs:
        inputs["rootfs"] = ROOTFS_SCHEME
    # Compilers shape what they make, though they are no packages of the image.
    inputs |= _package_inputs(work.tools, "tool-")
    if work.layer.per_arch:
        inputs["arch"] = work.resolution.arch
    if work.pip is not None:
        inputs["pip"] = f"{work.pip.version} {work.pip.sha256}"
    return inputs


def _package_inputs(lock: PlatformLock, kind: str = "") -> dict[str, str]:
    found = {f"{kind}deb:{deb.name}": f"{deb.version} {deb.sha256}" for deb in lock.debs}
    found |= {f"{kind}wheel:{wheel.name}": f"{wheel.version} {' '.join(wheel.sha256)}" for wheel in lock.wheels}
    return found
