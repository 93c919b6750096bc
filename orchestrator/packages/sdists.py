"""Source distributions: which file of the index a release is, and its bytes by pin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.lock import Sdist
from orchestrator.definitions.locks import normalised
from orchestrator.errors import AssetError
from orchestrator.packages.download import GoneError, Wanted
from orchestrator.packages.index import file_hashes, file_urls

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.build import SdistPin
    from orchestrator.packages.debs import Fetcher

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
