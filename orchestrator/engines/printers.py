"""How each program would be called for a container: the lines of `mlorch run --dry-run`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from orchestrator.engines.access import HERE, EngineAccess
from orchestrator.engines.options import unowned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.facts.containers import ContainerSpec

PRINTERS: dict[str, str] = {
    "docker": "orchestrator.engines.docker.containers",
    "podman": "orchestrator.engines.podman.argv",
    "nerdctl": "orchestrator.engines.nerdctl",
    "apptainer": "orchestrator.engines.apptainer",
}
"""Ways of running by name, each a module with the two functions of a `Printer`; the first is the default one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printer:
    """A container as the command line that would start the same."""

    argv: Callable[[ContainerSpec], list[str]]
    """The words of the command."""
    notes: Callable[[ContainerSpec], tuple[str, ...]]
    """What of the spec this way of running cannot keep, and what must be done before; empty where nothing."""

    def line(self, spec: ContainerSpec) -> str:
        """The command for a person to run, quoted for a shell; it claims no owner."""
        return shlex.join(self.argv(unowned(spec)))

    def stop_line(self, specs: Sequence[ContainerSpec]) -> str:
        """The command that ends containers which were started in the background; empty where there is none."""
        words = self.argv(specs[0]) if specs else []
        if "run" not in words:
            return ""
        return shlex.join([*words[: words.index("run")], "stop", *(spec.name for spec in specs)])


def printer(name: str, access: EngineAccess = HERE) -> Printer:
    """The printer of this name, one of `PRINTERS`; docker's names the engine that ``access`` leads to."""
    module = import_module(PRINTERS[name])
    argv = module.argv
    if name == "docker":
        from orchestrator.engines.docker.hosts import find_host

        argv = partial(argv, host=find_host(access.host))
    return Printer(argv=argv, notes=module.notes)
