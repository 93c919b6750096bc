"""settings.json, read strictly: every key known, every value of its type, version 1."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from . import VERSION
from .lines import counted
from .scenarios import SCENARIOS, ScenarioName

if TYPE_CHECKING:
    from pathlib import Path


_AUDIT_KEY = re.compile("[a-z][a-z0-9_]*")


class SettingsError(Exception):
    """The settings cannot be obeyed; the message names the key."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of the model, from an array of the dataset whose values are multiplied by ``scale`` on loading.

    Where it ``varies``, the array's second axis is padded, and the array ``lengths`` says how long each sample is.
    Where it is ``joined``, ``lengths`` says how many rows of the array each sample is, one after the other; a batch is
    the rows of its samples.
    """

    name: str
    array: str
    dtype: Literal["float32", "uint8", "int16", "int32", "int64"]
    scale: float
    varies: bool
    joined: bool = False


@dataclass(frozen=True, kw_only=True)
class Model:
    path: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]

    @property
    def joined(self) -> bool:
        """Whether samples are several rows each."""
        return any(each.joined for each in self.inputs)

    @property
    def one_shape(self) -> bool:
        """Whether as many samples always make arrays of one shape."""
        return not any(each.varies or each.joined for each in self.inputs)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Arrays by name: ``.npy`` files with the sample axis first."""

    arrays: Mapping[str, str]
    samples: int
    performance_samples: int
    show: bool = False
    """Whether some samples may stand in a report: that is for its terms to say (the orchestrator has read them)."""


