"""Who a run's containers are, and who owns what they leave. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY = 65534
"""The user and group of every distribution that own nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUser:
    """Both are ``uid:gid``: ``inside`` runs the container, ``owner`` gets its files when it has ended."""

    inside: str
    owner: str

    @property
    def on_host(self) -> str:
        """Who the container is for the kernel of the host: whose rights count where it opens a device."""
        return self.owner if self.inside == "0:0" else self.inside


def run_user(uid: int, gid: int, environ: Mapping[str, str], *, own_root: bool = False) -> RunUser:
    """A plain user's containers are that user; nothing ever runs as root.

    With ``own_root`` the engine is the user's own and its containers' root is that user, as every other number is
    one that owns nothing (rootless Docker): only as root can they write the results.

    Of a caller who is root the containers are the user behind sudo, whom their files then belong to, or
    else `NOBODY`, and root gets the files: a harness with root's uid could leave programs that run as root.
    """
    if uid != 0 and own_root:
        return RunUser(inside="0:0", owner=f"{uid}:{gid}")
    if uid != 0:
        caller = f"{uid}:{gid}"
        return RunUser(inside=caller, owner=caller)
    behind = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if all(_plain_id(number) for number in behind):
        person = ":".join(behind)
        return RunUser(inside=person, owner=person)
    return RunUser(inside=f"{NOBODY}:{NOBODY}", owner=f"{uid}:{gid}")


def _plain_id(text: str) -> bool:
    """Whether this is the number of somebody who is not root."""
    return text.isascii() and text.isdigit() and 0 < int(text) < 2**32 - 1
