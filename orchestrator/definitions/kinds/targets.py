"""A hardware target: its layers, what it asks of a host, and what its containers are given of the host's devices.

Every method of device injection is data here: a CDI kind, Docker's `--gpus`, an OCI runtime of
the vendor, plain device nodes. `orchestrator.plan.run.devices` decides which one is used;
docs/devices.md explains what each grant means.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from orchestrator.definitions.kinds.base import (
    Definition,
    EnvName,
    EnvValue,
    Framework,
    Line,
    Name,
    Platform,
    Size,
    Strict,
)
from orchestrator.definitions.kinds.detection import Arch, Detect, HostPath, Note, Pattern, Variant
from orchestrator.definitions.kinds.limits import require_memory, require_ulimit

Why = Annotated[Line, StringConstraints(min_length=8, max_length=400)]
NodePattern = Annotated[
    str,
    StringConstraints(
        pattern=r"^/dev/(?!.*(?:^|/)\.\.(?:/|\Z))(?!.*\*\*)(?!(?:mem|kmem|port|kmsg)\Z)[A-Za-z0-9][A-Za-z0-9_./*\[\]-]*\Z"
    ),
]
"""A device node below /dev, maybe with a glob after its first character; never all of memory or all of /dev."""
CdiKind = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[.-][a-z0-9]+)*/[A-Za-z][A-Za-z0-9_-]*\Z")]
Library = Annotated[str, StringConstraints(pattern=r"^lib[A-Za-z0-9_.+-]+\.so(?:\.[0-9]+)*\Z")]
GroupName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]*\Z", max_length=32)]
By = Literal["index", "host-index", "uuid", "pci"]


class DeviceNode(Strict):
    """Device nodes on the host.

    With ``each`` every device of the target has nodes of its own that match, and only those of the
    chosen devices are passed; others are shared by all devices and always passed (/dev/kfd).
    ``optional``: a host may lack it. ``exclusive``: one program at a time can open it, which is
    tried before a start.
    """

    name: NodePattern
    reason: Why
    each: bool = False
    optional: bool = False
    exclusive: bool = False


class HostLibrary(Strict):
    """A library that must be the host's own, as it belongs to the kernel driver; mounted read-only beside plain nodes.

    CDI and the vendor's runtimes bring them by themselves.
    """

    name: Library
    reason: Why
    optional: bool = False


class Group(Strict):
    """A group of the host, by its name there; containers get its number."""

    name: GroupName
    reason: Why
    optional: bool = False


class Visible(Strict):
    """A variable by which the vendor's software in the container learns which devices to use.

    ``by`` is how it names them: ``index`` as counted inside (from 0 where only the chosen
    devices are there, the host's where all are), ``host-index`` always the host's, ``uuid``
    (indices where a chosen device has none), ``pci`` address.
    """

    name: EnvName
    by: By = "index"
    reason: Line = ""


class Runtime(Strict):
    """An OCI runtime of the vendor that passes the devices which a variable names (``all``, or a list)."""

    name: Name
    env: EnvName
    by: By = "host-index"
    reason: Why


class Passthrough(Strict):
    """The methods that can pass a target's devices; none: its containers get no device."""

    cdi: CdiKind | None = None
    gpus: bool = False
    """Whether the engine's own `--gpus` gives them, where it has the vendor's hook."""
    runtime: Runtime | None = None
    nodes: tuple[DeviceNode, ...] = ()
    libraries: tuple[HostLibrary, ...] = ()
    groups: tuple[Group, ...] = ()
    visible: tuple[Visible, ...] = ()

    @model_validator(mode="after")
    def _useful(self) -> Self:
        methods = (self.cdi, self.gpus or None, self.runtime, self.nodes or None)
        extras = (self.libraries, self.groups, self.visible)
        if any(extras) and not any(methods):
            raise ValueError("libraries, groups and visible need a method to pass devices: cdi, gpus, runtime or nodes")
        return self

    @property
    def empty(self) -> bool:
        """Whether containers of this target get no device at all."""
        return not (self.cdi or self.gpus or self.runtime or self.nodes)

    @property
    def required(self) -> bool:
        """Whether a container needs at least one device: not where every node is optional (a processor works too)."""
        return not self.empty and not (self.nodes and all(node.optional for node in self.nodes))


# -- what is asked of a host ---------------------------------------------------------------


class HostCheck(Strict):
    """One file and the value that it should have.

    The value is the file's text without blanks around it, or what the first group of
    ``pattern`` takes from it. With a glob in ``file`` every file must agree. ``need`` stops
    a run, ``note`` is only reported. A file that is not there is skipped, unless ``absent`` is ``fail``.
    """

    name: Name
    file: HostPath
    pattern: Pattern = ""
    expected: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    level: Literal["need", "note"]
    why: str = Field(min_length=8)
    hint: str = Field(min_length=8)
    machine: tuple[str, ...] = ()
    absent: Literal["skip", "fail"] = "skip"
    source: str = ""

    @model_validator(mode="after")
    def _says_what_it_expects(self) -> Self:
        bounded = self.minimum is not None or self.maximum is not None
        if bool(self.expected) == bounded:
            raise ValueError("a check has either `expected` words, or `minimum` and `maximum`")
        return self

    @property
    def wanted(self) -> str:
        """The expected value, for people."""
        if self.expected:
            return " or ".join(self.expected)
        low = f"at least {self.minimum}" if self.minimum is not None else ""
        high = f"at most {self.maximum}" if self.maximum is not None else ""
        return " and ".join(filter(None, (low, high)))


class HostChecks(Definition):
    """Checks that several targets share."""

    kind: Literal["hostchecks"]
    checks: tuple[HostCheck, ...] = Field(min_length=1)


# -- the target ----------------------------------------------------------------------------


class Capability(Strict):
    """A capability of the kernel that containers of the target keep, and why.

    Only those that cannot be turned against the host are possible; none that amounts to being root there.
    """

    name: Literal["IPC_LOCK", "PERFMON", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE"]
    reason: Why


class Target(Definition):
    """A kind of hardware: its layers and what its containers are given."""

    kind: Literal["target"]
    aliases: tuple[Name, ...] = ()
    """What people call this hardware, for the hint where a name is not known; none of them is a name itself."""
    platforms: tuple[Platform, ...] = Field(min_length=1)
    base: Name
    runtime: Name
    frameworks: dict[Framework, Name] = Field(min_length=1)
    """Framework → its layer here; a benchmark that can use one of them runs on this target."""
    instead: dict[Name, Name] = Field(default_factory=dict)
    """Layer → the one that takes its place here, with the same packages: LoadGen for the Python of a vendor's image."""
    side: Name | None = None
    """The target whose base and runtime side images stand on, where a vendor's image has another Python than they."""
    prefer: tuple[Framework, ...] = ()
    """Frameworks that count before the benchmark's own order, best first."""
    providers: dict[Framework, tuple[str, ...]] = Field(default_factory=dict)
    priority: int = Field(default=0, ge=0, le=100)
    detect: Detect = Detect()
    variants: tuple[Variant, ...] = ()
    arch: Arch | None = None
    host: tuple[Name, ...] = ()
    """Names of `hostchecks` definitions: what many targets want of a host."""
    checks: tuple[HostCheck, ...] = ()
    notes: tuple[Note, ...] = ()
    passthrough: Passthrough = Passthrough()
    capabilities: tuple[Capability, ...] = ()
    ulimits: dict[Name, str] = Field(default_factory=dict)
    shm: Annotated[Size, AfterValidator(require_memory)] = "64m"
    ipc: Literal["private", "host"] = "private"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)

    @field_validator("ulimits")
    @classmethod
    def _possible(cls, ulimits: dict[str, str]) -> dict[str, str]:
        for name, number in ulimits.items():
            require_ulimit(name, number)
        return ulimits
