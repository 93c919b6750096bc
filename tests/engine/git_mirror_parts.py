"""Repositories of others, as a site without GitHub has them: from mirrors.

MLORCH_TEST_GIT_MIRROR names a folder with ``mlcommons/inference`` and others below it, each a repository (or its
``.git``).
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "MLORCH_TEST_GIT_MIRROR"
MIRRORS = Path(os.environ.get(VARIABLE) or "/nonexistent")


def why_not(*repositories: str) -> str:
    """Why a test that needs these repositories cannot run here; empty where it can."""
    if VARIABLE not in os.environ:
        return f"{VARIABLE} is not set: it names a folder with mirrors of {' and '.join(repositories)}"
    absent = [name for name in repositories if not (MIRRORS / name).exists() and not (MIRRORS / f"{name}.git").exists()]
    return f"{VARIABLE} is {MIRRORS}, where {' and '.join(absent)} is not" if absent else ""


def site_with_mirrors(folder: Path) -> Path:
    """``folder`` with the mirrors in its mlorch.yaml, and no recipe."""
    (folder / "mlorch.yaml").write_text(f"mirrors:\n  git:\n    https://github.com/: {MIRRORS.resolve()}/\n")
    return folder
