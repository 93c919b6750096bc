"""Data that a user has already: a folder that is checked against the recipe, mounted read-only, never copied.

Every file is hashed once; what was found is remembered by name, size, time and inode, so that later uses only look.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.store import Stored, key_of
from orchestrator.assets.trees import (
    LARGEST_FILE,
    LARGEST_MARKER,
    facts_of,
    is_same,
    manifest_sha256,
    read_marker,
    walk,
    write_marker,
)
from orchestrator.definitions.asset_locks import full_name, kind_of, missing_hashes
from orchestrator.errors import AssetError
from orchestrator.facts.neutral import neutral
from orchestrator.host.untrusted import UnreadableFile, hash_file, read_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.assets.store import Store
    from orchestrator.assets.trees import FileFacts
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset, Output

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFolder:
    """A user's folder for an asset, and what is remembered of it."""

    store: Store
    catalog: Catalog
    entry: Entry[Asset]
    folder: Path

    @property
    def asset(self) -> Asset:
        """What the folder is to be."""
        return self.entry.definition

    @property
    def memory(self) -> Path:
        """Where it is remembered: by the folder and by what it has to be."""
        text = f"{self.folder} {key_of(self.entry, self.catalog)}"
        return self.store.assets / "given" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def check(self, *, whole: bool = False) -> Mapping[str, FileFacts]:
        """The facts of its files, which are those that the recipe says; ``whole`` hashes every byte again.

        Raises:
            AssetError: `data-missing` (which files), `data-wrong` (which, where that is known).
        """
        known = read_marker(self.memory) or {}
        found = self._looked_at(known)
        fresh = {name for name, facts in found.items() if whole or name not in known or not is_same(facts, known[name])}
        if not fresh and found.keys() == known.keys():
            return known
        hashed = self._hashes(fresh)
        noted = {
            name: facts_of(facts, hashed[name] if name in hashed else known[name].sha256)
            for name, facts in found.items()
        }
        self._require_right({name: one.sha256 for name, one in noted.items()}, known)
        self._note(noted)
        return noted

    def remember(self, hashes: Mapping[str, str]) -> None:
        """Its files were just found to have these hashes."""
        found = self._looked_at({})
        self._note({name: facts_of(facts, hashes[name]) for name, facts in found.items() if name in hashes})

    def _note(self, files: Mapping[str, FileFacts]) -> None:
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        write_marker(self.memory, files)

    def hashes(self) -> dict[str, str]:
        """The hash of every file that belongs to the asset, whatever it should be: for a lock."""
        return self._hashes(set(self._looked_at({})))

    def _looked_at(self, known: Mapping[str, FileFacts]) -> dict[str, os.stat_result]:
        """The files that belong to the asset, as they are; counts and sizes are checked here, cheaply."""
        everything = walk(self.folder, follow=True)
        if everything is None:
            raise AssetError(
                f"{self._name} cannot be read, or holds what is neither a file nor a folder",
                hint=f"give a folder of plain files; it is to hold {self._outputs_in_words()}",
                slug="data-missing",
            )
        asset = self.asset
        found = {name: facts for name, facts in everything.items() if any(out.has(name) for out in asset.outputs)}
        for output in asset.outputs:
            mine = {output.inside(name): facts for name, facts in found.items() if output.has(name)}
            self._require_count(output, mine, known)
        return found

    def _require_count(
        self, output: Output, mine: Mapping[str, os.stat_result], known: Mapping[str, FileFacts]
    ) -> None:
        wanted = 1 if output.file is not None else output.files
        names = self._expected_names(output, known)
        missing = sorted(names - mine.keys())
        if missing or not mine or (wanted is not None and len(mine) < wanted):
            raise self._missing(output, missing, len(mine), wanted)
        added = sorted(mine.keys() - names) if names else []
        if wanted is not None and len(mine) > wanted:
            which = f": {_some(added)}" if added else ""
            raise AssetError(
                f"{self._name}: `{output.path}` has {len(mine):,} files where the recipe says {wanted:,}{which}",
                hint="move what does not belong there elsewhere",
                slug="data-wrong",
            )
        size = sum(facts.st_size for facts in mine.values())
        if output.size and size != output.size:
            raise AssetError(
                f"{self._name}: `{output.path}` has {size:,} bytes where the recipe says {output.size:,}",
                hint="a copy that broke off, or another version of the data; compare it with its source",
                slug="data-wrong",
            )

    def _expected_names(self, output: Output, known: Mapping[str, FileFacts]) -> frozenset[str]:
        """The names of an earlier look, or else those of a manifest; empty where nobody knows them."""
        if output.file is not None:
            return frozenset([output.file])
        names = frozenset(output.inside(name) for name in known if output.has(name))
        return names or frozenset(self._manifest(output))

    def _manifest(self, output: Output) -> dict[str, str]:
        """The hash of each file of a folder as the recipe's manifest has it; empty where it has none."""
        if output.manifest is None:
            return {}
        path = self.catalog.file(self.entry, output.manifest)
        found = parse_manifest(read_text(path.parent, path.name, LARGEST_MARKER))
        if manifest_sha256(found) != output.sha256:
            raise AssetError(
                f"{path} is not the manifest of `{output.path}` of {full_name(self.asset)}: its hash is another",
                hint="take the file that belongs to the recipe",
                slug="hash-mismatch",
            )
        return found

    def _require_right(self, hashes: Mapping[str, str], known: Mapping[str, FileFacts]) -> None:
        for output in self.asset.outputs:
            mine = {output.inside(name): found for name, found in hashes.items() if output.has(name)}
            if output.file is not None:
                wrong = [] if mine.get(output.file) == output.sha256 else [output.file]
            elif manifest_sha256(mine) == output.sha256:
                wrong = []
            else:
                expected = self._manifest(output)
                expected = expected or {output.inside(n): one.sha256 for n, one in known.items() if output.has(n)}
                wrong = sorted(name for name in mine if expected and mine[name] != expected.get(name)) or [output.path]
            if wrong:
                raise AssetError(
                    f"{self._name}: {_some(wrong)} has other bytes than the recipe says",
                    hint="a copy that broke off, or another version of the data; compare it with its source",
                    slug="data-wrong",
                )

    def _hashes(self, names: set[str]) -> dict[str, str]:
        found = {}
        for name in sorted(names):
            if neutral(name) != name:
                raise AssetError(
                    f"{self._name}: a file named `{neutral(name)}` is there, which is no plain text",
                    hint="the recipe's files have plain names; move it elsewhere",
                    slug="data-wrong",
                )
            path = self.folder / name
            try:
                # Links are the user's own and may lead elsewhere; below their folder nothing is anybody else's.
                real = path.resolve(strict=True)
                found[name] = hash_file(real.parent, real.name, LARGEST_FILE)[0]
            except (OSError, UnreadableFile) as error:
                raise AssetError(f"{self._name}: {neutral(name)} cannot be read: {error}", slug="data-wrong") from None
        return found

    def _missing(self, output: Output, missing: list[str], count: int, wanted: int | None) -> AssetError:
        what = f"`{output.path}` is not there"
        if missing and output.file is None:
            what = f"{_some(missing)} of `{output.path}` is missing"
        elif count and output.file is None:
            what = f"`{output.path}` has {count:,} files where the recipe says {wanted or 0:,}"
        hint = f"the folder is to hold {self._outputs_in_words()}"
        if self.asset.local is not None:
            hint += f"; it is to be like this: {self.asset.local.looks_like}"
        return AssetError(f"{self._name}: {what}", hint=hint, slug="data-missing")

    def _outputs_in_words(self) -> str:
        words = []
        for output in self.asset.outputs:
            files = f" with {output.files:,} files" if output.files else ""
            words.append(f"`{output.path}`{files}")
        return ", ".join(words)

    @property
    def _name(self) -> str:
        return f"{neutral(str(self.folder))}, given for {full_name(self.asset)}"


