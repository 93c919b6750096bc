"""Files of Python releases, through the index that this host's pip is configured for."""

from __future__ import annotations

import base64
import configparser
import json
import os
import sys
import urllib.parse
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.locks import normalised
from orchestrator.errors import AssetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1"
_SECTIONS = ("global", "download", "install")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Roots of simple indexes and folders or pages of files (`find-links`), in pip's order."""

    indexes: tuple[str, ...]
    links: tuple[str, ...] = ()


def places(env: Mapping[str, str] | None = None, configs: Sequence[Path] | None = None) -> Places:
    """Where pip would look on this host: its environment variables, its files, its own default.

    Raises:
        AssetError: `no-index`, nothing is configured and no pip is there to say its default.
    """
    env = os.environ if env is None else env
    found: dict[str, str] = {}
    for path in _config_files(env) if configs is None else configs:
        found |= _read_config(path)
    for key in ("index-url", "extra-index-url", "find-links", "no-index"):
        if value := env.get(f"PIP_{key.upper().replace('-', '_')}"):
            found[key] = value
    links = tuple(found.get("find-links", "").split())
    if found.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        return Places(indexes=(), links=links)
    first = found.get("index-url") or _default_index()
    return Places(indexes=(first, *found.get("extra-index-url", "").split()), links=links)


def _config_files(env: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files, later ones win."""
    home = Path(env.get("HOME") or Path.home())
    if (named := env.get("PIP_CONFIG_FILE")) == os.devnull:
        return
    for folder in reversed(env.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")):
        yield Path(folder) / "pip/pip.conf"
    yield Path("/etc/pip.conf")
    yield home / ".pip/pip.conf"
    yield Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if named:
        yield Path(named)


def _read_config(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    return {
        key.replace("_", "-"): value
        for section in _SECTIONS
        if parser.has_section(section)
        for key, value in parser.items(section)
    }


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


def file_urls(
    package: str, filename: str, where: Places, read: Callable[[str, str], tuple[bytes, str]]
) -> tuple[str, ...]:
    """Addresses of one file of a release; empty when no index has it.

    ``read`` takes an address and an Accept header and gives a page and its media type;
    it raises `FileNotFoundError` for a page that is not there.
    """
    found = []
    for link in where.links:
        folder = Path(link.removeprefix("file://"))
        if (folder / filename).is_file():
            found.append((folder / filename).absolute().as_uri())
    for index in where.indexes:
        page = f"{index.rstrip('/')}/{normalised(package)}/"
        try:
            body, media = read(page, _ACCEPT)
        except FileNotFoundError:
            continue
        for name, href in _entries(body, media):
            if name == filename:
                found.append(_with_credentials(urllib.parse.urljoin(page, href), page))
    return tuple(found)


def file_hashes(
    package: str, where: Places, read: Callable[[str, str], tuple[bytes, str]]
) -> Iterator[tuple[str, str, int]]:
    """File name, SHA-256 and size of every file of a project that an index says both of (PEP 691 and 700)."""
    for index in where.indexes:
        try:
            body, media = read(f"{index.rstrip('/')}/{normalised(package)}/", _ACCEPT)
        except FileNotFoundError:
            continue
        for item in json.loads(body).get("files", []) if "json" in media else ():
            if item.get("hashes", {}).get("sha256") and item.get("size"):
                yield str(item["filename"]), str(item["hashes"]["sha256"]), int(item["size"])


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


def split_credentials(url: str) -> tuple[str, str | None]:
    """The address without user and password, and the value of an Authorization header for them."""
    parts = urllib.parse.urlsplit(url)
    if parts.username is None:
        return url, None
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    return urllib.parse.urlunsplit(plain), f"Basic {base64.b64encode(pair.encode()).decode()}"
