"""Where mlorch keeps things: a cache that may be thrown away, data that should not be.

MLORCH_HOME puts both below one folder; otherwise the XDG base directories count.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LENT = ".lent"
"""The folder of marks beside the artefacts: a file for each folder of them that is lent to a run."""


def cache_home() -> Path:
    """Downloads, prepared assets, kept plans, build contexts: made again when missing."""
    return _below("cache", "XDG_CACHE_HOME", ".cache")


def data_home() -> Path:
    """The private engine, tuned settings of systems."""
    return _below("data", "XDG_DATA_HOME", ".local/share")


def lent_marks(artifacts: Path) -> list[Path]:
    """The marks of all folders of artefacts that are lent, to live runs too."""
    try:
        return sorted((artifacts / LENT).iterdir())
    except OSError:
        return []


def _below(part: str, variable: str, below_home: str) -> Path:
    home = os.environ.get("MLORCH_HOME")
    if home:
        return Path(home).expanduser().absolute() / part
    root = os.environ.get(variable, "")
    base = Path(root) if root.startswith("/") else Path.home() / below_home
    return base / "mlorch"


def docker_settings(env: Mapping[str, str]) -> Path:
    """The folder of the docker client's settings."""
    return Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")
