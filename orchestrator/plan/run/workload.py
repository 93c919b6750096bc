"""What a run measures, and where: everything that the plan of a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.devices import DeviceInventory
from orchestrator.plan.run.compliance import NOTHING, ComplianceDemand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.assets import Dataset, Model
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.harnesses import Harness
    from orchestrator.definitions.kinds.servers import Server
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.facts.endpoints import Endpoint
    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.power import PowerServer
    from orchestrator.facts.rounds import OfficialTest
    from orchestrator.plan.run.user import RunUser


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenParameter:
    """A parameter of an external harness that was set; ``source`` is ``recipe`` or ``command line``."""

    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is measured and with which image; the folders lie on this host, sizes in bytes."""

    benchmark: Benchmark
    target: Target
    model: Model
    dataset: Dataset
    harness: Harness
    framework: str
    image: str
    model_folder: str
    dataset_folder: str
    model_bytes: int = 0
    dataset_bytes: int = 0
    arch: str = ""
    loadgen_model: str = ""
    """What LoadGen calls the model in the benchmark's round."""
    scoring_image: str = ""
    """The image that counts its accuracy, where the harness does not do that itself."""
    compliance: ComplianceDemand = NOTHING
    """The compliance tests that the benchmark's round asks for, where they are asked for."""
    compliance_image: str = ""
    """The image with MLCommons' scripts that verify them, and the commit that they are of."""
    compliance_commit: str = ""
    power_image: str = ""
    """The image of MLCommons' power client, where power is measured, and the commit that it is of."""
    power_commit: str = ""
    program_id: str = ""
    """What the image is without what it says of its benchmark (`plan.build.content.program_id`)."""
    official: OfficialTest | None = None
    """What the benchmark's round asks of an official test; None where the round is not defined."""
    parameters: Mapping[str, ChosenParameter] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    """The servers that the benchmark's roles name, and which image each of them runs in."""
    server_images: Mapping[str, str] = field(default_factory=dict)
    probes_image: str = ""
    """What asks them whether they are there, where that is not in the client's image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnvironment:
    """Where it runs and for whom.

    ``results`` and ``artifacts`` are absolute host folders, ``user`` says who containers are (`plan.run.user`);
    ``devices`` is what the host and its engine have for devices, ``device_selection`` which of them
    to use (`--devices`, empty: all), ``limits`` the most that a container's rlimit may be (None: no bound; a name
    that is absent is not known and not checked), ``cpus`` the host's processors that were asked for (empty: chosen).
    """

    host: HostFacts
    results: str
    artifacts: str
    user: RunUser
    owner: str
    devices: DeviceInventory = field(default_factory=DeviceInventory)
    device_selection: str = ""
    cpus: tuple[int, ...] = ()
    limits: Mapping[str, int | None] = field(default_factory=dict)
    endpoint: Endpoint | None = None
    """The server that is measured, where it is there already."""
    power: PowerServer | None = None
    """What measures the power, where that is asked for; the client's own folder is made below ``power_folder``."""
    power_folder: str = ""
    informal_power: bool = False
    """Whether this host's own counters of energy are read beside performance tests."""
