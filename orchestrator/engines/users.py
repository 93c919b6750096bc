"""Who a container is on an engine that maps users, and which of those engines mlorch cannot run on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError
from orchestrator.host.process import this_user

if TYPE_CHECKING:
    from orchestrator.engines.model import EngineFacts
    from orchestrator.plan.run.user import RunUser

HINT = (
    "take podman (`--engine podman`), an engine without userns-remap (`mlorch engine ensure` starts one where none is "
    'named), or take "userns-remap" out of its daemon.json'
)


def container_user(facts: EngineFacts | None) -> RunUser:
    """Who the containers of this process are on an engine. Raises as `require_own_files`."""
    require_own_files(facts)
    return this_user(own_root=facts is not None and facts.name == "docker" and facts.rootless)


def require_own_files(facts: EngineFacts | None) -> None:
    """Raise `HostLimitError` [user-mapping] where no container of the engine can write a file of this user."""
    if why := unwritable(facts):
        raise HostLimitError(f"no run can keep its results with this engine: {why}", hint=HINT, slug="user-mapping")


def unwritable(facts: EngineFacts | None) -> str:
    """Why containers of this engine cannot write this user's files; empty where they can, or nothing is known."""
    if facts is None or facts.name != "docker":
        return ""
    if facts.userns_remap:
        return "it maps every user of a container to another one (userns-remap), who may not write results"
    if facts.rootless and os.geteuid() == 0:
        return "it is another user's own (rootless), and root's results are root's"
    return ""
