"""What a killed mlorch left is cleared by the next command, whichever it is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from orchestrator.operations.progress import Talk


def sweep_containers(talk: Talk) -> None:
    """Remove the containers of a dead mlorch, on whichever engine of this host they are.

    The quick way of each engine is taken, as commands that find everything there must
    stay quick; `mlorch run` sweeps engines elsewhere too. Never stops the command.
    """
    from orchestrator.engines import ENGINES, engine_factory
    from orchestrator.runs.sweep import sweep

    for name in ENGINES:
        with contextlib.suppress(MlorchError, ValueError):
            for swept in sweep(engine_factory(name).sweepable()):
                talk.warn(f"removed the container of {swept.run_id}, whose mlorch is gone")
