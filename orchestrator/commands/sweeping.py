"""What a killed mlorch left is cleared by the next command, whichever it is."""

from __future__ import annotations

import contextlib

from orchestrator.errors import MlorchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.console import Console


def sweep_containers(console: Console) -> None:
    """Remove the containers of a dead mlorch, if an engine answers on a socket of this host.

    Over the socket with the standard library, as commands that find everything there must
    stay quick; `mlorch run` sweeps engines elsewhere too. Never stops the command.
    """
    from orchestrator.engines.hosts import find_host
    from orchestrator.engines.lookup import fast_containers
    from orchestrator.execute.sweep import sweep

    with contextlib.suppress(MlorchError, ValueError):
        for swept in sweep(fast_containers(find_host())):
            console.warn(f"removed the container of {swept.run_id}, whose mlorch is gone")
