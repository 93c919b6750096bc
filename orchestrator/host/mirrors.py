"""Package archives and indexes that this host already uses; nothing is assumed beyond them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError
from orchestrator.host.paths import is_file
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_OPTIONS = re.compile(r"\[[^\]]*\]")
_SUITES = re.compile(
    r"(?:buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)"
    r"(?P<part>-updates|-security|/updates)?"
)
"""Suites of Debian's own archives. Every suite shares one pool, so a host of any release will do."""


def debian_mirrors(etc: Path = Path("/etc/apt"), *, main: str = "", security: str = "") -> dict[str, tuple[str, ...]]:
    """Roots of Debian archives by kind, ``main`` and ``security``, in the order of the host's lists.

    ``main`` and ``security`` (one URL each) are mlorch's own settings and come first; a host of
    another distribution needs them. A kind that nobody names is left out.
    """
    found: dict[str, dict[str, None]] = {"main": {}, "security": {}}
    for kind, url in (("main", main), ("security", security)):
        if url:
            found[kind][url.rstrip("/")] = None
    for url, suites in sources(etc):
        for suite in suites:
            match = _SUITES.fullmatch(suite.rstrip("/"))
            if match:
                kind = "security" if match["part"] in ("-security", "/updates") else "main"
                found[kind][url] = None
    return {kind: tuple(urls) for kind, urls in found.items() if urls}


def require_archives(archives: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """`archives`, which must have the main one. Raises `AssetError` (`no-mirror`)."""
    if archives.get("main"):
        return archives
    raise AssetError(
        "this host's apt sources name no archive of Debian",
        hint="set MLORCH_DEBIAN_MIRROR and MLORCH_DEBIAN_SECURITY_MIRROR to the roots of archives you may use",
        slug="no-mirror",
    )


def sources(etc: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """(archive root, suites) of every entry for binary packages, one-line and deb822 files alike."""
    parts = etc / "sources.list.d"
    try:
        files = [etc / "sources.list", *sorted(parts.iterdir())]
    except OSError:
        files = [etc / "sources.list"]
    for path in files:
        text = text_of(path) if is_file(path) else ""  # one with a password in it is root's alone
        if path.suffix == ".sources":
            yield from _deb822(text)
        elif path.suffix == ".list":
            yield from _one_line(text)


def _one_line(text: str) -> Iterator[tuple[str, Sequence[str]]]:
    for raw in text.splitlines():
        words = _OPTIONS.sub(" ", raw.partition("#")[0]).split()
        if len(words) > 3 and words[0] == "deb" and "main" in words[3:]:
            yield words[1].rstrip("/"), [words[2]]


def _deb822(text: str) -> Iterator[tuple[str, Sequence[str]]]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = _fields(stanza)
        if fields.get("enabled", "yes").lower() == "no":
            continue
        if "deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split():
            for url in fields.get("uris", "").split():
                yield url.rstrip("/"), fields.get("suites", "").split()


def _fields(stanza: str) -> dict[str, str]:
    """The fields of a stanza by lower-case name, folded lines joined."""
    fields: dict[str, str] = {}
    key = ""
    for line in stanza.splitlines():
        if line[:1].isspace():
            fields[key] = f"{fields.get(key, '')} {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()
    return fields
