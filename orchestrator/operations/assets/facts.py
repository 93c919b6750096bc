"""What every verb of `assets` tells of a model or dataset, and which ones a name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.room import Room, in_bytes, room_for
from orchestrator.assets.sources import source_name
from orchestrator.assets.store import Store, kind_of
from orchestrator.definitions.asset_locks import full_name, missing_hashes
from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import UsageError
from orchestrator.host.folders import cache_home
from orchestrator.packages.download import download_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.store import Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetNeeds:
    """What a machine must have for an asset, in bytes; None where no source says."""

    disk: int | None
    memory: int | None
    device: bool
    """Whether its prepare step computes on a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """A model or dataset: an element of `assets` in the JSON of `assets list`, `get` and `verify`."""

    kind: str
    """model or dataset"""
    name: str
    title: str
    state: str
    """present, absent, given (a user's own folder), unlocked (nobody has hashed it, so it is not used), local (absent,
    and only who has it can bring it), or wrong (its files differ from the recipe)"""
    key: str | None
    folder: Path | None
    bytes: int | None
    bytes_needed: int
    """to fetch and make it; 0 where nobody says"""
    bytes_missing: int
    """of these, those that are not here yet"""
    needs: AssetNeeds
    gated: bool
    """whether somebody has to accept terms, or be a member, to get it"""
    files: Mapping[str, str]
    """the sha256 of each output by its name: of a folder, that of its manifest; empty where nobody knows it"""
    unlocked: tuple[str, ...]
    """what of it has no hash"""
    sources: tuple[str, ...]
    licences: tuple[str, ...]
    wrong: tuple[str, ...] | None = None
    """the names of files that are not what the recipe says; None where nobody looked (only `verify` does)"""


def facts_of(entry: Entry[Asset], stored: Stored | None) -> AssetFacts:
    """The facts of an asset that is here as ``stored``, or is not here."""
    asset = entry.definition
    room = room_for(asset, lambda sha256: bool(sha256) and download_path(cache_home(), sha256).is_file())
    if stored is not None:
        room = Room(needed=max(room.needed, stored.size), missing=0)
    prepare = asset.prepare
    return AssetFacts(
        kind=kind_of(asset),
        name=asset.name,
        title=asset.title,
        state=_state(asset, stored),
        key=stored.key if stored else None,
        folder=stored.folder if stored else None,
        bytes=stored.size if stored else None,
        bytes_needed=room.needed,
        bytes_missing=room.missing,
        needs=AssetNeeds(
            disk=in_bytes(asset.needs.disk) if asset.needs.disk else None,
            memory=in_bytes(asset.needs.memory) if asset.needs.memory else None,
            device=prepare is not None and prepare.needs_device,
        ),
        gated=any(getattr(source, "gated", False) for source in asset.sources),
        files={output.path: output.sha256 for output in asset.outputs},
        unlocked=missing_hashes(asset),
        sources=tuple(source_name(source) for source in asset.sources),
        licences=tuple(dict.fromkeys(source.licence.spdx for source in asset.sources)),
    )


def _state(asset: Asset, stored: Stored | None) -> str:
    if stored is not None:
        return "given" if stored.given is not None else "present"
    if missing_hashes(asset):
        return "unlocked"
    return "local" if asset.local is not None else "absent"


def this_store() -> Store:
    """The store of this user."""
    return Store(cache_home())


def named(catalog: Catalog, names: Sequence[str]) -> list[Entry[Asset]]:
    """The entries that ``names`` mean (``NAME`` or ``model/NAME``); all when there are none.

    Raises:
        UsageError: `unknown-asset`.
    """
    if not names:
        return list(catalog.assets())
    found: list[Entry[Asset]] = []
    for name in names:
        matching = [entry for entry in catalog.assets() if name in {entry.definition.name, full_name(entry.definition)}]
        if not matching:
            known = [entry.definition.name for entry in catalog.assets()]
            hint = suggestion(name.rpartition("/")[2], known)
            raise UsageError(f"there is no model or dataset `{name}`", hint=hint, slug="unknown-asset")
        found += [entry for entry in matching if entry not in found]
    return found


def named_one(catalog: Catalog, name: str) -> Entry[Asset]:
    """The one entry that a name means. Raises `UsageError` as `named`, and where it means a model and a dataset."""
    found = named(catalog, [name])
    if len(found) > 1:
        hint = f"say which: {' or '.join(full_name(entry.definition) for entry in found)}"
        raise UsageError(f"`{name}` is a model and a dataset", hint=hint, slug="unknown-asset")
    return found[0]
