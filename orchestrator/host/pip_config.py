"""pip's settings as pip itself would read them on this host."""

from __future__ import annotations

import configparser
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.paths import exists

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTS = ("index-url", "extra-index-url", "find-links", "trusted-host")
NUMBERS = ("timeout", "retries")
_REACH = frozenset(
    (
        "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TRUSTED_HOST",
        "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES",
        "PIP_RESUME_RETRIES", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "PIP_KEYRING_PROVIDER", "PIP_USE_FEATURE",
        "PIP_USE_DEPRECATED",
    )
)  # fmt: skip
_OPTIONS = (*LISTS, *NUMBERS, "no-index")


def read_pip_config(
    env: Mapping[str, str], root: Path, notes: list[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Options of pip with the words of their values, and the files and variables that they are from.

    In pip's order: global, user, environment's own, PIP_CONFIG_FILE, variables; later ones win.
    """
    values: dict[str, str] = {}
    origins: list[str] = []
    for path in _files(env, root):
        found = _read(path, notes)
        if found:
            values.update(found)
            origins.append(str(path))
    for option in _OPTIONS:
        variable = "PIP_" + option.upper().replace("-", "_")
        if variable in env:
            values[option] = env[variable]
            origins.append(variable)
    return {option: tuple(text.split()) for option, text in values.items() if text.split()}, tuple(origins)


def pip_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a pip that mlorch starts: how packages are reached, and nothing of where they are put.

    A user's `PIP_USER=1`, or `user = yes` in a pip.conf, would contradict what pip is asked for.
    """
    kept = {name: value for name, value in env.items() if not name.startswith("PIP_") or name in _REACH}
    return {**kept, "PIP_USER": "0"}  # a variable counts more than a file


def _files(env: Mapping[str, str], root: Path) -> Iterator[Path]:
    """Of the host, of the user, of the environment that runs, and the one that a variable names."""
    named = env.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":  # pip's way to say: no configuration files at all
        return
    folders = [folder for folder in env.get("XDG_CONFIG_DIRS", "").split(":") if folder]
    for folder in reversed(folders):
        yield Path(folder) / "pip/pip.conf"
    if not folders:
        yield root / "etc/xdg/pip/pip.conf"
    yield root / "etc/pip.conf"
    home = env.get("HOME", "")
    if home and not (named and exists(Path(named))):
        yield Path(home) / ".pip/pip.conf"
        yield Path(env.get("XDG_CONFIG_HOME") or Path(home) / ".config") / "pip/pip.conf"
    environment = env.get("VIRTUAL_ENV") or (sys.prefix if root == Path("/") else "")
    if environment:
        yield Path(environment) / "pip.conf"
    if named:
        yield Path(named)


def _read(path: Path, notes: list[str]) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (configparser.Error, UnicodeDecodeError):
        notes.append(f"{path} is not a pip configuration")
        return {}
    values: dict[str, str] = {}
    for section in ("global", "install"):  # what pip install reads, the second over the first
        if not parser.has_section(section):
            continue
        for key, value in parser.items(section):
            option = key.replace("_", "-")
            if option in _OPTIONS:
                values[option] = value
    return values