@dataclass(frozen=True, kw_only=True)
class LoadGen:
    """LoadGen's own settings; None: measured before the test."""

    min_duration_ms: int
    max_duration_ms: int
    min_query_count: int
    target_qps: float | None
    expected_latency_ns: int | None
    target_latency_ns: int | None
    target_latency_percentile: float | None
    samples_per_query: int | None
    ttft_latency_ns: int | None = None
    """Where tokens come one by one and queries at a rate: the limit of the first one, from the query's arrival."""
    tpot_latency_ns: int | None = None
    """The limit of each later one: the mean over an answer."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """For a model that answers with tokens: at most ``limit`` of them; it may end before."""

    limit: int


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Servers of OpenAI's interface that answer in place of a model in this process, all with the same one.

    ``key_file`` has the key that they want; ``ca_file`` the authorities that vouch for their certificates, in place of
    the usual ones. ``prompts`` is the form of what they are asked; None: found out, for a model that is perhaps not the
    data set's. A server that is silent for ``stall_s`` seconds in the middle of an answer, or altogether while it has
    something to do, has failed; it has ``ready_s`` to answer at all.
    """

    urls: tuple[str, ...]
    model: str
    key_file: str | None = None
    ca_file: str | None = None
    prompts: Literal["tokens", "messages", "text"] | None = "tokens"
    ready_s: float = 30.0
    stall_s: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where and how the model runs; None: measured before the test.

    Of a model that generates, ``batch`` is how many answers each instance has under way at once; of an endpoint, each
    of its servers, and ``processes`` how many processes hold the connections to them.
    """

    cpus: tuple[int, ...]
    instances: int | None
    threads: int | None
    batch: int | None
    batch_delay_us: int | None
    precision: Literal["f32", "bf16", "f16"] | None = None
    """What the model computes with, where the backend lets that be said (openvino); None: f32."""
    processes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    metric: str
    unit: str


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A compliance test of MLCommons': what LoadGen's audit.config says in the scenario of the test."""

    test: str
    settings: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One LoadGen test (docs/run-contract.md)."""

    version: int
    run_id: str
    benchmark: str
    task: str
    scenario: ScenarioName
    mode: Literal["performance", "accuracy"]
    backend: str
    providers: tuple[str, ...]
    model: Model
    dataset: Dataset
    loadgen: LoadGen
    execution: Execution
    accuracy: Accuracy
    generation: Generation | None = None
    endpoint: Endpoint | None = None
    audit: Audit | None = None


def read(path: Path) -> Settings:
    """The settings of a file; raises `SettingsError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    return parse(document)


def parse(document: object) -> Settings:
    """Check a decoded document against `Settings`; raises `SettingsError`."""
    if not isinstance(document, dict):
        raise SettingsError("settings must be an object")
    if document.get("version") != VERSION:
        raise SettingsError(f"version: {document.get('version')!r}, this harness reads version {VERSION}")
    settings: Settings = _record(Settings, document, "")
    _check(settings)
    return settings


def _record(kind: type[Any], document: object, where: str) -> Any:
    if not isinstance(document, dict):
        raise SettingsError(f"{where}: an object was expected")
    hints = get_type_hints(kind)
    _check_keys(kind, document, where)
    return kind(**{key: _value(hints[key], value, f"{where}{key}") for key, value in document.items()})


def _check_keys(kind: type[Any], document: Mapping[str, object], where: str) -> None:
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(document) - known):
        raise SettingsError(f"{where}{unknown[0]}: unknown key")
    required = {field.name for field in fields(kind) if field.default is MISSING}
    if missing := sorted(required - set(document)):
        raise SettingsError(f"{where}{missing[0]}: missing")


def _value(kind: Any, value: object, where: str) -> Any:
    """``value`` as the annotation ``kind`` says; an int may stand for a float, a bool for neither."""
    if is_dataclass(kind):
        return _record(kind, value, f"{where}.")  # type: ignore[arg-type]
    origin, args = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return None if value is None else _value(args[0], value, where)
    if origin is Literal:
        return _literal(args, value, where)
    if origin in {tuple, Mapping}:
        return _tuple(args[0], value, where) if origin is tuple else _mapping(args[1], value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise SettingsError(f"{where}: {value!r} is not of type {kind.__name__}")
    return value


def _literal(choices: tuple[object, ...], value: object, where: str) -> object:
    if value not in choices:
        raise SettingsError(f"{where}: {value!r} is none of {', '.join(map(str, choices))}")
    return value


def _tuple(kind: Any, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{where}: a list was expected")
    return tuple(_value(kind, item, f"{where}[{at}]") for at, item in enumerate(value))


def _mapping(kind: Any, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: an object was expected")
    return {key: _value(kind, item, f"{where}.{key}") for key, item in value.items()}


def _check(settings: Settings) -> None:
    """What the types cannot say: values that are too small and settings that need each other."""
    _check_positive(settings)
    data, loadgen, execution = settings.dataset, settings.loadgen, settings.execution
    if (execution.batch_delay_us or 0) < 0 or loadgen.max_duration_ms < 0:
        raise SettingsError("execution.batch_delay_us, loadgen.max_duration_ms: below zero")
    if (loadgen.target_latency_percentile or 0) >= 1:
        raise SettingsError("loadgen.target_latency_percentile: a share below 1 was expected")
    if data.performance_samples > data.samples:
        raise SettingsError("dataset.performance_samples: more than dataset.samples")
    if SCENARIOS[settings.scenario].at_a_rate:
        _check_limits(settings)
    if settings.generation is not None and settings.generation.limit < 2:
        raise SettingsError("generation.limit: LoadGen times answers of two tokens or more")
    _check_arrays(settings)
    if settings.endpoint is None:
        _check_processors(execution)
    else:
        _check_endpoint(settings.endpoint, execution)
    _check_audit(settings)
    if execution.processes is not None and settings.endpoint is None:
        raise SettingsError("execution.processes: only a client of an `endpoint` has several")
    if execution.precision is not None and settings.backend != "openvino":
        raise SettingsError(f"execution.precision: the backend {settings.backend} cannot be told one")


def _check_audit(settings: Settings) -> None:
    """LoadGen takes a line that it does not understand for none, and says nothing."""
    audit = settings.audit
    if audit is None:
        return
    if settings.mode != "performance":
        raise SettingsError("audit: a compliance test is a performance test")
    if not audit.settings:
        raise SettingsError("audit.settings: a setting at least was expected")
    for name, value in audit.settings.items():
        if not _AUDIT_KEY.fullmatch(name):
            raise SettingsError(f"audit.settings: {name!r} is no name of a setting")
        if value < 0:
            raise SettingsError(f"audit.settings.{name}: below zero")


def _check_limits(settings: Settings) -> None:
    """Whether there is a latency to keep where queries come at a rate."""
    wanted = ("target_latency_ns",) if settings.generation is None else ("ttft_latency_ns", "tpot_latency_ns")
    for name in wanted:
        if getattr(settings.loadgen, name) is None:
            raise SettingsError(f"loadgen.{name}: the {settings.scenario} scenario needs it")


def _check_positive(settings: Settings) -> None:
    data, loadgen, execution = settings.dataset, settings.loadgen, settings.execution
    positive = {
        "dataset.samples": data.samples,
        "dataset.performance_samples": data.performance_samples,
        "loadgen.min_duration_ms": loadgen.min_duration_ms,
        "loadgen.min_query_count": loadgen.min_query_count,
        "loadgen.target_qps": loadgen.target_qps,
        "loadgen.expected_latency_ns": loadgen.expected_latency_ns,
        "loadgen.target_latency_ns": loadgen.target_latency_ns,
        "loadgen.target_latency_percentile": loadgen.target_latency_percentile,
        "loadgen.samples_per_query": loadgen.samples_per_query,
        "loadgen.ttft_latency_ns": loadgen.ttft_latency_ns,
        "loadgen.tpot_latency_ns": loadgen.tpot_latency_ns,
        "execution.instances": execution.instances,
        "execution.threads": execution.threads,
        "execution.batch": execution.batch,
        "execution.processes": execution.processes,
    }
    for name, value in positive.items():
        if value is not None and not value > 0:
            raise SettingsError(f"{name}: {value} is not above zero")


def _check_arrays(settings: Settings) -> None:
    inputs = settings.model.inputs
    wanted = [each.array for each in inputs] + ["lengths" for each in inputs if each.varies or each.joined]
    for name in wanted:
        if name not in settings.dataset.arrays:
            raise SettingsError(f"dataset.arrays.{name}: missing, and model.inputs need it")
    if not inputs or not settings.model.outputs:
        raise SettingsError("model: an input and an output at least were expected")
    if any(each.joined for each in inputs) and not all(each.joined and not each.varies for each in inputs):
        raise SettingsError("model.inputs: either all are `joined`, and none varies, or none is")


def _check_endpoint(endpoint: Endpoint, execution: Execution) -> None:
    """Copies of the model are the servers, so processors here do not bound them."""
    _check_cpus(execution)
    if not endpoint.urls or not endpoint.model:
        raise SettingsError("endpoint: an address at least, and the name of a model were expected")
    for url in endpoint.urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise SettingsError("endpoint.urls: plain addresses of HTTP were expected, without user and query")
    if endpoint.ready_s < 0 or endpoint.stall_s <= 0:
        raise SettingsError("endpoint.ready_s, endpoint.stall_s: times above zero were expected")


def _check_cpus(execution: Execution) -> None:
    cpus = execution.cpus
    if not cpus or len(set(cpus)) != len(cpus) or min(cpus) < 0:
        raise SettingsError("execution.cpus: distinct processor numbers were expected")


def _check_processors(execution: Execution) -> None:
    _check_cpus(execution)
    cpus = execution.cpus
    instances, threads = execution.instances or 1, execution.threads or 1
    if instances * threads > len(cpus):
        raise SettingsError(
            f"execution: {counted(instances, 'instance')} of {counted(threads, 'thread')} "
            f"do not fit on {counted(len(cpus), 'processor')}"
        )
