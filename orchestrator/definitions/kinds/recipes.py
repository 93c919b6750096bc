"""What a recipe may be: one frozen model per kind, checked by pydantic."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestrator.definitions.kinds.assets import Dataset, Model
from orchestrator.definitions.kinds.base import Definition  # noqa: TC001 (pydantic reads it)
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.campaigns import Campaign
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.kinds.parts import Parts
from orchestrator.definitions.kinds.rounds import Round
from orchestrator.definitions.kinds.servers import Server
from orchestrator.definitions.kinds.targets import HostChecks, Target

AnyDefinition = Annotated[
    Target | Layer | Benchmark | Model | Dataset | Harness | Server | HostChecks | Round | Parts | Campaign,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[Definition]] = {
    "target": Target,
    "layer": Layer,
    "benchmark": Benchmark,
    "model": Model,
    "dataset": Dataset,
    "harness": Harness,
    "server": Server,
    "hostchecks": HostChecks,
    "round": Round,
    "parts": Parts,
    "campaign": Campaign,
}
