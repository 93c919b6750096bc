"""The engine that `mlorch engine ensure` chose for this user, where nobody names one: a word in the data folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.host.folders import data_home
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def kept_choice(engine_host: str, known: Sequence[str]) -> str:
    """One of ``known``; empty where nothing was chosen, or where the user says where Docker listens.

    Raises `EngineError` for a docker context that cannot be read.
    """
    name = text_of(choice_file())
    if name not in known:
        return ""
    from orchestrator.engines.docker.hosts import named_host

    return "" if named_host(engine_host, os.environ) else name


def keep_choice(name: str) -> None:
    """Remember an engine for the next commands. Raises `WriteFailed`."""
    from orchestrator.host.files import atomic_write_text, make_folder

    make_folder(data_home())
    atomic_write_text(choice_file(), f"{name}\n", overwrite=True)


def forget_choice() -> None:
    """Nothing is chosen any more."""
    choice_file().unlink(missing_ok=True)


def choice_file() -> Path:
    """Where it stands."""
    return data_home() / "engine-choice"