def require_given(store: Store, catalog: Catalog, entry: Entry[Asset], folder: Path, *, whole: bool = False) -> Stored:
    """A user's folder as the asset of ``entry``, checked; ``whole`` hashes every byte.

    Raises:
        AssetError: as `GivenFolder.check`; `asset-unlocked` where there is nothing to check it against.
    """
    asset = entry.definition
    if missing_hashes(asset):
        raise AssetError(
            f"{full_name(asset)} has no hash yet that {folder} could be checked against",
            hint=f"`mlorch assets lock {full_name(asset)} --data {asset.name}={folder}` trusts that folder once",
            slug="asset-unlocked",
        )
    facts = GivenFolder(store=store, catalog=catalog, entry=entry, folder=folder).check(whole=whole)
    return Stored(
        kind=kind_of(asset),
        name=asset.name,
        key=key_of(entry, catalog),
        path=folder,
        size=sum(one.size for one in facts.values()),
        given=folder,
    )


def parse_manifest(text: str) -> dict[str, str]:
    """The hash of each file of a manifest as ``sha256sum`` prints it; other lines are left out."""
    found = {}
    for line in text.splitlines():
        sha256, _, name = line.partition("  ")
        if len(sha256) == 64 and name:
            found[name] = sha256
    return found


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{neutral(name)}`" for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
