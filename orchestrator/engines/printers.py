"""Where containers start: on this machine now, clusters later; and how each is printed as a command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec


class Printer(Protocol):
    """What a module of `PRINTERS` offers: a container as the command line that would start the same."""

    def argv(self, spec: ContainerSpec) -> list[str]:
        """The words of the command."""
        ...

    def line(self, spec: ContainerSpec) -> str:
        """The command for a person to run, quoted for a shell; it claims no owner."""
        ...

    def notes(self, spec: ContainerSpec) -> tuple[str, ...]:
        """What of the spec this way of running cannot keep, and what must be done before; empty where nothing."""
        ...


PRINTERS: dict[str, str] = {
    "docker": "orchestrator.engines.docker.printer",
    "podman": "orchestrator.engines.podman.printer",
    "nerdctl": "orchestrator.engines.nerdctl",
    "apptainer": "orchestrator.engines.apptainer",
}
"""Ways of running by name, each a module that is a `Printer`; the first is the default one."""


def printer(name: str) -> Printer:
    """The printer of this name, one of `PRINTERS`."""
    return cast("Printer", import_module(PRINTERS[name]))
