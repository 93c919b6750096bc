"""Files of Python releases, through the index that this host's pip is configured for."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.locks import normalised
from orchestrator.errors import AssetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.host.site import SiteConfig

    Read = Callable[[str, str], tuple[bytes, str]]
    """From an address and an Accept header to a page and its media type; `FileNotFoundError` where there is none."""

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """Roots of simple indexes and folders or pages of files (`find-links`), in pip's order."""

    indexes: tuple[str, ...]
    links: tuple[str, ...] = ()


def configured_indexes(site: SiteConfig) -> Indexes:
    """Where pip would look on this host: as it is configured, else its own default.

    Raises:
        AssetError: `no-index`, nothing is configured and no pip is there to say its default.
    """
    links = site.pip.get("find-links", ())
    if " ".join(site.pip.get("no-index", ())).lower() in {"1", "true", "yes", "on"}:
        return Indexes(indexes=(), links=links)
    first = site.pip.get("index-url") or (_default_index(),)
    return Indexes(indexes=(*first, *site.pip.get("extra-index-url", ())), links=links)


def _default_index() -> str:
    """What pip itself takes when nothing is configured: asked of pip, so that no name is ours."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        raise AssetError(
            "no Python package index is configured, and no pip is there to ask for its default",
            hint="set PIP_INDEX_URL to the index that you may use",
            slug="no-index",
        ) from None
    return str(PyPI.simple_url)


def file_urls(package: str, filename: str, where: Indexes, read: Read) -> tuple[str, ...]:
    """Addresses of one file of a release; empty when no index has it."""
    found = []
    for link in where.links:
        folder = Path(link.removeprefix("file://"))
        if (folder / filename).is_file():
            found.append((folder / filename).absolute().as_uri())
    for page, body, media in _pages(package, where, read):
        for name, href in _entries(body, media):
            if name == filename:
                found.append(_with_credentials(urllib.parse.urljoin(page, href), page))
    return tuple(found)


def file_hashes(package: str, where: Indexes, read: Read) -> Iterator[tuple[str, str, int]]:
    """File name, SHA-256 and size of every file of a project that an index says both of (PEP 691 and 700)."""
    for _, body, media in _pages(package, where, read):
        for item in json.loads(body).get("files", []) if "json" in media else ():
            if item.get("hashes", {}).get("sha256") and item.get("size"):
                yield str(item["filename"]), str(item["hashes"]["sha256"]), int(item["size"])


def _pages(package: str, where: Indexes, read: Read) -> Iterator[tuple[str, bytes, str]]:
    """Address, body and media type of a project's page at every index that has one."""
    for index in where.indexes:
        page = f"{index.rstrip('/')}/{normalised(package)}/"
        try:
            yield page, *read(page, _ACCEPT)
        except FileNotFoundError:
            continue


def _entries(body: bytes, media: str) -> Iterator[tuple[str, str]]:
    """(file name, address) of every file on a project page, JSON (PEP 691) or HTML (PEP 503)."""
    if "json" in media:
        for item in json.loads(body).get("files", []):
            yield str(item["filename"]), str(item["url"]).partition("#")[0]
        return
    parser = _Links()
    parser.feed(body.decode("utf-8", errors="replace"))
    for href in parser.found:
        plain = href.partition("#")[0]
        yield urllib.parse.unquote(plain.rpartition("/")[2]), plain


class _Links(HTMLParser):
    """The targets of all anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]


def _with_credentials(url: str, page: str) -> str:
    """Keep the index's own user and password for files on the same host, as pip does."""
    parts, origin = urllib.parse.urlsplit(url), urllib.parse.urlsplit(page)
    if origin.username and not parts.username and parts.hostname == origin.hostname and parts.scheme == origin.scheme:
        return urllib.parse.urlunsplit(parts._replace(netloc=origin.netloc))
    return url
