"""One container, as every engine is asked for it, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field

OWNER_LABEL = "org.mlorch.owner"
"""The label of a container that names the process which must stay alive for it (`orchestrator.host.process`)."""
ARTIFACTS = "/artifacts"
"""Where a container finds its writable folder of compiled engines and quantised weights."""
RESULTS = "/results"
"""Where it finds the run's folder."""
RECORD = "run.json"
"""The record in the run's folder, which the container may read and never write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The mlorch process that drives the run; with it a later one tells alive from orphaned.

    ``start_ticks`` is field 22 of ``/proc/PID/stat``: a reused pid has another. ``namespace`` is the number of its
    pid namespace, ``machine`` names the machine through its boots; both are empty where they are not known.
    """

    pid: int
    start_ticks: int
    boot_id: str
    user: str = ""
    namespace: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A host folder or file in the container; the source must exist before the start."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """What a container is given: in the same words asked of an engine and kept in a record.

    Memory in bytes; ``cpus`` are host processor numbers; ``ulimits`` maps a name
    to soft and hard (-1 is unlimited); ``network`` is ``none`` or ``bridge``.
    ``devices`` are nodes, ``cdi_devices`` CDI names, ``gpus`` what `--gpus` names (``all`` alone,
    or indices and UUIDs), ``runtime`` an OCI runtime of the engine (empty: its default).
    """

    name: str
    command: tuple[str, ...]
    user: str
    network: str = "none"
    read_only: bool = True
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    runtime: str = ""
    groups: tuple[str, ...] = ()
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cpus: tuple[int, ...] = ()
    memory_nodes: tuple[int, ...] = ()
    memory: int | None = None
    shm: int | None = None
    pids: int = 4096
    ipc: str = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A container that runs, as its engine tells it.

    ``mounts`` maps each mount's place to whether it is read-only; ``env`` are names only; ``image_id`` is what the
    engine calls the image that was started. ``differences`` are what is not as it was planned.
    """

    image_id: str
    command: tuple[str, ...]
    user: str
    network: str
    read_only: bool
    privileged: bool
    env: tuple[str, ...]
    mounts: Mapping[str, bool]
    capabilities: tuple[str, ...]
    dropped: tuple[str, ...]
    devices: tuple[str, ...]
    cpus: str
    memory: int
    pids: int
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec(ContainerOptions):
    """Everything an engine needs to run one container, and nothing it may decide itself.

    ``expects`` are nodes that must be there when it starts, whoever passes them; of ``exclusive`` ones
    only one program at a time can have each open.
    """

    image: str
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    expects: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    workdir: str = ""
