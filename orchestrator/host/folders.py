"""Where mlorch keeps things: a cache that may be thrown away, data that should not be.

MLORCH_HOME puts both below one folder; otherwise the XDG base directories count.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOWHERE = Path("/nowhere")
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


def home_folder(env: Mapping[str, str] | None = None) -> Path:
    """The home of this process's user: HOME, else what the host's table of users says.

    Raises `UsageError` [no-home] where neither says one.
    """
    home = (os.environ if env is None else env).get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise UsageError(
            f"nobody says where the home of user {os.getuid()} is: HOME is not set, and /etc/passwd does not know it",
            hint="set MLORCH_HOME to a folder of this user's (or HOME)",
            slug="no-home",
        ) from None


def runtime_folder(env: Mapping[str, str]) -> Path | None:
    """XDG_RUNTIME_DIR where it is this user's; None where it is not set, or is another's (su hands it on)."""
    named = env.get("XDG_RUNTIME_DIR", "")
    try:
        if named.startswith("/") and os.stat(named).st_uid == os.geteuid():  # noqa: PTH116 (raises nothing else)
            return Path(named)
    except OSError:
        pass
    return None


def way_out(error: OSError) -> str:
    """What to set where mlorch may not write into one of its own folders; empty where it is another fault."""
    if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM} or not error.filename:
        return ""
    try:
        place, own = Path(os.fsdecode(error.filename)).absolute(), (cache_home(), data_home())
    except (UsageError, TypeError):
        return ""
    if not any(place.is_relative_to(one) or one.is_relative_to(place) for one in own):
        return ""
    return (
        "mlorch keeps downloads, plans and engines there: set MLORCH_HOME (or XDG_CACHE_HOME and XDG_DATA_HOME) to a "
        "folder of yours that may be written"
    )


def _below(part: str, variable: str, below_home: str) -> Path:
    home = os.environ.get("MLORCH_HOME")
    if home:
        place = home_folder() / home[2:] if home.startswith("~/") else Path(home)
        return place.absolute() / part
    root = os.environ.get(variable, "")
    base = Path(root) if root.startswith("/") else home_folder() / below_home
    return base / "mlorch"


def docker_settings(env: Mapping[str, str]) -> Path:
    """The folder of the docker client's settings; one that is not there where this user has no home."""
    if named := env.get("DOCKER_CONFIG"):
        return Path(named)
    try:
        return home_folder(env) / ".docker"
    except UsageError:
        return _NOWHERE
