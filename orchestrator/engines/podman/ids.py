"""How many ids a plain user's podman has: the own one, or those of /etc/subuid where a helper may map them."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.command import programs
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLES = (Path("/etc/subuid"), Path("/etc/subgid"))
_STATUS = Path("/proc/self/status")
_HELPERS = ("newuidmap", "newgidmap")
_CAPABILITIES = "security.capability"
_WITHOUT_RANGES = "mlorch-single-id"
"""No user of this name has ranges. podman looks them up by USER, and maps the own id alone where it finds none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What a user can be given in a user namespace.

    ``ranges`` says whether both tables name the user; ``helpers`` are the folders of the programs that may map
    them, setuid or with a capability; empty where there are none.
    """

    ranges: bool
    helpers: tuple[str, ...]

    @property
    def single(self) -> bool:
        """Whether there is the own id and no other."""
        return not (self.ranges and self.helpers)

    @property
    def lacks(self) -> str:
        """What one id alone cannot do; empty where there are more."""
        if not self.single:
            return ""
        return "one id only, so no layer or image whose files have several owners"

    @property
    def remedy(self) -> str:
        """What an administrator would have to do for more."""
        wanted = [] if self.helpers else ["newuidmap and newgidmap, setuid (package uidmap)"]
        wanted += [] if self.ranges else ["a line for this user in /etc/subuid and in /etc/subgid"]
        return f"for more ids an administrator adds {' and '.join(wanted)}" if wanted else ""


def this_users_ids() -> Ids:
    """Those of this process's user on this host."""
    uid = os.geteuid()
    return Ids(ranges=all(has_range(table, uid) for table in TABLES), helpers=_helper_folders())


def environment(ids: Ids) -> dict[str, str]:
    """Variables with which podman maps what can be mapped.

    A helper that may map comes before one that may not, such as one that was unpacked; where there is none podman
    must not find ranges, as it fails on them instead of going on with the own id.
    """
    if not ids.helpers:
        return {"USER": _WITHOUT_RANGES}
    if all(_found_first(name) in ids.helpers for name in _HELPERS):
        return {}
    return {"PATH": os.pathsep.join(dict.fromkeys((*ids.helpers, *os.environ.get("PATH", "").split(os.pathsep))))}


def has_range(table: Path, uid: int) -> bool:
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


def _found_first(name: str) -> str:
    return os.path.dirname(shutil.which(name) or "")  # noqa: PTH120 (a folder as PATH has it)


def _helper_folders() -> tuple[str, ...]:
    if "NoNewPrivs:\t1" in text_of(_STATUS):  # no program has more rights than who calls it
        return ()
    found = [_first_that_may_map(programs(name)) for name in _HELPERS]
    return tuple(str(path.parent) for path in found if path is not None) if all(found) else ()


def _first_that_may_map(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if may_map(path)), None)


def may_map(program: Path) -> bool:
    """Whether a program runs with root's rights over ids, whoever calls it."""
    try:
        facts = program.stat()
        if os.statvfs(program).f_flag & os.ST_NOSUID:
            return False
        if facts.st_uid == 0 and facts.st_mode & stat.S_ISUID:
            return True
        return _CAPABILITIES in os.listxattr(program)
    except OSError:
        return False
