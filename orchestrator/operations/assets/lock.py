"""`assets lock`: fetch what nobody has hashed once, trust it, and write its hashes down for everybody after."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.assets.given import GivenFolder
from orchestrator.assets.room import in_bytes, in_words, require_room
from orchestrator.assets.store import key_of_parts, key_parts, write_parts
from orchestrator.assets.trees import alone, is_kept, manifest_sha256
from orchestrator.definitions.asset_locks import (
    asset_lock_text,
    full_name,
    is_source_locked,
    kind_of,
    lock_name,
    missing_hashes,
    recipe_sha256,
    source_label,
    with_lock,
)
from orchestrator.definitions.catalog.roots import LOCK_SUFFIX
from orchestrator.definitions.kinds.assets import Asset
from orchestrator.definitions.kinds.lock import AssetLock, LockedFile, LockedOutput, LockedSource
from orchestrator.errors import UsageError
from orchestrator.host.files import atomic_write_text
from orchestrator.operations.assets.facts import named_one
from orchestrator.operations.relock import own_asset_locks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.listed import ListedFile
    from orchestrator.assets.provider import AssetProvider
    from orchestrator.definitions.catalog import Entry
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLockRequest:
    """Which asset, whose prep image prepares it, who has it already, and where the lock goes."""

    name: str
    target: str | None = None
    data: tuple[str, ...] = ()
    output: Path | None = None
    """the folder to write to; None means `images/` of the recipe's own root, or of this machine's own locks where
    the recipe came with mlorch"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedAsset:
    """The JSON of `assets lock`."""

    kind: str
    name: str
    state: str
    """locked, or unneeded (the recipe has every hash)"""
    path: Path | None
    bytes: int
    trusted: tuple[str, ...]
    """what was believed as it came"""


def lock_asset(context: Context, request: AssetLockRequest, progress: Progress) -> LockedAsset:
    """Fetch and prepare an unlocked asset once, and write what came into its lock.

    Of a user's own folder (``request.data``) every byte is hashed, and it is remembered: its next use only looks.

    Raises:
        UsageError: `unknown-asset`, `bad-data`, `no-data`; `locked` with --locked, which writes nothing.
        AssetError: as `AssetProvider.get`; `disk-full` before anything is fetched.
    """
    from orchestrator.operations.assets.provider import asset_provider

    entry = named_one(context.catalog, request.name)
    # As the recipe has it: an older lock must not decide what a new one says.
    asset = context.catalog.by_key[kind_of(entry.definition), entry.definition.name].definition
    assert isinstance(asset, Asset)
    entry = replace(entry, definition=asset)
    name, missing = full_name(entry.definition), missing_hashes(entry.definition)
    if not missing:
        return LockedAsset(
            kind=kind_of(entry.definition), name=entry.definition.name, state="unneeded", path=None, bytes=0, trusted=()
        )
    if context.locked:
        raise UsageError(
            f"{name} is unlocked, and --locked writes no lock", hint="lock it where that is allowed", slug="locked"
        )
    provider = asset_provider(context, progress, target=request.target, data=request.data)
    progress.warn(f"{name} is trusted as it comes now: nobody has vouched for {', '.join(missing)}")
    folder = provider.given.get(name)
    if folder is not None:
        lock = _of_folder(provider, entry, folder)
    else:
        lock = _fetched(provider, entry, progress)
    images = _images(entry, request)
    path = images / f"{lock_name(asset, varies=entry.varies)}{LOCK_SUFFIX}"
    images.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, asset_lock_text(lock), overwrite=True)
    context.forget()
    size = sum(output.size for output in lock.outputs)
    return LockedAsset(kind=lock.kind, name=lock.name, state="locked", path=path, bytes=size, trusted=missing)


def _images(entry: Entry[Asset], request: AssetLockRequest) -> Path:
    if request.output is not None:
        return request.output.absolute()
    if entry.origin.startswith("path:"):
        return entry.root / "images"
    folder = own_asset_locks()
    (folder / "recipes").mkdir(parents=True, exist_ok=True)  # what makes a folder one of definitions
    return folder / "images"


