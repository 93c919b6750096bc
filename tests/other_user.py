"""Programs as a user who is not root: what such a user may start at all."""

from __future__ import annotations

import os
import shutil
import site
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def python() -> str:
    """A Python of this version that everybody may start; empty where there is none."""
    for name in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        real = Path(os.path.realpath(name))
        if real.exists() and all(folder.stat().st_mode & 0o001 for folder in (real, *real.parents)):
            return name
    return ""


def python_path() -> str:
    """Where that Python finds mlorch and what it needs."""
    return os.pathsep.join((str(ROOT), *site.getsitepackages()))


def why_not() -> str:
    """Why nobody else can run mlorch here; empty where one can."""
    if os.geteuid() != 0:
        return "only root can be somebody else"
    if not python():
        return "the Python of the tests is root's own"
    return "" if shutil.which("setpriv") else "takes setpriv (util-linux)"
