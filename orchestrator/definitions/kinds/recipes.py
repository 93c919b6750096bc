"""What a recipe may say: one frozen model per kind, checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from orchestrator.definitions.kinds.assets import Asset as Asset  # noqa: PLC0414 (named here for callers)
from orchestrator.definitions.kinds.assets import Dataset as Dataset  # noqa: PLC0414
from orchestrator.definitions.kinds.assets import Model as Model  # noqa: PLC0414
from orchestrator.definitions.kinds.assets import ModelFile, SampleFolder
from orchestrator.definitions.kinds.assets import RecipeFile as RecipeFile  # noqa: PLC0414
from orchestrator.definitions.kinds.base import (
    AbsolutePath,
    DebName,
    Definition,
    Digest,
    EnvName,
    EnvValue,
    Framework,
    GitRef,
    GitUrl,
    Identifier,
    ImageName,
    Level,
    Name,
    Platform,
    RelativePath,
    Requirement,
    Strict,
    Variable,
)
from orchestrator.definitions.kinds.external import (  # noqa: TC001 (pydantic reads them)
    MetricName,
    Program,
    Template,
)
from orchestrator.definitions.kinds.rounds import Round as Round  # noqa: PLC0414 (named here for callers)
from orchestrator.definitions.kinds.servers import CLIENT, Role
from orchestrator.definitions.kinds.servers import Server as Server  # noqa: PLC0414 (named here for callers)
from orchestrator.definitions.kinds.targets import HostChecks
from orchestrator.definitions.kinds.targets import Target as Target  # noqa: PLC0414 (named here for callers)
from orchestrator.definitions.kinds.tunables import Tunable  # noqa: TC001 (pydantic reads it)
from orchestrator.facts.scenarios import ScenarioName  # noqa: TC001 (pydantic reads it)

# -- layers ------------------------------------------------------------------------------


class RegistrySource(Strict):
    """A base image from a registry; its digest is here or in the lock, else it is unlocked: planned, never built."""

    kind: Literal["registry"]
    image: ImageName
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


class GitTree(Strict):
    """The files of a repository at a ref, copied in at ``to``; the lock says which commit the ref is.

    A ref that is a commit (40 digits) needs no lock. With `paths` only those files and folders are copied.
    """

    url: GitUrl
    ref: GitRef
    to: AbsolutePath
    paths: tuple[RelativePath, ...] = ()


class Layer(Definition):
    """One rendered Dockerfile with one parent."""

    kind: Literal["layer"]
    level: Level
    over: Name | None = None
    """A layer of the same level below this one: CUDA's libraries over the Python that other targets share."""
    template: RelativePath
    sources: tuple[BaseSource, ...] = ()
    debs: tuple[DebName, ...] = ()
    debs_on: dict[Platform, tuple[DebName, ...]] = Field(default_factory=dict)
    """Packages that only one platform has, e.g. the assembler of its processor; beside `debs`."""
    python: tuple[Requirement, ...] = ()
    from_source: dict[Platform, tuple[str, ...]] = Field(default_factory=dict)
    """Which distributions of `python` have no wheel there: compiled from their pinned source by `toolchain`."""
    toolchain: Name | None = None
    """The side layer whose packages compile; they are in the step that does it and in no image."""
    python_version: str = "3.11"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    copy_files: tuple[CopiedFile, ...] = Field(default=(), alias="copy")
    git: tuple[GitTree, ...] = ()
    per_arch: bool = False
    """Whether what is in the layer depends on the target's `arch`; then each arch has images of its own."""
    smoke: tuple[str, ...] = ()
    """A command (argv) that must succeed in the finished layer, e.g. an import."""
    unlocked: Annotated[str, StringConstraints(pattern=r"^(?:|.{8,400})\Z")] = ""
    """Why nobody has made its lock yet: such a layer is planned and rendered, never built."""


# -- harnesses and benchmarks ------------------------------------------------------------


class VendorImage(Strict):
    """Layers that stand in for a target's own base and runtime: a vendor's image, used as it comes."""

    base: Name
    runtime: Name = "runtime-vendor"
    platforms: tuple[Platform, ...] = Field(min_length=1)
    """Those that the vendor's image is there for; a target may have more."""


ExecutionSetting = Literal["instances", "threads", "batch", "batch_delay_us", "precision"]
"""What the harness of form `mlorch` can be told of how it runs (docs/run-contract.md)."""


