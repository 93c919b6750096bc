"""How the containers of a test ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engines import ContainerExit
    from orchestrator.errors import StepFailed
    from orchestrator.facts.containers import Deployed
    from orchestrator.facts.power import Clock
    from orchestrator.facts.record import ArtifactsFact, StepFact
    from orchestrator.runs.external import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The containers of a test that ran to their end; ``left`` is what was done to its artefacts, by file.

    Of an external harness ``output`` is what its steps printed, ``steps`` what ran, and ``error`` why a step did not
    do its work; ``exit`` is then the one of the LoadGen test, or of the step before it that failed. Where the servers
    of a client were not ready there is none, and ``error`` says why.
    """

    exit: ContainerExit | None
    left: Mapping[str, str]
    output: Output | None = None
    deployed: Deployed | None = None
    steps: tuple[StepFact, ...] = ()
    error: StepFailed | None = None
    artifacts: ArtifactsFact | None = None
    clocks: tuple[Clock, ...] = ()
    """Those that were compared before power was measured."""

    @property
    def did_its_work(self) -> bool:
        return self.error is None and self.exit is not None and self.exit.exit_code == 0
