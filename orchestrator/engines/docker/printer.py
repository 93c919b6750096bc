"""Print a container as the `docker run` line that would start the same."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from orchestrator.engines.options import run_words, unowned

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec


def argv(spec: ContainerSpec) -> list[str]:
    """The words of the command; the engine is called with the same options (`docker.containers`)."""
    return ["docker", "run", "--rm", *run_words(spec, {})]


def line(spec: ContainerSpec) -> str:
    """The command for a person to run, quoted for a shell; it claims no owner."""
    return shlex.join(argv(unowned(spec)))


def notes(spec: ContainerSpec) -> tuple[str, ...]:  # noqa: ARG001 (of the protocol)
    """Docker keeps everything that a spec says."""
    return ()
