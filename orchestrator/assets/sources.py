"""The sources of a model or dataset as files with checked bytes, and their licences."""

from __future__ import annotations

import contextlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from orchestrator.assets.hub import Hub, this_hub
from orchestrator.assets.listed import ListedFile
from orchestrator.assets.mlcommons import Mlcommons, access_headers
from orchestrator.assets.remote import HubRemote, MlcommonsRemote, merged
from orchestrator.definitions.asset_locks import full_name
from orchestrator.definitions.kinds.sources import (
    DebianPackage,
    GitFiles,
    HttpFile,
    HubFiles,
    LocalFiles,
    MlcommonsFiles,
    PypiPackage,
    RecipeFile,
)
from orchestrator.errors import AssetError
from orchestrator.facts.build import DebPin
from orchestrator.facts.sizes import whole_number
from orchestrator.host import git
from orchestrator.host.files import sha256_file
from orchestrator.http.client import Request
from orchestrator.http.failures import HttpError
from orchestrator.packages.download import GoneError, Wanted, quarantine
from orchestrator.packages.index import file_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.definitions.kinds.sources import AssetSource
    from orchestrator.packages.fetch import Fetcher

T = TypeVar("T")
_PARALLEL = 4
"""Files of one source at a time: enough to hide latency, few enough for a shared server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameFile:
    """A file as it came: its name within its source, its hash and its size in bytes."""

    path: str
    sha256: str
    size: int


class Sources:
    """Fetches the sources of assets on the host, in pure Python, so that no tool of a distribution is needed."""

    def __init__(self, catalog: Catalog, fetch: Fetcher, *, hub: Callable[[], Hub] = this_hub) -> None:
        self._catalog = catalog
        self._fetch = fetch
        self._make_hub = hub

    @cached_property
    def _hub(self) -> Hub:
        return self._make_hub()

    def _remote(self, source: HubFiles | MlcommonsFiles) -> HubRemote | MlcommonsRemote:
        """The server of a source of several files."""
        client = self._fetch.downloads.client
        if isinstance(source, HubFiles):
            return HubRemote(source, client, self._hub)
        return MlcommonsRemote(source, client, Mlcommons(headers=access_headers()))

    def require_access(self, asset: Asset) -> None:
        """Whether what is given to some only can come to this caller, as far as that is known without asking.

        Raises:
            AssetError: `token-missing`, which one and where the terms are accepted.
        """
        for source in asset.sources:
            if isinstance(source, HubFiles | MlcommonsFiles) and not all(
                self.has(file.sha256) for file in source.files
            ):
                refusal = self._remote(source).stranger()
                if refusal is not None:
                    raise refusal

    def has(self, sha256: str) -> bool:
        """Whether a file with this hash is here already."""
        return bool(sha256) and self._fetch.downloads.has(sha256)

    def fetch_into(self, entry: Entry[Asset], asset: Asset, folder: Path) -> list[Path]:
        """Every source of ``asset`` in ``folder``, its bytes checked: a file under its own name, or a folder.

        Raises:
            AssetError: it cannot be had (`source-gone`, `download-failed`, `token-missing`,
                `terms-not-accepted`, `data-missing`), or its bytes are not those of the recipe
                (`hash-mismatch`); nothing counts then.
        """
        fetched = [source for source in asset.sources if source.kind not in {"generated", "folder"}]
        return [self._one(entry, asset, source, folder) for source in fetched]

    def _one(self, entry: Entry[Asset], asset: Asset, source: AssetSource, folder: Path) -> Path:
        match source:
            case HubFiles() | MlcommonsFiles():
                return self._many(source, folder)
            case GitFiles():
                return self._tree(source, folder)
            case LocalFiles():
                raise data_missing(asset, source)
            case _:
                target = folder / source_name(source)
                path = self._file(entry, asset, source)
                # A file beside a recipe belongs to its author: never share its inode.
                _copy_or_link(path, target, link=not isinstance(source, RecipeFile))
                return target

    def _file(self, entry: Entry[Asset], asset: Asset, source: AssetSource) -> Path:
        """Where a source that is one file lies, its bytes checked."""
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
            case HttpFile():
                wanted = Wanted(name=source.name, sha256=source.sha256, size=source.size, urls=source.urls)
                return self._or_gone(asset, source, lambda: self._fetch.downloads.get(wanted))
            case _:
                raise AssertionError(source.kind)

    def _many(self, source: HubFiles | MlcommonsFiles, folder: Path) -> Path:
        """A source of several files whose hashes are known, as a folder."""
        listed = [ListedFile(path=one.path, size=one.size, sha256=one.sha256, md5=one.md5) for one in source.files]
        remote = self._remote(source)

        def bring(file: ListedFile) -> None:
            target = folder / source.folder / file.path
            with remote.explained():
                path = self._fetch.downloads.get_lazily(file.sha256, lambda: remote.wanted(file))
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_or_link(path, target, link=True)

        _in_parallel(bring, listed)
        if isinstance(source, HubFiles) and source.ref is not None:
            ref = folder / source.ref
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(source.revision, encoding="ascii")
        return folder / source.folder

    def _tree(self, source: GitFiles, folder: Path) -> Path:
        target = folder / source.folder
        target.parent.mkdir(parents=True, exist_ok=True)
        mirrors = self._fetch.site.git_mirrors
        git.export(source.url, source.commit, target, paths=source.paths, mirrors=mirrors)
        return target

    # -- what nobody has hashed ----------------------------------------------------------------

    def listed(self, source: AssetSource) -> tuple[ListedFile, ...]:
        """What a server says of the files of a source without hashes: none for another source. Raises as `fetch_into`.

        Sizes are 0 where it does not say.
        """
        match source:
            case HttpFile():
                return (ListedFile(path=source.name, size=source.size or self._size_at(source), md5=source.md5),)
            case HubFiles() | MlcommonsFiles():
                return merged(source, self._remote(source).files())
            case _:
                return ()

    def trust(self, source: AssetSource, listed: tuple[ListedFile, ...]) -> tuple[CameFile, ...]:
        """Fetch the files of a source without hashes as they are now; they are in the cache then.

        What the server said of a file is checked (`ListedFile.check`); beyond that what comes is believed.
        """
        if isinstance(source, HttpFile):
            (file,) = listed
            wanted = Wanted(name=source.name, sha256=source.sha256, size=file.size, urls=source.urls)
            return (self._as_it_comes(wanted, file),)
        if not isinstance(source, HubFiles | MlcommonsFiles):
            return ()
        remote = self._remote(source)

        def bring(file: ListedFile) -> CameFile:
            with remote.explained():
                return self._as_it_comes(remote.wanted(file), file)

        return tuple(_in_parallel(bring, listed))

    def _as_it_comes(self, wanted: Wanted, file: ListedFile) -> CameFile:
        downloads = self._fetch.downloads
        if wanted.sha256:  # the server gives the hash that counts: a second look at it costs no download
            path = downloads.get(wanted)
            file.check(path)
            return CameFile(path=file.path, sha256=wanted.sha256, size=path.stat().st_size)
        _, sha256, size = downloads.get_unpinned(wanted, file.check)
        return CameFile(path=file.path, sha256=sha256, size=size)

    def _size_at(self, source: HttpFile) -> int:
        for url in source.urls:
            with (
                contextlib.suppress(HttpError),
                self._fetch.downloads.client.send(Request(url=url, method="HEAD")) as answer,
            ):
                size = whole_number(answer.headers.get("Content-Length", ""))
                if answer.status == 200 and size is not None:
                    return size
        return 0

    # -- packages and files beside recipes -----------------------------------------------------

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

    def _or_gone(self, asset: Asset, source: AssetSource, get: Callable[[], Path]) -> Path:
        try:
            return get()
        except GoneError:
            pass
        if isinstance(source, HttpFile):
            raise AssetError(
                f"{asset.name} needs {source_name(source)}, and none of its {len(source.urls)} addresses has it",
                hint="add an address that has it to `urls` of the recipe: the hash says whether it is the right one",
                slug="source-gone",
            )
        raise AssetError(
            f"{asset.name} needs {source_name(source)}, and no index or mirror of this host has it",
            hint="check which mirrors this host uses (`mlorch doctor`); a copy of the file in a folder that "
            "PIP_FIND_LINKS or MLORCH_DEBIAN_MIRROR names does as well",
            slug="source-gone",
        )


def _in_parallel(work: Callable[[ListedFile], T], files: Iterable[ListedFile]) -> list[T]:
    pool = ThreadPoolExecutor(_PARALLEL)
    try:
        return list(pool.map(work, files))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after a fault or Ctrl-C the rest is not begun


def data_missing(asset: Asset, source: LocalFiles) -> AssetError:
    """What to do about data that only its user can bring."""
    return AssetError(
        f"{full_name(asset)} is not handed on: whoever has it names its folder",
        hint=f"get it: {source.where}; then add --data {asset.name}=FOLDER, where FOLDER is like this: "
        f"{source.looks_like}",
        slug="data-missing",
    )


def source_name(source: AssetSource) -> str:
    """The name of a source among the others: its file's, or its folder's."""
    match source:
        case PypiPackage():
            return PurePosixPath(source.filename).name
        case DebianPackage() | RecipeFile():
            return PurePosixPath(source.path).name
        case HttpFile():
            return source.name
        case HubFiles() | MlcommonsFiles() | GitFiles():
            return source.folder
        case _:
            return source.kind


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
    target.chmod(0o644)  # who prepares it is another user where the caller is root