def _of_folder(provider: AssetProvider, entry: Entry[Asset], folder: Path) -> AssetLock:
    """The lock of a user's folder as it is."""
    given = GivenFolder(store=provider.store, catalog=provider.catalog, entry=entry, folder=folder)
    hashes = given.hashes()
    sizes = {name: (folder / name).stat().st_size for name in hashes}
    lock = _lock(entry.definition, (), hashes, sizes)
    replace(given, entry=replace(entry, definition=with_lock(entry.definition, lock))).remember(hashes)
    return lock


def _fetched(provider: AssetProvider, entry: Entry[Asset], progress: Progress) -> AssetLock:
    """The lock of what the sources give now, and of what the prepare step makes of it; both are kept."""
    asset = entry.definition
    sources = provider.sources
    listed = {source_label(one): sources.listed(one) for one in asset.sources if not is_source_locked(one)}
    coming = sum(file.size for files in listed.values() for file in files if not sources.has(file.sha256))
    stated = in_bytes(asset.needs.disk) if asset.needs.disk else 0
    for label, files in listed.items():
        progress.say(f"{label}: {len(files):,} files, {_in_words(files)}")
    require_room(provider.store.root, [(full_name(asset), max(coming, stated))])
    pins = tuple(
        LockedSource(
            source=source_label(source),
            files=tuple(
                LockedFile(path=file.path, sha256=file.sha256, size=file.size)
                for file in sources.trust(source, listed[source_label(source)])
            ),
        )
        for source in asset.sources
        if source_label(source) in listed
    )
    hashed = replace(entry, definition=_with_sources(asset, pins))
    pending = f"new-{secrets.token_hex(4)}"
    made = provider.store.folder_of(asset, pending)
    with provider.store.alone(asset, pending):
        hashes = provider.make_trusting(hashed, pending)
        sizes = {file: (made / "files" / file).stat().st_size for file in hashes}
        lock = _lock(asset, pins, hashes, sizes)
        _keep(provider, replace(entry, definition=with_lock(asset, lock)), made)
        made.with_name(f"{pending}.lock").unlink(missing_ok=True)
    return lock


def _in_words(files: Sequence[ListedFile]) -> str:
    if all(file.size for file in files):
        return in_words(sum(file.size for file in files))
    return "of an unknown size"


def _with_sources(asset: Asset, pins: tuple[LockedSource, ...]) -> Asset:
    """The asset with hashes for its sources, and what it has for its outputs."""
    lock = AssetLock.model_construct(
        kind=kind_of(asset), name=asset.name, recipe=recipe_sha256(asset), sources=pins, outputs=()
    )
    return with_lock(asset, lock)


def _lock(
    asset: Asset, sources: tuple[LockedSource, ...], hashes: Mapping[str, str], sizes: Mapping[str, int]
) -> AssetLock:
    outputs = []
    for output in asset.outputs:
        mine = {output.inside(name): sha256 for name, sha256 in hashes.items() if output.has(name)}
        size = sum(sizes[name] for name in hashes if output.has(name))
        if output.file is not None:
            outputs.append(LockedOutput(path=output.path, sha256=mine[output.file], size=size))
        else:
            sha256 = manifest_sha256(mine)
            outputs.append(LockedOutput(path=output.path, sha256=sha256, files=len(mine), size=size))
    return AssetLock(
        kind=kind_of(asset),
        name=asset.name,
        recipe=recipe_sha256(asset),
        sources=sources,
        outputs=tuple(outputs),
    )


def _keep(provider: AssetProvider, entry: Entry[Asset], made: Path) -> None:
    """What was made for the lock takes the place that the lock gives it, so that nobody makes it again."""
    asset = entry.definition
    parts = key_parts(entry, provider.catalog)
    path = provider.store.folder_of(asset, key_of_parts(parts))
    write_parts(made, entry, parts)
    with alone(path):
        if not is_kept(path):
            made.replace(path)
            return
    shutil.rmtree(made)
