"""What will run: one LoadGen test, its container, model, dataset and devices."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field

from orchestrator.facts.compliance import PlannedCompliance  # noqa: TC001
from orchestrator.facts.containers import ContainerSpec  # noqa: TC001
from orchestrator.facts.endpoints import Endpoint  # noqa: TC001
from orchestrator.facts.external import ExternalRun  # noqa: TC001
from orchestrator.facts.power import PlannedPower  # noqa: TC001
from orchestrator.facts.roles import PlannedRoles  # noqa: TC001

DEFAULT = "default"
LONGEST_S = 366 * 86400
"""The longest limit that a test may be given."""
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[\w.-]+", re.ASCII)
"""The name of a run, and of its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedDevice:
    """One device, or part of one, that a container was given; ``name`` is what the engine was asked for.

    ``index`` is the host's (``2``, a part ``2:1``); what the host does not say is empty.
    """

    index: str
    name: str
    pci: str = ""
    uuid: str = ""
    product: str = ""
    profile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInjection:
    """How a container gets its devices.

    ``method`` is ``cdi``, ``gpus``, ``runtime``, ``nodes`` or ``none``; ``why`` the reason of this one,
    ``passed_over`` why each method before it could not be used. ``whole``: every device of the
    target was given. ``nodes`` are the host's device nodes that go with it, as far as known.
    """

    method: str = "none"
    why: str = ""
    passed_over: tuple[str, ...] = ()
    whole: bool = True
    devices: tuple[InjectedDevice, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRef:
    """A model or dataset that a run mounts: its kind, name and the hashes of its files."""

    kind: str
    name: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """Seconds that a container of a test may run, and print nothing; None: as long as it likes.

    ``source`` is ``default`` or ``command line``.
    """

    total_s: int
    silence_s: int | None = None
    source: str = DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """One LoadGen test in one container.

    ``settings`` is the document that the harness reads (docs/run-contract.md);
    ``provenance`` says for each setting where it came from: ``default``,
    ``recipe``, ``system`` (stored by --find), ``round NAME`` (with --official),
    ``command line`` or ``calibrated``.
    ``results_owner`` (``uid:gid``) gets what the container leaves, when it has ended.
    """

    run_id: str
    benchmark: str
    target: str
    scenario: str
    mode: str
    image: str
    container: ContainerSpec
    settings: Mapping[str, object]
    provenance: Mapping[str, str]
    model: AssetRef
    dataset: AssetRef
    results_owner: str
    device_injection: DeviceInjection = field(default_factory=DeviceInjection)
    external: ExternalRun | None = None
    """Of a harness that is not ours; ``container`` is then the one of its LoadGen test."""
    scoring: ContainerSpec | None = None
    """What counts the accuracy after the test; None where the harness does that itself."""
    compliance: PlannedCompliance | None = None
    """Of a compliance test: what it is, what it is compared with, and what verifies it afterwards."""
    roles: PlannedRoles | None = None
    """What runs beside the harness, which is then the client; ``container`` is the client's."""
    role_deviations: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    """The server that is measured, where it is there already and nothing of it is mlorch's."""
    power: PlannedPower | None = None
    """How its power is measured, where it is: it runs twice then, and the first time for the analyser's ranges."""
    informal_power: bool = False
    """Whether this host's own counters of energy are read beside it."""
    limit: TimeLimit | None = None
    """Of its harness, and of what counts its accuracy; the steps of an external one have their own."""

    @property
    def containers(self) -> tuple[ContainerSpec, ...]:
        """All of its containers, in the order in which they run."""
        beside = () if self.roles is None else self.roles.containers
        if self.external is not None:
            return (*beside, *(step.container for step in self.external.steps))
        if self.power is not None:
            return (*beside, self.power.client, self.power.ranging, self.container, self.power.check)
        after = [one for one in (self.scoring, self.verification) if one is not None]
        return (*beside, self.container, *after)

    @property
    def verification(self) -> ContainerSpec | None:
        """The container that verifies a compliance test; None of any other test."""
        return None if self.compliance is None else self.compliance.verification

    @property
    def name(self) -> str:
        """What the test is called beside its scenario: its mode, or the name of the compliance test."""
        return self.mode if self.compliance is None else self.compliance.test.name

    @property
    def contents(self) -> dict[str, str]:
        """What its containers have where (``model:NAME``, ``dataset:NAME``), by the path inside."""
        return {
            f"/models/{self.model.name}": f"model:{self.model.name}",
            f"/data/{self.dataset.name}": f"dataset:{self.dataset.name}",
        }

    @property
    def beside(self) -> tuple[ContainerSpec, ...]:
        """Those that run beside its client, or its test, until they are stopped."""
        power = () if self.power is None else (self.power.client,)
        if self.roles is None:
            return power
        null = () if self.roles.null_server is None else (self.roles.null_server,)
        return (self.roles.probes, *null, *(one.container for one in self.roles.servers), *power)

    @property
    def deviations(self) -> tuple[str, ...]:
        """What its containers are given beyond the run contract, each with its reason."""
        power = () if self.power is None else self.power.deviations
        return (*(() if self.external is None else self.external.deviations), *self.role_deviations, *power)
