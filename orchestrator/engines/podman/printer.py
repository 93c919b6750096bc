"""Print a container as the `podman run` line that would start the same."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from orchestrator.engines.options import unowned
from orchestrator.engines.podman.argv import create_words, not_passed
from orchestrator.engines.podman.host import this_host

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec


def argv(spec: ContainerSpec) -> list[str]:
    """The words of the command, for this user on this host."""
    return ["podman", "run", "--rm", *create_words(spec, this_host())]


def line(spec: ContainerSpec) -> str:
    """The command for a person to run, quoted for a shell; it claims no owner."""
    return shlex.join(argv(unowned(spec)))


def notes(spec: ContainerSpec) -> tuple[str, ...]:
    """What podman does otherwise, and a plain user's podman more so."""
    found = []
    if why := not_passed(spec):
        found.append(why)
    if os.geteuid() == 0:
        return tuple(found)
    found.append(
        "rootless podman limits memory, processors and processes only with cgroup v2 and delegated controllers"
    )
    if spec.groups:
        found.append("the caller's own groups are kept (keep-groups, which takes crun), not those of the target alone")
    return tuple(found)
