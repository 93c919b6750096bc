"""When a mirror has moved on: pins of this machine over the shipped ones, in a folder of their own.

A distribution's archive drops a version when its successor comes, so a shipped lock can
name packages that nobody serves any more. Unless --locked forbids it, the layer is then
locked anew into mlorch's data folder. That lock counts only over the very locks that it
replaces: it goes out of use with the next release of mlorch.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.host.folders import data_home
from orchestrator.host.paths import is_dir

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.definitions.catalog import Root
    from orchestrator.definitions.kinds.lock import LayerLock
    from orchestrator.facts.build import LayerStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk


def with_own_locks(roots: tuple[Root, ...]) -> tuple[Root, ...]:
    """`roots` with this machine's own locks above the built-in ones and below all others."""
    builtin, *others = roots
    own = [folder for folder in (own_asset_locks(), own_locks(builtin)) if is_dir(folder)]
    return (builtin, *(replace(builtin, path=folder, origin="path:own locks") for folder in own), *others)


def own_asset_locks() -> Path:
    """The folder of this machine's own locks of models and datasets; it need not be there.

    They outlive a release of mlorch: each says for which recipe it is, and counts for no other.
    """
    return data_home() / "locks" / "assets"


def own_locks(builtin: Root) -> Path:
    """The folder of this machine's own locks over the built-in ones as they are now; it need not be there."""
    digest = hashlib.sha256()
    for path in sorted(builtin.images.glob("*.lock.yaml")):
        digest.update(path.read_bytes())
    return data_home() / "locks" / digest.hexdigest()[:16]


def relock(context: Context, step: LayerStep, talk: Talk) -> None:
    """Lock the packages that `step` is laid out from anew, for its platform, into this machine's own locks.

    Raises:
        AssetError: as `orchestrator.packages.locking.make_lock`.
    """
    from orchestrator.definitions.locks import lock_text
    from orchestrator.host.files import atomic_write_text

    name, fresh = _fresh(context, step, talk)
    folder = own_locks(context.catalog.roots[0]) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "recipes").mkdir(exist_ok=True)  # what makes a folder one of definitions
    atomic_write_text(folder / f"{name}.lock.yaml", lock_text(fresh), overwrite=True)
    talk.warn(f"`{name}` is locked anew for this machine in {folder}; --locked refuses that")


def require_no_drift(context: Context, step: LayerStep, talk: Talk) -> None:
    """For --locked: look up what the mirrors have instead of the packages of `step` that are gone, and name each.

    Raises:
        DefinitionError: `lock-drift`, one problem a package: what it was, what it is, what to do.
    """
    from orchestrator.packages.drift import changes, drifted

    name, fresh = _fresh(context, step, talk)
    catalog = context.catalog
    error = drifted(changes(catalog.lock(name), fresh), catalog.lock_path(name), only={"debs"})
    if error is not None:
        raise error


def _fresh(context: Context, step: LayerStep, talk: Talk) -> tuple[str, LayerLock]:
    """The layer that pins the packages of `step`, and its lock as the mirrors have it now."""
    from orchestrator.packages.fetch import Fetcher
    from orchestrator.packages.locking import Origins, make_lock
    from orchestrator.plan.build.step import PIP_LAYER

    name = step.name if step.debs else step.toolchain or PIP_LAYER
    return name, make_lock(
        context.catalog.layer(name).definition,
        context.catalog.lock(name),
        platforms=[step.platform],
        origins=Origins(fetch=Fetcher(site=context.site)),
        say=talk.say,
    )
