"""Whether a result of before is one that a compliance test may be compared with. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.record import RunRecord, Setting
    from orchestrator.facts.runs import RunStep

COMPARED_FILES = {
    "accuracy": ("mlperf_log_accuracy.json",),
    "performance": ("mlperf_log_detail.txt", "mlperf_log_summary.txt"),
}
"""Of a test, by its mode, the logs that MLCommons' scripts read."""
_PROCESSORS = "execution.cpus"


def is_same_test(record: RunRecord, step: RunStep) -> bool:
    """Whether the run of a record is what ``step`` would run again: the same image, model, data and settings.

    A setting that the harness measures before its test may have any value. Of an accuracy only what the model runs
    with counts: it is over all samples, however long a performance test is.
    """
    if (record.benchmark, record.target, record.scenario, record.mode) != (
        step.benchmark,
        step.target,
        step.scenario,
        step.mode,
    ):
        return False
    if record.image.reference != step.image or record.endpoint is not None:
        return False
    if record.model is None or dict(record.model.files) != dict(step.model.files):
        return False
    if record.dataset is None or dict(record.dataset.files) != dict(step.dataset.files):
        return False
    return all(
        _agrees(name, _planned(step, name), record.settings.get(name))
        for name in step.provenance
        if step.mode == "performance" or name.startswith("execution.")
    )


def _planned(step: RunStep, name: str) -> object:
    group, _, key = name.partition(".")
    values = step.settings.get(group)
    return values.get(key) if isinstance(values, dict) else None


def _agrees(name: str, planned: object, ran: Setting | None) -> bool:
    if planned is None:
        return True
    if ran is None:
        return False
    if name == _PROCESSORS:  # which ones may differ from run to run, what they reach does not
        return isinstance(planned, list) and isinstance(ran.value, list | tuple) and len(planned) == len(ran.value)
    if name == "loadgen.min_query_count":  # the harness raises it where early stopping needs more
        return isinstance(ran.value, int) and isinstance(planned, int) and ran.value >= planned
    return ran.value == planned


def compared_files(record: RunRecord) -> Mapping[str, str]:
    """The sha256 of each log of a test that a script is given, empty where none was recorded."""
    known = record.files
    return {name: known[name].sha256 if name in known else "" for name in COMPARED_FILES[record.mode]}


def settings_that_ran(record: RunRecord) -> Mapping[str, object]:
    """The settings of a test by the names of settings.json, with what the harness measured."""
    return {
        name.partition(".")[2]: setting.value
        for name, setting in record.settings.items()
        if name.startswith(("loadgen.", "execution.")) and name != _PROCESSORS
    }
