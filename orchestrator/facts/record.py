"""What happened: the record of one run, as `run.json` holds it.

Standard library only, so that listing results loads without pydantic. The file
is written first with status ``running`` and replaced when the run ends. Times
are UTC; durations and latencies nanoseconds; memory bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field

from orchestrator.facts.compliance import ComplianceFact  # noqa: TC001 (the codec reads the annotations)
from orchestrator.facts.containers import ContainerOptions, Deployed, Owner
from orchestrator.facts.endpoints import EndpointFact  # noqa: TC001 (the codec reads the annotations)
from orchestrator.facts.energy import InformalPower  # noqa: TC001 (the codec reads the annotations)
from orchestrator.facts.measured import LoadGenResult, Measured  # noqa: TC001 (the codec reads the annotations)
from orchestrator.facts.power import PowerFact  # noqa: TC001 (the codec reads the annotations)
from orchestrator.facts.processors import Disturbance, Reservation  # noqa: TC001 (the codec reads the annotations)
from orchestrator.facts.runs import DeviceInjection, TimeLimit

VERSION = 1
NOTE = "mlorch reference workload, not an MLPerf submission"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time, for people (``2026-11-24T01:41:00Z``) and for arithmetic."""

    utc: str
    unix_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run did not end well: the error's slug, its message and what to do."""

    slug: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerId:
    """One layer of the image: its name, level and content id; base first in a record."""

    name: str
    level: str
    content_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageId:
    """The image that ran: local reference, engine's id, and the digest where the store has one.

    ``sbom_digest`` and ``provenance_digest`` are those of its documents as this mlorch
    writes them (docs/supply-chain.md), attached somewhere or not.
    """

    reference: str
    image_id: str = ""
    digest: str = ""
    layers: tuple[LayerId, ...] = ()
    sbom_digest: str = ""
    provenance_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeId:
    """The benchmark's recipe: where it came from without a host's paths (``builtin:…``), its hash."""

    name: str
    origin: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceFact:
    """Terms of one source of an asset; ``spdx`` an identifier or ``NOASSERTION``."""

    source: str
    spdx: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetId:
    """A model or dataset as mounted: sha256 of each file by its name, and its terms.

    Of a dataset ``label_names`` are what its labels are called, and ``not_shown`` is why its terms keep its samples
    out of reports (empty where they may be shown).
    """

    kind: str
    name: str
    files: Mapping[str, str]
    title: str = ""
    trained_by: str = ""
    licences: tuple[LicenceFact, ...] = ()
    label_names: tuple[str, ...] = ()
    not_shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A resolved setting and its source: default, recipe, system, round NAME, command line, calibrated or searched."""

    value: object
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MountFact:
    """A folder in the container; ``content`` names what it holds (``model:NAME``, ``results`` …)."""

    target: str
    content: str
    read_only: bool
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun(ContainerOptions):
    """How the container was started; ``device_injection``: which devices it was given, in which way and why so."""

    mounts: tuple[MountFact, ...] = ()
    device_injection: DeviceInjection = field(default_factory=DeviceInjection)
    container_id: str = ""
    deployed: Deployed | None = None
    """How its engine says that it ran; None where it was not seen running."""

    @property
    def given_devices(self) -> str:
        """The devices that it was given, for people; ``none`` where it had none."""
        asked = (*self.devices, *self.cdi_devices, *(f"--gpus {name}" for name in self.gpus))
        words = ", ".join(asked) or ("none" if not self.runtime else f"by the runtime {self.runtime}")
        known = [
            f"{d.product or 'device'} {d.index}{f' ({d.uuid})' if d.uuid else ''}"
            for d in self.device_injection.devices
        ]
        return f"{words}: {', '.join(known)}" if known else words


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyGoal:
    """The least accuracy to reach: ``reference * factor``, in ``unit``; and the largest, if there is one."""

    metric: str
    unit: str
    reference: float
    factor: float
    max_factor: float | None = None

    @property
    def minimum(self) -> float:
        return _times(self.reference, self.factor)

    @property
    def maximum(self) -> float | None:
        return None if self.max_factor is None else _times(self.reference, self.max_factor)


def _times(one: float, other: float) -> float:
    """The product, which stays a number of JSON whatever a record says."""
    largest = sys.float_info.max
    return max(-largest, min(largest, one * other))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHash:
    """A result file at the end of the run; size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOfFiles:
    """Files with one hash together: how many, their bytes, and the sha256 over their names and hashes in order."""

    count: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactsFact:
    """What a test found in `/artifacts`: all files as one hash (as of `sha256sum`), the first of them by name."""

    count: int
    sha256: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFact:
    """A step of somebody else's harness as it ran; one that was ``reused`` did not: its artefact was there."""

    name: str
    role: str
    argv: tuple[str, ...]
    exit_code: int | None
    seconds: float
    artifact: str = ""
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFact:
    """A server of a run of several containers as it ran: ``container`` as it was planned.

    ``ready_s`` are the seconds from its start to its first answer, ``missed`` the probes that had no answer while the
    client measured; ``faults`` what makes the test INVALID. ``started_by`` is the test that started it, where that
    was one before; one that stays for the next has no exit code.
    """

    name: str
    role: str
    image: str
    container: ContainerRun | None = None
    deployed: Deployed | None = None
    container_id: str = ""
    exit_code: int | None = None
    out_of_memory: bool = False
    ready_s: float | None = None
    missed: int = 0
    faults: tuple[str, ...] = ()
    started_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTry:
    """A test of a search: queries a second that were asked for and answered (0: not known), whether it was good enough.

    ``disturbed``: other programs had its processors meanwhile. ``queue_grew``: the last answers came much later after
    their queries than the first ones did, so that a longer test at this rate would not be VALID. ``spoiled``: errors
    made it INVALID, and not its rate.
    """

    rate: float
    answered: float
    valid: bool
    queue_grew: bool = False
    disturbed: bool = False
    spoiled: bool = False
    run_id: str = ""
    """Empty of a short test inside the container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSearch:
    """How a rate was searched: ``by`` ``find`` (whole tests) or ``harness`` (short tests before this one).

    ``best`` is the highest rate that was good enough (None: none was), ``margin`` the share of it that the test was
    driven with, ``stopped`` why the search ended.
    """

    by: str
    tries: tuple[RateTry, ...] = ()
    best: float | None = None
    margin: float = 1.0
    stopped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. ``valid`` is LoadGen's verdict; null where it gives none (accuracy mode, no result).

    ``session`` is shared by all tests of one ``mlorch run``. ``engine``, ``host``
    and ``container_facts`` are JSON objects as their observers reported them. ``measured`` is
    what its files held at its end (None in records of mlorch 0.1 and of runs that did not end);
    ``left`` what was done to things that the container left and no run may leave, by file.
    """

    run_id: str
    session: str
    status: str
    benchmark: str
    target: str
    scenario: str
    mode: str
    started: Moment
    owner: Owner
    mlorch_version: str
    command_line: tuple[str, ...]
    image: ImageId
    recipe: RecipeId
    container: ContainerRun
    settings: Mapping[str, Setting] = field(default_factory=dict)
    model: AssetId | None = None
    dataset: AssetId | None = None
    accuracy_goal: AccuracyGoal | None = None
    other_goals: tuple[AccuracyGoal, ...] = ()
    engine: Mapping[str, object] = field(default_factory=dict)
    host: Mapping[str, object] = field(default_factory=dict)
    container_facts: Mapping[str, object] = field(default_factory=dict)
    ended: Moment | None = None
    valid: bool | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    error: Failure | None = None
    measured: Measured | None = None
    files: Mapping[str, FileHash] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    benchmark_title: str = ""
    stands_for: str = ""
    official: bool | None = None
    """Whether model and data are MLPerf's own, and not only like them; None in older records."""
    round: str = ""
    """Whose rules and LoadGen were asked for; empty in records of mlorch before it knew rounds."""
    note: str = NOTE
    search: RateSearch | None = None
    """How the rate of this test was searched, where it was."""
    steps: tuple[StepFact, ...] = ()
    deviations: tuple[str, ...] = ()
    """What the harness was given beyond the run contract, each with its reason."""
    changed_rules: tuple[str, ...] = ()
    """What ``--set`` made another of what a result is judged by: ``accuracy.factor=0 (0.99 in the recipe)``."""
    roles: tuple[RoleFact, ...] = ()
    """The servers of a run of several containers; ``container`` is then the client's."""
    endpoint: EndpointFact | None = None
    """The system under test, where it was there already and nothing of it is mlorch's."""
    reservation: Reservation | None = None
    """The processors kept from other runs of mlorch, and how long it waited for them; None in older records."""
    disturbance: Disturbance | None = None
    """What else happened on its processors while it was measured; None where nobody looked."""
    limit: TimeLimit | None = None
    """How long the test might take, and be silent; None in older records."""
    artifacts: ArtifactsFact | None = None
    """What lay in `/artifacts` when the test began; None in older records, and where it had no such folder."""
    compliance: ComplianceFact | None = None
    """Of a compliance test: what it was compared with, and whose script verified it."""
    power: PowerFact | None = None
    """What the test drew, where that was measured by MLCommons' power client."""
    informal_power: InformalPower | None = None
    """What this host's own counters of energy said, where they were read."""
    rest: RestOfFiles | None = None
    """The files that are too many to be named one by one."""
    version: int = VERSION

    @property
    def test_name(self) -> str:
        """What the test is called beside its scenario: its mode, or the name of the compliance test."""
        return self.mode if self.compliance is None else self.compliance.test

    @property
    def loadgen_mode(self) -> str:
        """The mode in which LoadGen ran: a compliance test is a performance test for it."""
        return self.mode if self.compliance is None else "performance"

    @property
    def is_external(self) -> bool:
        """Whether its harness was somebody else's program, as mlorch saw it run; no file of a container says so."""
        return bool(self.steps)

    @property
    def role_faults(self) -> tuple[str, ...]:
        """What happened to servers while the client measured, and makes its test INVALID."""
        return tuple(fault for role in self.roles for fault in role.faults)

    def counted(self, result: LoadGenResult) -> bool | None:
        """LoadGen's verdict, which counts only where it logged no error and nothing happened to the servers."""
        return False if result.valid and (self.role_faults or result.error_count) else result.valid
