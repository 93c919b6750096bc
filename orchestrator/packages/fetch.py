"""Pinned files from the host's own mirrors and indexes: Debian packages, pip out of one of them, Python sources."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.lock import Sdist
from orchestrator.definitions.locks import normalised
from orchestrator.errors import AssetError
from orchestrator.host.folders import cache_home
from orchestrator.host.mirrors import require_archives
from orchestrator.host.replacing import replacing
from orchestrator.http.client import Client
from orchestrator.packages.download import Downloads, GoneError, Wanted, ignore, pool_urls
from orchestrator.packages.index import configured_indexes, file_hashes, file_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.engines import BuildEvent
    from orchestrator.facts.build import DebPin, SdistPin
    from orchestrator.host.site import SiteConfig
    from orchestrator.packages.index import Indexes

_PARALLEL = 4
"""Downloads at a time: enough to hide latency, few enough for a shared mirror."""


class Fetcher:
    """Fetches packages by pin into the shared cache, from what a site has: archives, indexes, certificates, proxies."""

    def __init__(
        self, site: SiteConfig, root: Path | None = None, on_event: Callable[[BuildEvent], None] = ignore
    ) -> None:
        self.site = site
        self.downloads = Downloads(root or cache_home(), Client(site=site), on_event)

    @cached_property
    def mirrors(self) -> Mapping[str, Sequence[str]]:
        """Archive roots by kind. Raises `AssetError` (`no-mirror`) where the site has none."""
        return require_archives(self.site.archives)

    @cached_property
    def indexes(self) -> Indexes:
        """Where files of Python releases are looked for. Raises `AssetError` (`no-index`)."""
        return configured_indexes(self.site)

    def deb(self, pin: DebPin) -> Path:
        """One package, its bytes checked.

        Raises:
            GoneError: no mirror has this version any more.
            AssetError: other faults, as `Downloads.get`.
        """
        try:
            urls = pool_urls(self._roots(pin), pin.path)
        except AssetError:
            if not self.downloads.has(pin.sha256):
                raise
            urls = ()
        wanted = Wanted(name=PurePosixPath(pin.path).name, sha256=pin.sha256, size=pin.size, urls=urls)
        return self.downloads.get(wanted)

    def debs(self, pins: Sequence[DebPin], *, relock: str = "") -> list[Path]:
        """Several packages at once, in the order of ``pins``; ``relock`` names the layer for the hint.

        Raises:
            AssetError: `lock-drift`, naming every package that the mirrors no longer have.
        """

        def one(pin: DebPin) -> Path | None:
            try:
                return self.deb(pin)
            except GoneError:
                return None

        pool = ThreadPoolExecutor(_PARALLEL)
        try:
            paths = list(pool.map(one, pins))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after a fault or Ctrl-C the rest is not begun
        if gone := [f"{pin.name} {pin.version}" for pin, path in zip(pins, paths, strict=True) if path is None]:
            command = f"mlorch images lock {relock}".rstrip()
            raise AssetError(
                f"the mirrors no longer have {', '.join(gone)}",
                hint=f"pin what they have now: `{command}`",
                slug="lock-drift",
            )
        return [path for path in paths if path is not None]

    def _roots(self, pin: DebPin) -> list[str]:
        """Archive roots to try: those of the pin's archive first; a mirror may serve both trees."""
        other = "main" if pin.archive == "security" else "security"
        return [*self.mirrors.get(pin.archive, ()), *self.mirrors.get(other, ())]


_PIP_WHEEL = re.compile(r"^\./usr/share/python-wheels/(pip-[0-9][^/]*-py3-none-any\.whl)$")


def pip_wheel(pin: DebPin, fetch: Fetcher) -> Path:
    """The pip wheel inside the pinned package of the `pip` layer, unpacked into the cache.

    It goes into build contexts only: ``python3 pip.whl/pip install …``. It is unpacked every
    time, from a package whose bytes were just checked: nothing vouches for an older copy.

    Raises:
        AssetError: as `Fetcher.debs`; `no-pip` when the package holds no wheel.
    """
    from debian.debfile import DebFile

    (deb,) = fetch.debs([pin], relock="pip")
    path = fetch.downloads.root / "pip" / pin.sha256 / "pip.whl"
    with DebFile(filename=str(deb)) as package, package.data.tgz() as members:
        for member in members:
            if _PIP_WHEEL.match(member.name) and (stream := members.extractfile(member)) is not None:
                with replacing(path) as temporary:
                    temporary.write_bytes(stream.read())
                    temporary.chmod(0o644)
                return path
    raise AssetError(f"{pin.name} {pin.version} holds no pip wheel", slug="no-pip")


# -- sources of Python distributions -------------------------------------------------------

_ENDING = ".tar.gz"


def sdist_pin(name: str, version: str, fetch: Fetcher) -> Sdist:
    """The source of a release as the index of this host lists it. No code of it runs.

    Raises:
        AssetError: `no-sdist`, the index lists no source of that version with its hash and size.
    """
    for filename, sha256, size in file_hashes(name, fetch.indexes, fetch.downloads.page):
        project, _, rest = filename.removesuffix(_ENDING).rpartition("-")
        if filename.endswith(_ENDING) and normalised(project) == name and rest == version:
            return Sdist(name=name, version=version, filename=filename, sha256=sha256, size=size)
    raise AssetError(
        f"the index has no source of {name} {version} whose hash and size it says",
        hint=f"take `{name}` out of `from_source`, or use an index that serves PEP 691 and 700 (pypi.org does)",
        slug="no-sdist",
    )


def fetch_sdist(pin: SdistPin, fetch: Fetcher) -> Path:
    """The source in the cache, its bytes checked.

    Raises:
        AssetError: `sdist-gone`, no index of this host has it; others as `Downloads.get`.
    """
    urls: tuple[str, ...] = ()
    if not fetch.downloads.has(pin.sha256):
        urls = file_urls(pin.name, pin.filename, fetch.indexes, fetch.downloads.page)
    try:
        return fetch.downloads.get(Wanted(name=pin.filename, sha256=pin.sha256, size=pin.size, urls=urls))
    except GoneError:
        raise AssetError(
            f"no index of this host has {pin.filename}",
            hint="check PIP_INDEX_URL and pip's configuration; a copy of the file in a folder that PIP_FIND_LINKS "
            "names does as well",
            slug="sdist-gone",
        ) from None
