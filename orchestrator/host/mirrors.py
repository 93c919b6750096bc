"""Package archives and indexes that this host already uses; nothing is assumed beyond them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_OPTIONS = re.compile(r"\[[^\]]*\]")
_SUITES = re.compile(
    r"(?:buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)"
    r"(?P<part>-updates|-security|/updates)?"
)
"""Suites of Debian's own archives. Every suite shares one pool, so a host of any release will do."""


def debian_mirrors(etc: Path = Path("/etc/apt"), env: Mapping[str, str] | None = None) -> dict[str, tuple[str, ...]]:
    """Roots of Debian archives by kind, ``main`` and ``security``, in the order of the host's lists.

    ``MLORCH_DEBIAN_MIRROR`` and ``MLORCH_DEBIAN_SECURITY_MIRROR`` (one URL each) come
    first; a host of another distribution needs them.

    Raises:
        AssetError: `no-mirror`, the host names no archive at all.
    """
    env = os.environ if env is None else env
    found: dict[str, list[str]] = {"main": [], "security": []}
    for kind, variable in (("main", "MLORCH_DEBIAN_MIRROR"), ("security", "MLORCH_DEBIAN_SECURITY_MIRROR")):
        if url := env.get(variable):
            found[kind].append(url.rstrip("/"))
    for url, suites in sources(etc):
        for suite in suites:
            match = _SUITES.fullmatch(suite.rstrip("/"))
            kind = "security" if match and match["part"] in ("-security", "/updates") else "main"
            if match and url not in found[kind]:
                found[kind].append(url)
    if not found["main"]:
        raise AssetError(
            "this host's apt sources name no archive of Debian",
            hint="set MLORCH_DEBIAN_MIRROR and MLORCH_DEBIAN_SECURITY_MIRROR to the roots of archives you may use",
            slug="no-mirror",
        )
    return {kind: tuple(urls) for kind, urls in found.items()}


def sources(etc: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """(archive root, suites) of every entry for binary packages, one-line and deb822 files alike."""
    parts = etc / "sources.list.d"
    files = [etc / "sources.list", *(sorted(parts.iterdir()) if parts.is_dir() else ())]
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
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
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                key = name.strip().lower()
                fields[key] = value.strip()
        wanted = "deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split()
        if wanted and fields.get("enabled", "yes").lower() != "no":
            for url in fields.get("uris", "").split():
                yield url.rstrip("/"), fields.get("suites", "").split()
