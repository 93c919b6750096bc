"""What a killed mlorch left is cleared by the next command, whichever it is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from orchestrator.engines.access import EngineAccess
from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from orchestrator.definitions.settings import Settings
    from orchestrator.operations.progress import Talk


def sweep_containers(settings: Settings, talk: Talk) -> None:
    """Remove the containers of a dead mlorch, on whichever engine of this host they are.

    The quick way of each engine is taken, as commands that find everything there must
    stay quick; `mlorch run` sweeps engines elsewhere too. Never stops the command.
    """
    from orchestrator.engines import ENGINES, engine_factory
    from orchestrator.runs.sweep import sweep

    access = EngineAccess(host=settings.engine_host)
    for name in ENGINES:
        with contextlib.suppress(MlorchError, ValueError):
            for run_id in sweep(engine_factory(name).sweepable(access)):
                talk.warn(f"removed the container of {run_id}, whose mlorch is gone")
