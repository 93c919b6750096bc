"""What a recipe may say: one frozen model per kind, checked by pydantic.

Every YAML scalar reaches these models as text (see `orchestrator.source`), so
the field's type decides how ``3.10``, ``no`` or ``12:30`` reads. Unknown keys
are refused. Names are lower-case words joined by ``-``, ``_`` or ``.``.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_NAME = r"^[a-z0-9]+(?:[._-][a-z0-9]+)*\Z"
Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\Z")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Platform = Annotated[str, StringConstraints(pattern=r"^linux/(?:amd64|arm64)\Z")]
DebName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+\Z")]
Requirement = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.+!_-]+\Z"
    ),
]
RelativePath = Annotated[str, StringConstraints(pattern=r"^(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+-]*\Z")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")]
EnvValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*\Z", max_length=4096)]
Size = Annotated[str, StringConstraints(pattern=r"^[0-9]+[kmgt]?\Z")]
Scenario = Literal["Offline", "Server", "SingleStream", "MultiStream"]
Level = Literal["base", "runtime", "framework", "loadgen", "harness", "code", "benchmark", "side"]
Framework = Name


def is_name(text: str) -> bool:
    """Whether a text can be a `Name`."""
    return len(text) <= 64 and re.fullmatch(_NAME, text) is not None


class Strict(BaseModel):
    """Frozen, no unknown keys; the root of every model here."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=False,
        allow_inf_nan=False,
        regex_engine="python-re",  # the Rust engine knows neither look-ahead nor \\Z
    )


class Definition(Strict):
    """What every recipe has: a name that is unique in its kind and a line for people."""

    name: Name
    title: str = Field(min_length=1, max_length=120)
    description: str = ""


# -- layers ------------------------------------------------------------------------------


class RegistrySource(Strict):
    """A base image from a registry; without a digest for the platform it is unlocked and skipped."""

    kind: Literal["registry"]
    image: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._:/-]*\Z")]
    digests: dict[Platform, Digest] = Field(default_factory=dict)
    package_manager: Literal["apt", "none"] = "apt"


class OciSource(Strict):
    """A base image in an OCI layout folder or archive on this machine."""

    kind: Literal["oci"]
    path: str
    package_manager: Literal["apt", "none"] = "none"


class BootstrapSource(Strict):
    """A root file system made from the distribution's packages, without a registry."""

    kind: Literal["bootstrap"]
    suite: Name
    debs: tuple[DebName, ...] = Field(min_length=1)


BaseSource = Annotated[RegistrySource | OciSource | BootstrapSource, Field(discriminator="kind")]


class CopiedFile(Strict):
    """A file or folder that a layer copies in; ``source`` is beside the recipe or ``builtin:PATH``."""

    source: Annotated[str, StringConstraints(pattern=r"^(?:builtin:)?(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/-]+\Z")]
    to: AbsolutePath


class Layer(Definition):
    """One rendered Dockerfile with one parent."""

    kind: Literal["layer"]
    level: Level
    template: RelativePath
    sources: tuple[BaseSource, ...] = ()
    debs: tuple[DebName, ...] = ()
    python: tuple[Requirement, ...] = ()
    python_version: str = "3.11"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    copy_files: tuple[CopiedFile, ...] = Field(default=(), alias="copy")
    smoke: tuple[str, ...] = ()
    """A command (argv) that must succeed in the finished layer, e.g. an import."""


# -- targets -----------------------------------------------------------------------------


class Reasoned(Strict):
    """Something the container is given beyond the least, and why."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./*-]+\Z")]
    reason: str = Field(min_length=8)


class Device(Reasoned):
    """A device node on the host, or a CDI name; a glob may match several nodes."""

    cdi: str = ""


class Detect(Strict):
    """When the target counts as present on a host; `always` is for plain processors."""

    always: bool = False
    machine: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Target(Definition):
    """A kind of hardware: its layers and what its containers are given."""

    kind: Literal["target"]
    platforms: tuple[Platform, ...] = Field(min_length=1)
    base: Name
    runtime: Name
    frameworks: dict[Framework, Name] = Field(min_length=1)
    providers: dict[Framework, tuple[str, ...]] = Field(default_factory=dict)
    priority: int = Field(default=0, ge=0, le=100)
    detect: Detect = Detect()
    devices: tuple[Device, ...] = ()
    groups: tuple[Name, ...] = ()
    capabilities: tuple[Reasoned, ...] = ()
    ulimits: dict[Name, Annotated[str, StringConstraints(pattern=r"^(?:unlimited|[0-9]+)\Z")]] = Field(
        default_factory=dict
    )
    shm: Size = "64m"
    ipc: Literal["private", "host"] = "private"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)


# -- models and datasets -----------------------------------------------------------------


class Licence(Strict):
    """Under which terms the bytes come, and where the text lies inside the source."""

    spdx: str
    note: str = ""
    file: str = ""


class PypiPackage(Strict):
    """One file of a PyPI release (a wheel or an sdist), by hash."""

    kind: Literal["pypi"]
    package: str
    version: str
    filename: RelativePath
    sha256: Sha256
    size: int = Field(gt=0)
    licence: Licence


class DebianPackage(Strict):
    """One Debian package, by hash; ``path`` is its place in the archive's pool."""

    kind: Literal["debian"]
    package: DebName
    version: str
    path: RelativePath
    sha256: Sha256
    size: int = Field(gt=0)
    licence: Licence


