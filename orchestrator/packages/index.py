"""Files of Python releases, through the index that this host's pip is configured for.

A page of an index is input: it is decoded strictly, and an entry that makes no sense is none.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.locks import normalised
from orchestrator.errors import AssetError
from orchestrator.facts.neutral import neutral
from orchestrator.facts.references import SHA256
from orchestrator.facts.strict_json import strict_json
from orchestrator.http.answer import LARGEST_DOWNLOAD
from orchestrator.http.client import origin, split_credentials

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
    """Addresses of one file of a release; empty when no index has it. Raises `AssetError` [bad-index]."""
    found = []
    for link in where.links:
        folder = Path(link.removeprefix("file://"))
        if (folder / filename).is_file():
            found.append((folder / filename).absolute().as_uri())
    for page in _pages(package, where, read):
        for name, href in page.entries():
            if name == filename and (url := _seen_from(page.url, href)):
                found.append(url)
    return tuple(found)


def file_hashes(package: str, where: Indexes, read: Read) -> Iterator[tuple[str, str, int]]:
    """File name, SHA-256 and size of every file of a project that an index says both of (PEP 691 and 700).

    Raises `AssetError` [bad-index].
    """
    for page in _pages(package, where, read):
        for item in page.files():
            hashes, size = item.get("hashes"), item.get("size")
            sha256 = str(hashes.get("sha256")) if isinstance(hashes, dict) else ""
            if SHA256.fullmatch(sha256) and type(size) is int and 0 < size <= LARGEST_DOWNLOAD:
                yield str(item["filename"]), sha256, size


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A project's page at an index, as it came."""

    package: str
    url: str
    body: bytes
    media: str

    def files(self) -> list[dict[str, Any]]:
        """The entries of a JSON page (PEP 691) that name a file."""
        if "json" not in self.media:
            return []
        try:
            document = strict_json(self.body.decode())
        except ValueError as error:
            raise self._bad(str(error)) from None
        files = document.get("files") if isinstance(document, dict) else None
        if not isinstance(files, list):
            raise self._bad("it has no list `files`")
        return [one for one in files if isinstance(one, dict) and isinstance(one.get("filename"), str)]

    def entries(self) -> Iterator[tuple[str, str]]:
        """(file name, address) of every file, JSON or HTML (PEP 503)."""
        if "json" in self.media:
            for one in self.files():
                if isinstance(one.get("url"), str):
                    yield one["filename"], one["url"].partition("#")[0]
            return
        parser = _Links()
        parser.feed(self.body.decode("utf-8", errors="replace"))  # `close` would try what is cut off for hours
        for href in parser.found:
            plain = href.partition("#")[0]
            yield urllib.parse.unquote(plain.rpartition("/")[2]), plain

    def _bad(self, why: str) -> AssetError:
        return AssetError(
            f"{split_credentials(self.url)[0]} is no page of an index for `{self.package}`: {neutral(why)}",
            hint="nothing of it was used; check the index (PIP_INDEX_URL, pip's configuration)",
            slug="bad-index",
        )


class _Links(HTMLParser):
    """The targets of all anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]


def _pages(package: str, where: Indexes, read: Read) -> Iterator[_Page]:
    """A project's page at every index that has one."""
    for index in where.indexes:
        url = f"{index.rstrip('/')}/{normalised(package)}/"
        try:
            body, media = read(url, _ACCEPT)
        except FileNotFoundError:
            continue
        yield _Page(package=package, url=url, body=body, media=media)


def _seen_from(page: str, href: str) -> str:
    """The address of a file; empty for what is none, or leads from a server to files of this machine.

    As with pip the index's own user and password go along where the file is on the same server.
    """
    try:
        url = urllib.parse.urljoin(page, href)
        parts, listed = urllib.parse.urlsplit(url), urllib.parse.urlsplit(page)
        same = origin(url) == origin(page)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https", listed.scheme}:
        return ""
    if listed.username and not parts.username and same:
        return urllib.parse.urlunsplit(parts._replace(netloc=listed.netloc))
    return url
