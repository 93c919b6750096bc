"""`assets why`: why an asset is here or is not, and what changed since it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.store import key_of_parts, key_parts, kind_of
from orchestrator.assets.trees import is_kept, wrong_files
from orchestrator.definitions.asset_locks import full_name, missing_hashes
from orchestrator.operations.assets.facts import named_one, this_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedInput:
    """An input that is another one than when the asset was made; empty where there was none, or is none now."""

    input: str
    was: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetWhy:
    """The JSON of `assets why`."""

    kind: str
    name: str
    state: str
    """hit, miss, wrong (files changed on disk), given, local or unlocked"""
    why: str
    key: str
    inputs: Mapping[str, str]
    """everything that the key is made of"""
    compared_with: str | None
    """the key of the newest one that is here, made of other inputs"""
    changed: tuple[ChangedInput, ...]
    wrong: tuple[str, ...]
    """names of files that changed on disk"""


def why(context: Context, name: str, *, data: Sequence[str] = ()) -> AssetWhy:
    """Why a model or dataset would be taken as it is here, or made. Changes nothing, and asks nobody.

    Raises:
        UsageError: `unknown-asset`, `bad-data`, `no-data`. DefinitionError.
    """
    from orchestrator.operations.assets.provider import given_folders

    catalog, store = context.catalog, this_store()
    entry = named_one(catalog, name)
    asset = entry.definition
    parts = key_parts(entry, catalog)
    key = key_of_parts(parts)
    path = store.folder_of(asset, key)
    given = given_folders(context, data).get(full_name(asset))
    wrong: tuple[str, ...] = ()
    changed: tuple[ChangedInput, ...] = ()
    other: str | None = None
    if given is not None:
        state, text = "given", f"the folder {given} is used as it is"
    elif store.find(entry, catalog) is not None:
        state, text = "hit", f"it is in {path}, made of the same inputs, and unchanged"
    elif missing_hashes(asset):
        state, text = "unlocked", f"nobody has hashed {', '.join(missing_hashes(asset))}, so it is not used"
    elif is_kept(path):
        state, wrong = "wrong", wrong_files(path)
        text = f"files in {path} changed since it was made; it is made again"
    elif asset.local is not None:
        state, text = "local", "only who has it can bring it: --data names its folder"
    else:
        state = "miss"
        other, changed = _compared(parts, store.kept(asset))
        text = _miss_in_words(asset, other, changed)
    return AssetWhy(
        kind=kind_of(asset),
        name=asset.name,
        state=state,
        why=text,
        key=key,
        inputs=parts,
        compared_with=other,
        changed=changed,
        wrong=wrong,
    )


def _compared(
    parts: Mapping[str, str], kept: Mapping[str, Mapping[str, str]]
) -> tuple[str | None, tuple[ChangedInput, ...]]:
    """The newest tree that says what it was made of, and where that differs."""
    for key, before in kept.items():
        if before:
            names = sorted(name for name in {*parts, *before} if parts.get(name, "") != before.get(name, ""))
            changed = (ChangedInput(input=one, was=before.get(one, ""), now=parts.get(one, "")) for one in names)
            return key, tuple(changed)
    return None, ()


def _miss_in_words(asset: Asset, other: str | None, changed: Sequence[ChangedInput]) -> str:
    if other is None:
        return f"{full_name(asset)} was never made here"
    return f"the one that is here was made of other inputs: {', '.join(one.input for one in changed)}"
