"""What a recipe may say of a benchmark: a model and a dataset under a harness, and what is measured of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from orchestrator.definitions.kinds.base import Framework, Identifier, Line, Name, Strict, Variable
from orchestrator.definitions.kinds.beside import ModelFile, SampleFolder
from orchestrator.definitions.kinds.external import MetricName  # noqa: TC001 (pydantic reads it)
from orchestrator.definitions.kinds.servers import CLIENT, Role
from orchestrator.definitions.kinds.texts import Template  # noqa: TC001 (pydantic reads it)
from orchestrator.facts.scenarios import ScenarioName  # noqa: TC001 (pydantic reads it)


class Tensor(Strict):
    """One tensor of a model's interface; ``scale`` multiplies stored samples on loading."""

    name: str
    dtype: Literal["float32", "uint8", "int16", "int32", "int64"] = "float32"
    scale: float = 1.0
    array: Identifier = "inputs"
    """The dataset's array that it is given; that of `inputs` where none is named."""
    varies: bool = False
    """Whether samples differ in length: the array is padded, and a batch is as long as its longest sample."""
    joined: bool = False
    """Whether a sample is several rows of the array, one after the other, and a batch the rows of its samples: what
    MLPerf's DLRM is asked are 100 to 700 pairs of a user and an item."""


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
    note: Line = "mlorch reference workload, not an MLPerf submission"

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
