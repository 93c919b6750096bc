"""What describes a result beside its logs: the JSON of measurements, and user.conf. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.neutral import one_line
from orchestrator.plan.run.loadgen_settings import user_conf
from orchestrator.results.verify.fault import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.submissions.build.choose import Pair
    from orchestrator.submissions.build.evidence import Evidence

_NS_PER_MS = 1_000_000
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}


def measurements_document(pair: Pair, overlay: Mapping[str, str]) -> dict[str, object]:
    """The JSON of a result's measurements. What nobody has said is empty.

    Beyond MLPerf's fields it says what was really measured, as a workload that only stands for a model is another one.
    """
    found, record, model = pair.performance, pair.record, pair.record.model
    document: dict[str, object] = {
        "input_data_types": _input_types(found),
        "retraining": "no" if pair.official else _retraining(found),
        "starting_weights_filename": _weights(found),
        "weight_data_types": _weight_types(found),
        "weight_transformations": _transformations(found),
    }
    document |= overlay
    document["mlorch"] = {
        "benchmark": record.benchmark,
        "stands_for": record.stands_for,
        "model": "" if model is None else model.title or model.name,
        "dataset": "" if record.dataset is None else record.dataset.title or record.dataset.name,
        "note": record.note,
        "runs": [one.record.run_id for one in pair.runs],
        "image_digest": record.image.digest or record.image.image_id,
    }
    return document


def _input_types(found: Evidence) -> str:
    inputs = lookup(found.settings, "model.inputs")
    types = [one.get("dtype") for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []
    return ", ".join(dict.fromkeys(one_line(str(one)) for one in types if one))


def _retraining(found: Evidence) -> str:
    """Whose weights they are."""
    model = found.record.model
    if model is None or not model.trained_by:
        return ""
    return one_line(f"another model: {model.title or model.name}, trained by {model.trained_by}")


def _weights(found: Evidence) -> str:
    """The file that was loaded, as far as the settings name one, else all files of the model."""
    model = found.record.model
    if model is None:
        return ""
    path = str(lookup(found.settings, "model.path") or "")
    loaded = [name for name in model.files if path.endswith(f"/{name}")]
    return ", ".join(one_line(f"{name} (sha256 {model.files[name]})") for name in loaded or model.files)


def _weight_types(found: Evidence) -> str:
    """The precision that the harness chose, or its framework says; no file of weights tells mlorch its types."""
    told = lookup(found.settings, "execution.precision") or lookup(found.harness, "backend.precision")
    return _PRECISIONS.get(str(told), one_line(str(told))) if told else ""


def _transformations(found: Evidence) -> str:
    """Of mlorch's harness none; the steps of somebody else's are named where they made something."""
    steps = [step for step in found.record.steps if step.artifact]
    if not found.record.is_external:
        return "none: the file is loaded as it is"
    return ", ".join(one_line(step.name) for step in steps)


def user_conf_text(found: Evidence) -> str:
    """LoadGen's settings of a performance test as a user.conf, what mlperf.conf leaves open among them."""
    record = found.record
    settings = {
        name.removeprefix("loadgen."): one.value for name, one in record.settings.items() if name.startswith("loadgen.")
    }
    effective = found.loadgen.effective if found.loadgen is not None else {}
    for name in ("min_duration_ms", "min_query_count"):
        settings.setdefault(name, effective.get(name))
    settings["performance_samples"] = effective.get("performance_sample_count")
    limit = settings.get("target_latency_ns")
    odd = isinstance(limit, int) and limit % _NS_PER_MS != 0
    if odd:
        settings["target_latency_ns"] = None
    head = "# What LoadGen was told beyond the mlperf.conf that is compiled into it; times in milliseconds.\n"
    lines = f"# target_latency: {limit} ns, no whole number of milliseconds\n" if odd else ""
    return head + user_conf(record.scenario, settings) + lines + _token_lines(found)


def _token_lines(found: Evidence) -> str:
    """Limits of tokens, where LoadGen timed them."""
    result, record = found.loadgen, found.record
    if result is None or not (result.token_latency_ns or found.settings.get("generation")):
        return ""
    lines = [f"*.{result.scenario}.use_token_latencies = 1"]
    for name in ("ttft_latency", "tpot_latency"):
        setting = record.settings.get(f"loadgen.{name}_ns")
        if setting is not None and isinstance(setting.value, int):
            lines.append(f"*.{result.scenario}.{name} = {setting.value / _NS_PER_MS:g}")
    return "".join(f"{line}\n" for line in lines)