class Harness(Variable):
    """The program that drives a model under LoadGen, and the layers that hold it.

    Of form `mlorch` it reads the settings of docs/run-contract.md; of form `external` it is somebody else's,
    and `program` says what it is given and what it leaves.
    """

    kind: Literal["harness"]
    form: Literal["mlorch", "external"] = "mlorch"
    loadgen: Name | None = None
    """The layer with LoadGen; where none is named, the one of the benchmark's round."""
    deps: Name
    code: Name
    command: tuple[str, ...] = ()
    backends: dict[Framework, Name] = Field(min_length=1)
    """What the harness calls each framework: the `backend` of its settings, the value `framework` of a program."""
    targets: tuple[Name, ...] = ()
    """The targets that its program runs on, where that is not every one with a layer for the framework."""
    images: dict[Name, VendorImage] = Field(default_factory=dict)
    """Target → the vendor's image that the program needs there, where the target's own base will not do."""
    program: Program | None = None
    tunables: dict[ExecutionSetting, Tunable] = Field(default_factory=dict)
    """Settings of `execution` that `mlorch tune` may search; an external program marks its parameters with `tune`."""

    @model_validator(mode="after")
    def _of_one_form(self) -> Harness:
        if self.form == "external" and self.tunables:
            raise ValueError("a harness of form external marks what may be searched in `program.parameters`")
        if self.form == "mlorch" and (self.program is not None or not self.command):
            raise ValueError("a harness of form mlorch has a `command` and no `program`")
        if self.form == "external" and (self.program is None or self.command):
            raise ValueError("a harness of form external has a `program` and no `command`")
        return self


class Tensor(Strict):
    """One tensor of a model's interface; ``scale`` multiplies stored samples on loading."""

    name: str
    dtype: Literal["float32", "uint8", "int16", "int32", "int64"] = "float32"
    scale: float = 1.0
    array: Identifier = "inputs"
    """The dataset's array that it is given; that of `inputs` where none is named."""
    varies: bool = False
    """Whether samples differ in length: the array is padded, and a batch is as long as its longest sample."""


class AccuracyGoal(Strict):
    """A metric, the reference that it was measured against, and the least share of it to reach.

    The metric is one that the harness counts: of an external one a figure of its recipe, in that figure's unit,
    which is `%` or, for a number as it is, empty.
    """

    metric: MetricName
    unit: Literal["%", ""] = "%"
    reference: float = Field(gt=0)
    factor: float = Field(gt=0, le=1)
    max_factor: float | None = Field(default=None, ge=1)
    """The largest share of the reference, of a metric that can be too good to be true: the length of answers."""

    @property
    def minimum(self) -> float:
        """What must be reached at least, in `unit`."""
        return self.reference * self.factor

    @property
    def maximum(self) -> float | None:
        return None if self.max_factor is None else self.reference * self.max_factor


class Accuracy(AccuracyGoal):
    """What the accuracy must reach. Where more metrics have goals, a run passes only if it reaches all of them."""

    also: tuple[AccuracyGoal, ...] = ()

    @property
    def goals(self) -> tuple[AccuracyGoal, ...]:
        """Every goal, the one that names the run's accuracy first."""
        return (self, *self.also)

    @model_validator(mode="after")
    def _each_once(self) -> Accuracy:
        names = [goal.metric for goal in self.goals]
        if len(set(names)) != len(names):
            raise ValueError("a metric has two goals")
        return self


class ScenarioSettings(Strict):
    """LoadGen settings of one scenario; times in nanoseconds, as LoadGen's own fields."""

    target_qps: float | None = Field(default=None, gt=0)
    expected_latency_ns: int | None = Field(default=None, gt=0)
    target_latency_ns: int | None = Field(default=None, gt=0)
    target_latency_percentile: float | None = Field(default=None, gt=0, lt=1)
    samples_per_query: int | None = Field(default=None, gt=0)
    ttft_latency_ns: int | None = Field(default=None, gt=0)
    """Of a model that generates, in place of `target_latency_ns`: how late the first token may come,"""
    tpot_latency_ns: int | None = Field(default=None, gt=0)
    """and how long each later one may take, in the mean of an answer."""
    min_duration_ms: int | None = Field(default=None, gt=0)
    min_query_count: int | None = Field(default=None, gt=0)
    instances: int | None = Field(default=None, gt=0)
    """Copies of the model. These three are measured or chosen by the number of processors where nothing is said."""
    threads: int | None = Field(default=None, gt=0)
    """Threads of each copy."""
    batch: int | None = Field(default=None, gt=0)
    """Samples of a batch; of a model that generates, answers that a copy has under way at once."""


class Generation(Strict):
    """How a model generates: the likeliest token each time, and at most ``limit`` of them an answer."""

    limit: int = Field(ge=2)


