"""What will be done: frozen values that an executor carries out or prints.

Standard library only, so that a cached plan loads without pydantic (the cost of
`mlorch plan` is measured in `benchmarks/`).
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003

OWNER_LABEL = "org.mlorch.owner"
"""The label of a container that names the process which must stay alive for it (`orchestrator.host.process`)."""
ARTIFACTS = "/artifacts"
"""Where a container finds its writable folder of compiled engines and quantised weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """A file that enters a build context at ``path``: copied from ``source``, or made of ``text``."""

    path: str
    sha256: str
    mode: int = 0o644
    source: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DebPin:
    """A Debian package to lay into a root file system; ``path`` below an archive mirror's root."""

    name: str
    version: str
    archive: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePin:
    """The files of a commit of a git repository, laid out at ``path`` of the context."""

    path: str
    url: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistPin:
    """The source of a Python distribution, which a layer compiles."""

    name: str
    version: str
    filename: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStep:
    """One layer: a Dockerfile, its context, its parent and its identity.

    ``inputs`` are the named parts of the content id; `plan --explain` compares
    them with the label of the image that was built last.
    """

    name: str
    level: str
    platform: str
    content_id: str
    parent: str | None
    dockerfile: str
    files: tuple[ContextFile, ...] = ()
    debs: tuple[DebPin, ...] = ()
    """Packages that are laid out as ``rootfs.tar`` in the context."""
    pip: DebPin | None = None
    """The package whose pip installs this layer's wheels; mounted into the step, never in the image."""
    sdists: tuple[SdistPin, ...] = ()
    """Sources that this layer compiles, below ``sdists`` in the context."""
    toolchain: str = ""
    """The layer whose lock pins the compiler; empty where nothing is compiled."""
    tools: tuple[DebPin, ...] = ()
    """The packages of the compiler, laid out as ``tools.tar``; in a stage of the build, never in the image."""
    common: str = ""
    """What the Dockerfile would hash to were nothing compiled, as where there are wheels; empty: its own hash."""
    trees: tuple[TreePin, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    base_source: str = ""
    """``bootstrap``, ``registry:IMAGE@DIGEST`` or ``oci:@DIGEST`` for a base layer, else empty.

    ``registry:IMAGE`` without a digest is unlocked: such a step is planned and shown, never built.
    """
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Named build contexts; where they lie is no part of the identity."""

    @property
    def unlocked(self) -> str:
        """The image of a base whose digest nobody has looked up; empty for every other layer."""
        kind, _, image = self.base_source.partition(":")
        return image if kind == "registry" and "@" not in image else ""

    @property
    def repository(self) -> str:
        """Where images of this layer live in an engine: ``localhost/mlorch/<name>``.

        A name without a registry would mean a public one: a parent that is missing would be
        looked for there, under a name that is not ours.
        """
        return f"localhost/mlorch/{self.name}"

    @property
    def image(self) -> str:
        """The local reference: repository and content id as the tag."""
        return f"{self.repository}:{self.content_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """The layers of one image, parents first; the last one is what runs."""

    target: str
    benchmark: str
    platform: str
    layers: tuple[LayerStep, ...]
    framework: str = ""
    """The framework of the benchmark on this target; empty for a side image."""
    arch: str = ""
    """What device code is built for; empty where the target has no such axis."""

    @property
    def image(self) -> str:
        """The reference of the finished image."""
        return self.layers[-1].image


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
class RunStep:
    """One LoadGen test in one container.

    ``settings`` is the document that the harness reads (docs/run-contract.md);
    ``provenance`` says for each setting where it came from: ``default``,
    ``recipe``, ``system`` (stored by --find), ``command line`` or ``calibrated``.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What the site gives a build; nothing of it may reach the image.

    ``secrets`` maps a BuildKit secret id to a file (``site-ca`` a CA bundle,
    ``pip-conf`` a pip configuration, ``apt-sources`` an apt list); ``proxies``
    are the usual upper- and lower-case variables. The caches are places in registries
    (``HOST[:PORT][/PATH]``) where BuildKit keeps and finds the results of steps.
    """

    secrets: Mapping[str, Path] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    network: str = "default"
    no_cache: bool = False
    """Carry every step out, whatever was built before."""
    cache_to: str = ""
    cache_from: tuple[str, ...] = ()
