"""The pins of a layer on a platform, looked up and checked against its recipe. Pure.

A lock holds exactly the Debian packages and the git refs that the recipe names, at least
the Python requirements (with everything that they need), and the digests of those base
images that a registry has answered for. `mlorch images lock` writes it
(`orchestrator.packages.locking`); nothing here touches the network.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.base import is_commit
from orchestrator.definitions.kinds.layers import BootstrapSource, Layer, RegistrySource
from orchestrator.definitions.kinds.lock import PlatformLock
from orchestrator.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.base import Strict
    from orchestrator.definitions.kinds.lock import LayerLock

Loc = tuple[str | int, ...]
"""A path of keys and indices within a recipe."""
ROOTFS_SCHEME = "2"
"""The version of how packages become a root file system (`orchestrator.packages.rootfs`).

Part of the identity of every layer that is laid out from packages: raise it when the
same packages would give other bytes.
"""


def wanted_debs(layer: Layer, platform: str) -> tuple[str, ...]:
    """The Debian packages that a layer names on a platform, sorted: its own and those of its bootstrap source."""
    found = _deb_locations(layer)
    return tuple(sorted({name for name, loc in found if loc[0] != "debs_on" or loc[1] == platform}))


def compiled_on(layer: Layer, platform: str) -> frozenset[str]:
    """The distributions that are compiled from source on a platform, as indexes spell them."""
    return frozenset(normalised(name) for name in layer.from_source.get(platform, ()))


def registry_images(layer: Layer, platform: str) -> tuple[str, ...]:
    """The base images whose digest the lock has to give: those that the recipe itself pins are not among them."""
    sources = [source for source in layer.sources if isinstance(source, RegistrySource)]
    return tuple(dict.fromkeys(source.image for source in sources if platform not in source.digests))


def base_digest(catalog: Catalog, layer: Layer, source: RegistrySource, platform: str) -> str:
    """The digest of a base image: the recipe's, else the lock's; empty where nobody has looked it up."""
    if platform in source.digests:
        return source.digests[platform]
    lock = catalog.lock(layer.name)
    pins = lock.platforms.get(platform) if lock is not None else None
    return next((pin.digest for pin in pins.bases if pin.image == source.image), "") if pins is not None else ""


def has_pins(layer: Layer) -> bool:
    """Whether a layer has anything that a lock can pin."""
    from_registry = any(isinstance(source, RegistrySource) for source in layer.sources)
    return from_registry or any(pinned_locations(layer))


def suite(layer: Layer) -> str | None:
    """The suite of the layer's bootstrap source, if it has one."""
    return next((source.suite for source in layer.sources if isinstance(source, BootstrapSource)), None)


