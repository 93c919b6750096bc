"""What a run will do: frozen values that an executor carries out or prints.

Apart from the steps of a build (`orchestrator.facts.steps`), which a plan reads without these.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field

OWNER_LABEL = "org.mlorch.owner"
"""The label of a container that names the process which must stay alive for it (`orchestrator.host.process`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A host folder or file in the container; the source must exist before the start."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything an engine needs to run one container, and nothing it may decide itself.

    Memory in bytes; ``cpus`` are host processor numbers; ``ulimits`` maps a name
    to soft and hard (-1 is unlimited); ``network`` is ``none`` or ``bridge``.
    ``devices`` are nodes, ``cdi_devices`` CDI names, ``gpus`` what `--gpus` names (``all`` alone,
    or indices and UUIDs), ``runtime`` an OCI runtime of the engine (empty: its default). ``expects``
    are nodes that must be there when it starts, whoever passes them; of ``exclusive`` ones
    only one program at a time can have each open.
    """

    name: str
    image: str
    command: tuple[str, ...]
    user: str
    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "none"
    read_only: bool = True
    cpus: tuple[int, ...] = ()
    memory_nodes: tuple[int, ...] = ()
    memory: int | None = None
    shm: int | None = None
    pids: int = 4096
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    runtime: str = ""
    expects: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    ipc: str = "private"
    workdir: str = ""


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
    ``passed_over`` why each way that comes before it was not taken. ``whole`` says that every
    device of the target was given. ``nodes`` are the host's device nodes that go with it, as far as known.
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
class RunStep:
    """One LoadGen test in one container.

    ``settings`` is the document that the harness reads (docs/run-contract.md);
    ``provenance`` says for each setting where it came from: ``default``,
    ``recipe``, ``system`` (stored by --find), ``command line`` or ``calibrated``.
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
    device_injection: DeviceInjection = field(default_factory=DeviceInjection)
