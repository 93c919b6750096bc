"""Models and datasets as they are mounted into containers, kept by content and shared between runs.

``assets/<kind>/<name>/<key>/`` holds ``files/`` (what a container sees), ``licences/``
and a marker with the hashes. The key is a hash of everything that determines the
bytes; never a time. A folder appears by one rename, so that it is whole or absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError
from orchestrator.host.file_lock import locked
from orchestrator.host.files import WriteFailed, atomic_write_text, sha256_file, write_failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset

SCHEME = "1"
_MARKER = "complete.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An asset that is there, its bytes as the recipe says."""

    kind: str
    name: str
    key: str
    path: Path
    size: int
    """bytes of all its files"""

    @property
    def folder(self) -> Path:
        """What is mounted."""
        return self.path / "files"

    @property
    def licences(self) -> Path:
        """Terms of every source, one file each."""
        return self.path / "licences"


def kind_of(asset: Asset) -> str:
    """``model`` or ``dataset``."""
    return type(asset).__name__.lower()


def key_of(entry: Entry[Asset], catalog: Catalog) -> str:
    """The identity of an asset's bytes: its sources, its prepare script, its outputs."""
    asset = entry.definition
    form = asset.model_dump(mode="json", include={"sources", "outputs", "prepare"})
    for source in form["sources"]:
        source.pop("licence")
    script = sha256_file(catalog.file(entry, asset.prepare.script)) if asset.prepare else ""
    text = json.dumps({"scheme": SCHEME, "asset": form, "script": script}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Store:
    """The assets below ``root``; several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder_of(self, asset: Asset, key: str) -> Path:
        """Where an asset lies once it is there."""
        return self.root / "assets" / kind_of(asset) / asset.name / key

    def find(self, entry: Entry[Asset], catalog: Catalog) -> Stored | None:
        """The asset if it is there and unchanged since it was checked.

        Cheap: size, time and inode of every file are compared with the marker; only when
        they differ are the files hashed. A folder with a wrong file counts as absent and
        stays where it is until `making` takes its place.
        """
        asset, key = entry.definition, key_of(entry, catalog)
        path = self.folder_of(asset, key)
        marker = _read_marker(path)
        if marker is None:
            return None
        facts = _facts(path, marker)
        if facts != marker:
            if self.wrong(asset, path):
                return None
            with contextlib.suppress(WriteFailed):  # only saves the next one from hashing again
                _write_marker(path, facts)
        return self._stored(asset, key, path)

    def verify(self, entry: Entry[Asset], catalog: Catalog) -> tuple[Stored | None, tuple[str, ...]]:
        """Hash every file: the asset (None when it is not there) and the names of files that are wrong."""
        asset, key = entry.definition, key_of(entry, catalog)
        path = self.folder_of(asset, key)
        if _read_marker(path) is None:
            return None, ()
        return self._stored(asset, key, path), self.wrong(asset, path)

    def wrong(self, asset: Asset, path: Path) -> tuple[str, ...]:
        """The outputs below ``place`` that are missing or not what their hashes say."""
        return tuple(out.file for out in asset.outputs if _hash(path / "files" / out.file) != out.sha256)

    @contextmanager
    def making(self, asset: Asset, key: str) -> Iterator[Path]:
        """A folder to fill, under `alone`; in place, whole, when the block ends well.

        It has ``sources/``, ``out/`` (what a prepare script or a plain copy makes),
        ``files/`` and ``licences/``. What lay in its place with wrong files is moved to
        ``quarantine/``.

        Raises:
            WriteFailed: no space, no rights; nothing is left behind.
        """
        path = self.folder_of(asset, key)
        folder = path.with_name(f".{key}.new")
        try:
            shutil.rmtree(folder, ignore_errors=True)
            for part in ("sources", "out", "files", "licences"):
                (folder / part).mkdir(parents=True)
            yield folder
            self._publish(asset, folder, path)
        except WriteFailed:
            raise
        except OSError as error:
            raise write_failure(folder, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def alone(self, asset: Asset, key: str) -> Iterator[None]:
        """While this is held, no other process makes this asset."""
        with locked(self.folder_of(asset, key).with_suffix(".lock")):
            yield

    def set_aside(self, path: Path, names: tuple[str, ...]) -> Path:
        """Move a folder with wrong files out of the way, for a look at it."""
        aside = self.root / "quarantine" / f"{path.parent.name}-{path.name}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.replace(aside)
        atomic_write_text(aside / "WRONG.txt", "\n".join(names) + "\n", overwrite=True)
        return aside

    def _publish(self, asset: Asset, folder: Path, path: Path) -> None:
        """Take what was prepared as the asset: only regular files whose hashes are the recipe's."""
        for output in asset.outputs:
            made = folder / "out" / output.file
            if made.is_symlink() or not made.is_file():
                raise AssetError(f"{asset.name}: `{output.file}` was not made", slug="output-missing")
            found = sha256_file(made)
            if found != output.sha256:
                raise self._mismatch(asset, made, found, output.sha256)
            target = folder / "files" / output.file
            target.parent.mkdir(parents=True, exist_ok=True)
            made.replace(target)
            target.chmod(0o444)
            target.parent.chmod(0o755)  # a run of root's reads it as a user without rights, whatever root's umask is
        for part in ("sources", "out"):
            shutil.rmtree(folder / part)
        expected = {output.file: {"sha256": output.sha256} for output in asset.outputs}
        _write_marker(folder, _facts(folder, expected))
        if path.exists():
            self.set_aside(path, self.wrong(asset, path))
        folder.replace(path)

    def _mismatch(self, asset: Asset, made: Path, found: str, expected: str) -> AssetError:
        aside = self.root / "quarantine" / f"{found[:16]}-{made.name}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        made.replace(aside)
        return AssetError(
            f"{asset.name}: {made.name} has sha256 {found}, expected {expected}; it is kept at {aside}",
            hint="the prepared bytes are not those that the recipe pins; nothing was cached",
            slug="hash-mismatch",
        )

    def _stored(self, asset: Asset, key: str, path: Path) -> Stored:
        size = sum(path.stat().st_size for path in (path / "files").rglob("*") if path.is_file())
        return Stored(kind=kind_of(asset), name=asset.name, key=key, path=path, size=size)


Marker = dict[str, dict[str, object]]


def _read_marker(path: Path) -> Marker | None:
    try:
        marker = json.loads((path / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def _write_marker(path: Path, facts: Marker) -> None:
    atomic_write_text(path / _MARKER, json.dumps(facts, indent=1, sort_keys=True) + "\n", overwrite=True)


def _facts(path: Path, marker: Mapping[str, Mapping[str, object]]) -> Marker:
    """The marker as the files are now: hash as noted, size in bytes, time in nanoseconds, inode."""
    facts: Marker = {}
    for name, noted in marker.items():
        try:
            stat = (path / "files" / name).stat()
        except OSError:
            return {}
        facts[name] = {
            "sha256": noted.get("sha256"),
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "inode": stat.st_ino,
        }
    return facts


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError:
        return ""
