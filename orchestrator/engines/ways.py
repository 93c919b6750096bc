"""What to do where no engine is there: the way that works for this user."""

from __future__ import annotations

import os


def to_an_engine() -> str:
    """For whoever named no engine."""
    if os.geteuid() == 0:
        return "start one, or let mlorch get one for itself: `mlorch engine ensure`"
    return "start one, or let mlorch get podman for this user, which takes no root: `mlorch engine ensure`"


def to_podman() -> str:
    """For whoever wants podman."""
    return (
        "install podman, or let mlorch get it for itself, which takes no root: `mlorch engine ensure --engine podman`"
    )
