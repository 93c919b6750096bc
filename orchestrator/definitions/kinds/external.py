"""A harness of somebody else's as data: its steps, files, words, needs, logs and accuracy.

Texts marked `Template` may hold ``{names}`` and integer arithmetic (`definitions.values`); the names are
`VALUE_NAMES`, ``param.NAME`` of the program's own parameters and ``words.NAME`` of its word lists.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orchestrator.definitions.kinds.base import AbsolutePath, EnvName, Identifier, RelativePath, Size, Strict
from orchestrator.definitions.kinds.limits import require_deviation, require_limit_of_time, require_memory
from orchestrator.definitions.kinds.tunables import Tunable  # noqa: TC001 (pydantic reads it)
from orchestrator.facts.patterns import compiled

Template = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z", max_length=16_384)]
ValueName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*\Z", max_length=80)]
FilePath = Annotated[str, StringConstraints(pattern=r"^(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z")]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,30}\Z")]
"""A name as /etc/passwd has it."""
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_@.-]*\Z", max_length=40)]
"""What a figure of accuracy is called: ``top1``, ``F1``, ``mAP@0.5``."""
Reason = Annotated[str, StringConstraints(min_length=8, max_length=400)]
Condition = dict[ValueName, str | tuple[str, ...]]
"""Value name → the value it must have, or one of several; all of them must hold."""


def _pattern(text: str) -> str:
    compiled(text)
    return text


def _one_value(text: str) -> str:
    if compiled(text).groups != 1:
        raise ValueError("it must have exactly one group: the number")
    return text


Pattern = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_pattern)]
"""A regular expression of RE2, searched in each line."""
ValuePattern = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_one_value)]
"""The same with one group, which is the number."""

_NOT_ITS_OWN = ("/results", "/artifacts", "/scratch", "/models", "/data", "/config", "/proc", "/sys", "/dev")
"""What a container is given by the run contract or by its engine: nothing of a recipe lies in their place."""
_FILES_OF_A_RUN = re.compile(r"(?:run|settings|harness)\.json|report\.html|config|console.*|mlperf_log_.*|\..*")
"""What mlorch itself has at the top of a run's folder."""


def folder_name(path: str) -> str:
    """A folder of the run for a path of the container: ``/work/build`` is ``work-build``."""
    return path.strip("/").replace("/", "-")


def _plain_path(path: str) -> None:
    """Raise ValueError for a path that says the same as a shorter one (``a//b``, ``./a``), or names the root."""
    parts = path.removeprefix("/").split("/")
    if "" in parts or "." in parts:
        raise ValueError(f"`{path}` is no plain path: it has an empty part or `.` in it")


def _own_place(path: str) -> None:
    """Raise ValueError for a path of the image that is not the program's to replace."""
    _plain_path(path)
    for taken in _NOT_ITS_OWN:
        if path == taken or path.startswith(f"{taken}/"):
            raise ValueError(f"`{path}` lies in {taken}, which every container is given as the run contract says")


def _workdir(text: str) -> str:
    """Raise ValueError for a folder in which no step can start; what begins with a name is looked at when filled."""
    if not text.startswith(("/", "{")) or "/../" in f"{text}/":
        raise ValueError(f"`{text[:60]}` is no folder of the container: it begins with `/` or a name in braces")
    return text


VALUE_NAMES = (
    "scenario",
    "mode",
    "benchmark",
    "target",
    "arch",
    "framework",
    "run_id",
    "loadgen_model",
    "model",
    "model.file",
    "data",
    "data.samples",
    "results",
    "artifacts",
    "scratch",
    "config",
    "source",
    "cpus",
    "cpu_list",
    "cpu_first",
    "devices.count",
    "devices.list",
    "numa.nodes",
    "numa.cores",
    "memory_mb",
    "uid",
    "gid",
    "endpoint.url",
    "endpoint.urls",
    "endpoint.model",
    "settings.min_duration_ms",
    "settings.max_duration_ms",
    "settings.min_query_count",
    "settings.target_qps",
    "settings.target_latency_ns",
    "settings.target_latency_percentile",
    "settings.expected_latency_ns",
    "settings.samples_per_query",
    "settings.performance_samples",
)
"""What a template can name, besides ``param.*`` and ``words.*``. docs/add-a-harness.md says what each is.
A LoadGen setting that a test leaves open is absent, as are the servers (``endpoint.*``) of a run without roles: a
template that needs it is refused."""


class NoValue(ValueError):
    """A text that a parameter cannot be; ``wanted`` is what it takes."""

    def __init__(self, text: str, wanted: str) -> None:
        super().__init__(f"it cannot be `{text[:60]}`: it takes {wanted}")
        self.wanted = wanted