def normalised(name: str) -> str:
    """A Python distribution's name as indexes spell it (PEP 503), without extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def platform_lock(catalog: Catalog, layer: Layer, platform: str) -> PlatformLock:
    """The pins of `layer` on `platform`; without any for a layer that needs none, or has none yet and says so.

    Raises:
        DefinitionError: there is no lock (`lock-missing`), or it does not fit the recipe
            (`lock-stale`): a package was added, removed or changed its version since.
    """
    if not _asks_for_pins(layer, platform) or unpinned_packages(catalog, layer, platform):
        return PlatformLock()
    lock = catalog.lock(layer.name)
    pins = lock.platforms.get(platform) if lock is not None else None
    if pins is None:
        first = next(pinned_locations(layer))
        message = f"layer `{layer.name}` has no pins for {platform}" if lock is not None else no_lock(layer)
        raise DefinitionError([_problem(catalog, layer, "lock-missing", message, first)])
    problems = [
        _problem(catalog, layer, "lock-stale", message, loc)
        for message, loc in (*unpinned(layer, pins, platform), *_unwanted(layer, pins, platform))
    ]
    if problems:
        raise DefinitionError(problems)
    return pins


def no_lock(layer: Layer) -> str:
    """The message for a layer that needs a lock and has none: the same whoever finds it."""
    return f"layer `{layer.name}` asks for packages and has no lock `images/{layer.name}.lock.yaml`"


def _asks_for_pins(layer: Layer, platform: str) -> bool:
    return bool(wanted_debs(layer, platform) or layer.python or not all(is_commit(tree.ref) for tree in layer.git))


def unpinned_packages(catalog: Catalog, layer: Layer, platform: str) -> tuple[str, ...]:
    """What an unlocked layer asks for, as its recipe writes it; empty for a layer with a lock, or without need of one.

    Unlocked is a layer that says so (`Layer.unlocked`) and has no pins for the platform.
    """
    if not layer.unlocked or not _asks_for_pins(layer, platform):
        return ()
    lock = catalog.lock(layer.name)
    if lock is not None and platform in lock.platforms:
        return ()
    trees = (f"{tree.url}@{tree.ref}" for tree in layer.git if not is_commit(tree.ref))
    return (*wanted_debs(layer, platform), *layer.python, *trees)


def pinned_locations(layer: Layer) -> Iterator[Loc]:
    """Where a recipe asks for something that its lock has to pin, base images apart."""
    for _, loc in _deb_locations(layer):
        yield loc
    for index in range(len(layer.python)):
        yield "python", index
    for index, tree in enumerate(layer.git):
        if not is_commit(tree.ref):
            yield "git", index


def unpinned(layer: Layer, pins: PlatformLock, platform: str) -> Iterator[tuple[str, Loc]]:
    """What a recipe asks for and its lock does not have in this form: a message, and where the recipe asks."""
    locked, wanted = {deb.name for deb in pins.debs}, wanted_debs(layer, platform)
    for name, loc in _deb_locations(layer):
        if name in wanted and name not in locked:
            yield f"package `{name}` is not in the lock", loc
    versions = _python_versions(layer, pins, platform)
    for index, requirement in enumerate(layer.python):
        name, _, version = requirement.partition("==")
        found = versions.get(normalised(name))
        if found is None:
            yield f"`{name}` is not in the lock", ("python", index)
        elif not _is_version(found, version):
            yield f"the lock has {normalised(name)} {found}", ("python", index)
    commits = {(pin.url, pin.ref) for pin in pins.git}
    for index, tree in enumerate(layer.git):
        if (tree.url, tree.ref) not in commits and not is_commit(tree.ref):
            yield f"the commit of `{tree.ref}` of {tree.url} is not in the lock", ("git", index)


def _is_version(found: str, asked: str) -> bool:
    """Whether two texts are one version, as pip has it: ``2026.4.1`` is ``2026.4.1.0``."""
    if found == asked:
        return True
    from packaging.version import InvalidVersion, Version  # rarely needed

    try:
        return Version(found) == Version(asked)
    except InvalidVersion:
        return False


def _python_versions(layer: Layer, pins: PlatformLock, platform: str) -> dict[str, str]:
    """The pinned version of each distribution: of its source where the recipe compiles it, else of its wheel."""
    compiled = compiled_on(layer, platform)
    versions = {normalised(wheel.name): wheel.version for wheel in pins.wheels}
    versions = {name: version for name, version in versions.items() if name not in compiled}
    for sdist in pins.sdists:
        if normalised(sdist.name) in compiled:
            versions[normalised(sdist.name)] = sdist.version
    return versions


def _unwanted(layer: Layer, pins: PlatformLock, platform: str) -> Iterator[tuple[str, Loc]]:
    """What a lock has and the recipe does not ask for; Python requirements bring others, so those are not looked at."""
    for name in sorted({deb.name for deb in pins.debs} - set(wanted_debs(layer, platform))):
        yield f"the lock has `{name}`, the recipe does not", ("name",)
    trees = {(tree.url, tree.ref) for tree in layer.git}
    for url, ref in sorted({(pin.url, pin.ref) for pin in pins.git} - trees):
        yield f"the lock has `{ref}` of {url}, the recipe does not", ("name",)


def require_locks(catalog: Catalog, layers: Sequence[Entry[Layer]], platform: str) -> None:
    """Check the locks of several layers at once, so that every entry that drifted from its recipe is named.

    Raises:
        DefinitionError: as `platform_lock`, with the problems of all of them.
    """
    problems: list[Problem] = []
    for entry in layers:
        try:
            platform_lock(catalog, entry.definition, platform)
        except DefinitionError as error:
            problems += error.problems()
    if problems:
        raise DefinitionError(dict.fromkeys(problems))


def _deb_locations(layer: Layer) -> Iterator[tuple[str, Loc]]:
    for index, name in enumerate(layer.debs):
        yield name, ("debs", index)
    for platform, names in layer.debs_on.items():
        for index, name in enumerate(names):
            yield name, ("debs_on", platform, index)
    for at, source in enumerate(layer.sources):
        if isinstance(source, BootstrapSource):
            for index, name in enumerate(source.debs):
                yield name, ("sources", at, "debs", index)


def _problem(catalog: Catalog, layer: Layer, slug: str, message: str, loc: Loc) -> Problem:
    document = catalog.layer(layer.name).document
    return Problem(slug=slug, message=message, span=document.span(loc), hint=f"run `mlorch images lock {layer.name}`")


# -- the file ----------------------------------------------------------------------------

HEADER = """\
# Made by `mlorch images lock {layer}` from the distribution's signed package lists
# and the Python package index. Do not edit: change the recipe and run it again.
"""
_PLAIN = frozenset({"archive", "size"})
"""What stands without quotes."""


def lock_text(lock: LayerLock) -> str:
    """The text of a lock file: sorted, every other scalar quoted, the same bytes for the same pins.

    Sections that few layers have are left out where they are empty.
    """
    lines = [HEADER.format(layer=lock.layer).rstrip(), f"version: {json.dumps(lock.version)}", f"layer: {lock.layer}"]
    lines.append("platforms:")
    for platform, pins in sorted(lock.platforms.items()):
        lines.append(f"  {platform}:")
        for name, found in pins:
            if found or name in {"debs", "wheels"}:
                lines += _section(name, found)
    return "\n".join(lines) + "\n"


def _section(name: str, pins: Sequence[Strict]) -> list[str]:
    """The pins of a kind, sorted by their first fields, which name them, each with its fields in the model's order."""
    if not pins:
        return [f"    {name}: []"]
    lines = [f"    {name}:"]
    for pin in sorted(pins, key=lambda one: [str(value) for _, value in one]):
        mark = "-"
        for key, value in pin:
            if isinstance(value, tuple):
                lines.append(f"      {mark} {key}:")
                lines += [f"          - {json.dumps(item)}" for item in sorted(value)]
            else:
                lines.append(f"      {mark} {key}: {value if key in _PLAIN else json.dumps(value)}")
            mark = " "
    return lines
