"""Paths as people write them: `~` is a home."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import UsageError


def expanded(text: str | Path) -> Path:
    """The path with `~` and `~user` put out. Raises `UsageError` [no-home] where nobody says where that home is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(
            f"`{text}` is below a home, and nobody says where that is", hint="write the whole path", slug="no-home"
        ) from None