class Parameter(Strict):
    """Something of the program that may be changed with ``--set NAME=VALUE``."""

    type: Literal["int", "float", "text", "bool"] = "text"
    default: Template
    choices: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    about: str = Field(default="", max_length=200)
    tune: Tunable | None = None
    """What `mlorch tune` may try for it; without, it is searched by nobody."""

    @model_validator(mode="after")
    def _can_be_tuned(self) -> Parameter:
        if self.tune is None:
            return self
        if not self.tune.choices and self.type != "int":
            raise ValueError(f"a range to search is of whole numbers, this is {self.type}")
        least = [str(self.tune.min)] if not self.tune.choices else []
        most = [str(self.tune.max)] if isinstance(self.tune.max, int) else []
        for text in (*self.tune.choices, *least, *most):
            self.value(text)
        return self

    @model_validator(mode="after")
    def _can_be_chosen(self) -> Parameter:
        if self.type not in {"int", "float"} and (self.min is not None or self.max is not None):
            raise ValueError(f"`min` and `max` are for numbers, this is {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min} is above `max` {self.max}")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError("a value stands in `choices` twice")
        for text in (*self.choices, self.default):
            if "{" not in text:  # else the host says what it is
                self.value(text)
        return self

    def value(self, text: str) -> str | int | float:
        """What a text means; raises `NoValue`."""
        if self.choices and text not in self.choices:
            raise NoValue(text, f"one of {', '.join(self.choices)}")
        if self.type == "text":
            return text
        if self.type == "bool":
            if text not in {"true", "false"}:
                raise NoValue(text, "true or false")
            return text
        try:
            number: int | float = int(text) if self.type == "int" else float(text)
        except ValueError:
            raise NoValue(text, "a whole number" if self.type == "int" else "a number") from None
        if not (number == number and abs(number) < 2**63):  # noqa: PLR0124 (NaN)
            raise NoValue(text, "a finite number")
        if self.min is not None and number < self.min:
            raise NoValue(text, f"at least {self.min}")
        if self.max is not None and number > self.max:
            raise NoValue(text, f"at most {self.max}")
        return number


class Words(Strict):
    """What the program calls the values of one thing: ``of: scenario``, ``{Offline: offline, …}``."""

    of: ValueName
    values: dict[str, Template] = Field(min_length=1)


class WordsIf(Strict):
    """Arguments that are there only under a condition."""

    when: Condition = Field(min_length=1)
    words: tuple[Template, ...] = Field(min_length=1)


def _kind_of_word(given: object) -> str:
    return "[conditional]" if isinstance(given, dict | WordsIf) else "[text]"


Word = Annotated[
    Annotated[Template, Tag("[text]")] | Annotated[WordsIf, Tag("[conditional]")], Discriminator(_kind_of_word)
]
"""An argument, or arguments under a condition; pydantic is told which, so that it complains of one only."""


class RenderedFile(Strict):
    """A file that mlorch writes for the program, mounted read-only.

    A relative ``path`` lies below ``/config``, an absolute one replaces that file of the image. ``user.conf`` holds
    the settings of the test for LoadGen, ``text`` follows them; ``json`` is made of ``values``. ``executable`` is for
    a command that the program calls and that must not do here what it does elsewhere.
    """

    path: FilePath
    format: Literal["text", "user.conf", "json"] = "text"
    text: Template = ""
    values: dict[str, object] = Field(default_factory=dict)
    executable: bool = False
    when: Condition = Field(default_factory=dict)

    @model_validator(mode="after")
    def _content(self) -> RenderedFile:
        if self.path.startswith("/"):
            _own_place(self.path)
        _plain_path(self.path)
        if self.format == "json" and (self.text or not self.values):
            raise ValueError("a json file is made of `values`, not of `text`")
        if self.format != "json" and self.values:
            raise ValueError(f"`values` are for format json, this is {self.format}")
        return self


class WritableFolder(Strict):
    """A folder of the image that the program must write to.

    ``memory`` is gone after the step, ``results`` stays with the run, ``artifacts`` is kept for the next run of
    the same image. Programs can be started from it only with ``exec`` (a JIT compiler), which needs its reason.
    It is empty, or ``seeded``: a step of its own copies what the image has there, for each run anew.
    """

    path: AbsolutePath
    kind: Literal["memory", "results", "artifacts"] = "memory"
    size: Annotated[Size, AfterValidator(require_memory)] = "1g"
    exec: bool = False
    seeded: bool = False
    reason: Reason

    @model_validator(mode="after")
    def _its_own(self) -> WritableFolder:
        _own_place(self.path)
        if self.seeded and self.kind != "results":
            raise ValueError(
                f"a seeded folder is copied for each run and stays with it: `kind: results`, not {self.kind}"
            )
        return self


