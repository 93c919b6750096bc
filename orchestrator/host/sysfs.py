"""Files of /proc, /sys and /dev as text: what is absent or unreadable is empty, never an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path) -> str:
    """A file's text without blanks around it; '' where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return ""


def link_name(path: Path) -> str:
    """The last part of where a link leads; '' where there is no link."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def natural_order(text: str) -> tuple[tuple[int, str], ...]:
    """A key to sort names as people count: ``renderD9`` before ``renderD128``."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text))


def matches(pattern: str, root: Path) -> tuple[Path, ...]:
    """The paths below ``root`` that an absolute path or glob names, sorted as people count (9 before 10)."""
    relative = pattern.lstrip("/")
    if not any(mark in relative for mark in "*?["):
        path = root / relative
        return (path,) if path.exists() or path.is_symlink() else ()
    return tuple(sorted(root.glob(relative), key=lambda path: natural_order(str(path))))


def taken(text: str, pattern: str) -> str:
    """The first group of ``pattern`` in a text (the whole match without a group), all of it without a pattern."""
    if not pattern:
        return text
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        return ""
    return (match[1] if match.re.groups else match[0]) or ""