class RecipeFile(Strict):
    """A file that ships beside the recipe."""

    kind: Literal["recipe"]
    path: RelativePath
    sha256: Sha256
    licence: Licence


PackageSource = Annotated[PypiPackage | DebianPackage | RecipeFile, Field(discriminator="kind")]


class Output(Strict):
    """A file that an asset consists of, as mounted into the container."""

    file: RelativePath
    sha256: Sha256


class Prepare(Strict):
    """How to turn fetched packages into the asset: a script that runs in the prep image."""

    script: RelativePath
    layer: Name
    args: tuple[str, ...] = ()


class Asset(Definition):
    """Common to models and datasets: where the bytes come from and what they must become."""

    sources: tuple[PackageSource, ...] = Field(min_length=1)
    prepare: Prepare | None = None
    outputs: tuple[Output, ...] = Field(min_length=1)


class Model(Asset):
    """Weights in a form that a backend loads."""

    kind: Literal["model"]
    format: Literal["onnx"]
    parameters: int = Field(gt=0)
    trained_by: str


class Dataset(Asset):
    """Samples (``.npy``, sample axis first) and their labels."""

    kind: Literal["dataset"]
    samples: int = Field(gt=0)
    inputs: RelativePath
    labels: RelativePath


# -- harnesses and benchmarks ------------------------------------------------------------


class Harness(Definition):
    """The program that drives a model under LoadGen, and the layers that hold it."""

    kind: Literal["harness"]
    loadgen: Name
    deps: Name
    code: Name
    command: tuple[str, ...] = Field(min_length=1)
    backends: dict[Framework, Name]


class Tensor(Strict):
    """One tensor of a model's interface; ``scale`` multiplies stored samples on loading."""

    name: str
    dtype: Literal["float32", "uint8", "int64"] = "float32"
    scale: float = 1.0


class Accuracy(Strict):
    """The metric, the reference that it was measured against and the least share of it to reach."""

    metric: Literal["top1"]
    unit: str = "%"
    reference: float = Field(gt=0)
    factor: float = Field(gt=0, le=1)


class ScenarioSettings(Strict):
    """LoadGen settings of one scenario; times in nanoseconds, as LoadGen's own fields."""

    target_qps: float | None = Field(default=None, gt=0)
    expected_latency_ns: int | None = Field(default=None, gt=0)
    target_latency_ns: int | None = Field(default=None, gt=0)
    target_latency_percentile: float | None = Field(default=None, gt=0, lt=1)
    samples_per_query: int | None = Field(default=None, gt=0)
    min_duration_ms: int | None = Field(default=None, gt=0)
    min_query_count: int | None = Field(default=None, gt=0)


class Benchmark(Definition):
    """A model and a dataset under a harness: what is measured."""

    kind: Literal["benchmark"]
    task: Name
    stands_for: str = ""
    round: str = "v6.1"
    official: bool = False
    default: bool = False
    layer: Name
    model: Name
    dataset: Name
    harness: Name
    framework: Framework
    targets: tuple[Name, ...] = Field(min_length=1)
    scenarios: dict[Scenario, ScenarioSettings] = Field(min_length=1)
    performance_samples: int = Field(gt=0)
    input: Tensor
    output: Tensor
    accuracy: Accuracy
    note: str = "mlorch reference workload, not an MLPerf submission"


AnyDefinition = Annotated[Target | Layer | Benchmark | Model | Dataset | Harness, Field(discriminator="kind")]
KINDS: dict[str, type[Definition]] = {
    "target": Target,
    "layer": Layer,
    "benchmark": Benchmark,
    "model": Model,
    "dataset": Dataset,
    "harness": Harness,
}