class Link(Strict):
    """A second place of a folder that containers have: the model, the data, or what a `prepare` step made.

    For programs that look for their files at a fixed path of the image; what the image has there is hidden. The
    folder is read-only at both places, and writable at both for the step that makes it.
    """

    path: AbsolutePath
    to: Annotated[
        str, StringConstraints(pattern=r"^\{(?:model|data)\}\Z|^\{artifacts\}/[a-z][a-z0-9_]*\Z", max_length=60)
    ]
    """``{model}``, ``{data}`` or ``{artifacts}/STEP``."""
    when: Condition = Field(default_factory=dict)

    @model_validator(mode="after")
    def _its_own(self) -> Link:
        _own_place(self.path)
        _plain_path(self.path)
        return self

    @property
    def step(self) -> str:
        """The step whose artefact it is; empty for the model and the data."""
        return self.to.partition("}/")[2]


class Deviation(Strict):
    """What the program needs beyond the run contract, with its reason; shown before a run and recorded."""

    what: Literal["network", "capability", "ipc", "shm", "ulimit", "pids"]
    value: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=:.-]+\Z", max_length=80)]
    steps: tuple[Identifier, ...] = ()
    """The steps that need it; all of them where none is named."""
    reason: Reason

    @field_validator("value")
    @classmethod
    def _possible(cls, value: str, info: ValidationInfo) -> str:
        return require_deviation(info.data["what"], value) if "what" in info.data else value

    @property
    def limits(self) -> str:
        """What can be given once only: ``ulimit memlock``, ``shm``; capabilities are each their own."""
        if self.what == "capability":
            return f"capability {self.value}"
        return f"ulimit {self.value.partition('=')[0]}" if self.what == "ulimit" else self.what


class Artifact(Strict):
    """What a `prepare` step makes, kept for every run with the same inputs.

    The step finds ``/artifacts/STEP`` writable, later steps find it read-only. It is made once for an image (titles
    and goals of its benchmark aside), the step's own words, the rendered files (LoadGen's settings aside), the
    artefacts before it, the model, the data and, with ``needs_device``, the kind of device.
    """

    files: tuple[RelativePath, ...] = Field(min_length=1)
    """What must be there when the step ended."""
    needs_device: bool = False
    takes: str = Field(default="", max_length=120)
    """About how long it takes and how much it needs, for people: ``2 h on one H200, 400 GB of disk``."""


class Step(Strict):
    """One container of a run, in the order of the list.

    ``run`` is the LoadGen test itself and stands once; ``accuracy`` scores what it left; ``prepare`` comes before.
    """

    name: Identifier
    role: Literal["prepare", "run", "accuracy"]
    argv: tuple[Word, ...] = Field(min_length=1)
    env: dict[EnvName, Template] = Field(default_factory=dict)
    workdir: Annotated[Template, AfterValidator(_workdir)] = "/scratch"
    when: Condition = Field(default_factory=dict)
    timeout: Annotated[str, AfterValidator(require_limit_of_time)] = "24h"
    artifact: Artifact | None = None

    @model_validator(mode="after")
    def _artifact_of_preparation(self) -> Step:
        if self.artifact is not None and self.role != "prepare":
            raise ValueError("only a step with the role `prepare` makes an artefact")
        return self


class Expectation(Strict):
    """How a run is known to have done its work, beyond LoadGen's logs."""

    exit_codes: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(default=(0,), min_length=1)
    files: tuple[RelativePath, ...] = ()
    """Below /results."""
    console_has: tuple[Pattern, ...] = ()
    console_lacks: tuple[Pattern, ...] = ()
    """Of a program that swallows its exceptions and exits with 0."""


class AccuracyFigure(Strict):
    """Where one figure of accuracy is read: by a pattern in the step's output, or from a JSON file it wrote."""

    name: MetricName
    pattern: ValuePattern | None = None
    file: RelativePath | None = None
    key: tuple[str, ...] = ()
    samples: ValuePattern | None = None
    """A pattern for the number of samples; else the dataset's."""
    unit: Literal["%", ""] = "%"
    """Whether the number is a share in percent, or counts as it is."""
    when: Condition = Field(default_factory=dict)
    """When the step says it; a program of several models says other figures of each."""

    @model_validator(mode="after")
    def _one_way(self) -> AccuracyFigure:
        if (self.pattern is None) == (self.file is None):
            raise ValueError("give either `pattern` (in the output) or `file` and `key` (JSON)")
        if self.file is not None and not self.key:
            raise ValueError("`file` needs `key`: the way to the number, e.g. [f1]")
        return self