def _in_short(schema: dict[str, Any]) -> None:
    """What an editor takes beyond a benchmark that is written out: `like`, and model and data by file or folder."""
    whole = schema["required"]
    schema["required"] = ["kind", "name", "title"]
    schema["anyOf"] = [{"required": ["like"]}, {"required": whole}]
    path = {"type": "string", "pattern": r"^\./"}
    for field, model in (("model", ModelFile), ("dataset", SampleFolder)):
        by_file = TypeAdapter(model).json_schema(ref_template="#/$defs/{model}")
        licence = by_file.pop("$defs")["Licence"]
        by_file["properties"]["licence"] = licence
        named = schema["properties"][field]
        about = {key: named.pop(key) for key in ("title", "description") if key in named}
        schema["properties"][field] = {**about, "anyOf": [named, path, by_file]}


class Benchmark(Variable):
    """A model and a dataset under a harness: what is measured."""

    model_config = ConfigDict(json_schema_extra=_in_short)

    kind: Literal["benchmark"]
    like: Name | None = None
    """Another benchmark: its fields hold where this one says nothing, but for what says which one it is."""
    task: Name
    stands_for: str = ""
    """A model of the round, by the checker's name: what is measured, where official, else what it is like."""
    round: str = "v6.1"
    """The round of MLPerf Inference whose rules and seeds hold; the harness's LoadGen must be one that it accepts."""
    official: bool = False
    default: bool = False
    suites: tuple[Name, ...] = ()
    """Those that it belongs to: `mlorch run --suite NAME` runs all of one."""
    layer: Name
    model: Name
    """A model's recipe; or a file beside this one: `./net.onnx`, or `{file: net.onnx, trained_by: …, licence: …}`"""
    dataset: Name
    """A recipe; or a folder of samples beside this one: `./photos`, or `{folder: photos, mean: …, std: …}`"""
    harness: Name
    frameworks: tuple[Framework, ...] = Field(min_length=1)
    """In order of preference; every target that has a layer for one of them can run the benchmark."""
    scenarios: dict[ScenarioName, ScenarioSettings] = Field(min_length=1)
    performance_samples: int = Field(gt=0)
    input: Tensor | None = None
    """The model's interface, for a harness of form `mlorch`; of a model with several: `inputs` and `outputs`."""
    output: Tensor | None = None
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[str, ...] = ()
    generation: Generation | None = None
    """Of a task that generates, under a harness of form `mlorch`."""
    parameters: dict[Identifier, Template] = Field(default_factory=dict)
    """Parameters of an external harness that this benchmark sets."""
    roles: dict[Identifier, Role] = Field(default_factory=dict)
    """Of a run of several containers: its parts in the order of their start, ``client`` (the harness) among them."""
    accuracy: Accuracy
    note: str = "mlorch reference workload, not an MLPerf submission"

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What the model takes: `inputs`, or the one of `input`."""
        return self.inputs or (() if self.input is None else (self.input,))

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the model gives: `outputs`, or the one of `output`."""
        return self.outputs or (() if self.output is None else (self.output.name,))

    @property
    def server_names(self) -> tuple[str, ...]:
        """The servers that its roles name, each once."""
        return tuple(dict.fromkeys(role.server for role in self.roles.values() if role.server is not None))

    @model_validator(mode="after")
    def _client_and_servers(self) -> Benchmark:
        if self.roles and CLIENT not in self.roles:
            raise ValueError(f"`roles` lack `{CLIENT}`, which is the harness")
        for name, role in self.roles.items():
            if (role.server is None) != (name == CLIENT):
                why = "is the harness and has no `server`" if name == CLIENT else "names no `server`"
                raise ValueError(f"role `{name}` {why}")
            if role.processes is not None and name != CLIENT:
                raise ValueError(f"role `{name}` has no `processes`: those are the client's")
        restarts = {role.restart for name, role in self.roles.items() if name != CLIENT}
        if len(restarts) > 1:
            raise ValueError("servers of one benchmark share a network namespace, so all have the same `restart`")
        client = self.roles.get(CLIENT)
        if client is not None and (client.replicas != 1 or client.parameters):
            raise ValueError(f"role `{CLIENT}` has one container, and the parameters of its harness")
        return self

    @model_validator(mode="after")
    def _interface_once(self) -> Benchmark:
        for one, several in (("input", "inputs"), ("output", "outputs")):
            if getattr(self, one) is not None and getattr(self, several):
                raise ValueError(f"`{one}` and `{several}` say the same thing: leave one out")
        return self


AnyDefinition = Annotated[
    Target | Layer | Benchmark | Model | Dataset | Harness | Server | HostChecks | Round,
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
}
