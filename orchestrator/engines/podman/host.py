"""What of this host and user decides how podman is asked."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from orchestrator.engines.limits import own_limits
from orchestrator.engines.podman.argv import Host

_SUBUID = Path("/etc/subuid")


def this_host() -> Host:
    """The facts of this process's user on this host."""
    return Host(rootless=os.geteuid() != 0, limits=own_limits(), subordinate=has_subordinate_ids(_SUBUID, os.geteuid()))


def has_subordinate_ids(table: Path, uid: int) -> bool:
    """Whether a table such as /etc/subuid (``NAME-OR-UID:FIRST:COUNT``) gives a user more than the own id."""
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.partition(":")[0] in names for line in lines)