class AccuracySource(Strict):
    """Which step says the accuracy, and how."""

    step: Identifier
    figures: tuple[AccuracyFigure, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> AccuracySource:
        names = [figure.name for figure in self.figures]
        if len(set(names)) != len(names):
            raise ValueError("two figures have the same name")
        return self


class Overlay(Strict):
    """Other defaults of parameters under a condition: a system, a kind of device, a scenario."""

    when: Condition = Field(min_length=1)
    parameters: dict[Identifier, Template] = Field(min_length=1)


class Logs(Strict):
    """Where LoadGen's logs lie below /results when the run ended: a glob of the folder."""

    folder: Annotated[str, StringConstraints(pattern=r"^(?!/)(?!.*\.\.)[A-Za-z0-9._/*?\[\]-]+\Z")] = "."
    pick: Literal["only", "newest"] = "only"
    trace: bool = True
    """Whether LoadGen's trace is kept, where the program turns it on: megabytes a minute, which no verdict needs."""


class Program(Strict):
    """Somebody's program that runs a LoadGen test."""

    source: AbsolutePath = "/opt"
    """Where its files lie in the image."""
    parameters: dict[Identifier, Parameter] = Field(default_factory=dict)
    words: dict[Identifier, Words] = Field(default_factory=dict)
    overlays: tuple[Overlay, ...] = ()
    files: tuple[RenderedFile, ...] = ()
    links: tuple[Link, ...] = ()
    writable: tuple[WritableFolder, ...] = ()
    user: UserName | None = None
    """A name for the user that the program runs as, for programs that ask who they are; the number is the caller's,
    and never root's."""
    deviations: tuple[Deviation, ...] = ()
    env: dict[EnvName, Template] = Field(default_factory=dict)
    """For every step; what a step says itself counts more."""
    steps: tuple[Step, ...] = Field(min_length=1)
    logs: Logs = Logs()
    expect: Expectation = Expectation()
    accuracy: AccuracySource | None = None

    @model_validator(mode="after")
    def _steps_fit(self) -> Program:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError("two steps have the same name")
        if [step.role for step in self.steps].count("run") != 1:
            raise ValueError("exactly one step has the role `run`")
        if self.accuracy is not None and self.accuracy.step not in names:
            raise ValueError(f"accuracy is read of step `{self.accuracy.step}`, and there is none")
        given: set[tuple[str, str]] = set()
        for deviation in self.deviations:
            for step in deviation.steps:
                if step not in names:
                    raise ValueError(f"{deviation.what} is for step `{step}`, and there is none")
            for step in deviation.steps or names:
                if (deviation.limits, step) in given:
                    raise ValueError(f"two deviations give step `{step}` its {deviation.limits}")
                given.add((deviation.limits, step))
        order = [_ORDER[step.role] for step in self.steps]
        if order != sorted(order):
            raise ValueError("steps stand in their order: prepare, run, accuracy")
        return self

    @model_validator(mode="after")
    def _links_fit(self) -> Program:
        makers = {step.name for step in self.steps if step.artifact is not None}
        paths = [folder.path for folder in self.writable]
        for link in self.links:
            if link.step and link.step not in makers:
                raise ValueError(f"`{link.to}` is what step `{link.step}` makes, and no such step makes an artefact")
            if link.path in paths:
                raise ValueError(f"`{link.path}` is both a link and something else")
            for folder in self.writable:
                if folder.kind != "memory" and link.path.startswith(f"{folder.path}/"):
                    raise ValueError(
                        f"`{link.path}` lies in {folder.path}, which is kept: an engine would write into it"
                    )
            paths.append(link.path)
        return self

    @model_validator(mode="after")
    def _folders_fit(self) -> Program:
        seen: dict[str, str] = {}
        steps = {step.name for step in self.steps}
        for folder in self.writable:
            name = folder_name(folder.path)
            if name in seen:
                raise ValueError(f"`{folder.path}` and `{seen[name]}` would both be kept as {name}")
            if folder.kind != "memory" and (name in steps or _FILES_OF_A_RUN.fullmatch(name)):
                raise ValueError(f"`{folder.path}` would be kept as {name}, and that is a name of mlorch's own")
            seen[name] = folder.path
        return self


_ORDER = {"prepare": 0, "run": 1, "accuracy": 2}
