"""Rows of MLPerf Training and Tiny, as CM's experiments have them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.results.tables.row import Row
from orchestrator.results.tables.values import figure_in, number, text, whole

if TYPE_CHECKING:
    from collections.abc import Mapping


def from_training(entry: Mapping[str, Any]) -> Row:
    """Minutes until a model reached its quality; fewer are better."""
    metric = text(entry.get("Accuracy_Metric"))
    quality = number(entry.get("Accuracy"))
    benchmark, model = text(entry.get("Benchmark")), text(entry.get("Model_ID"))
    row = Row(
        key="",
        suite="training",
        round=text(entry.get("version")),
        division=text(entry.get("division")).lower(),
        availability=text(entry.get("availability")),
        organization=text(entry.get("submitter")) or text(entry.get("Organization")),
        system=text(entry.get("system")),
        platform=text(entry.get("system")),
        benchmark=benchmark,
        model=model,
        accuracy=quality,
        accuracy_metric=metric,
        accuracies={} if quality is None else {metric: quality},
        valid=True,
        accelerator=text(entry.get("accelerator_model_name")),
        accelerators=whole(entry.get("accelerators_count")),
        processor=text(entry.get("host_processor_model_name")),
        software=text(entry.get("framework")),
        notes=text(entry.get("notes")),
        location=text(entry.get("details_url")),
        published=entry,
    )
    row.key = _key(row, benchmark, model, text(entry.get("Dataset")))
    _set_result(row, entry.get("Result"), text(entry.get("Result_Units")))
    return row


def from_tiny(entry: Mapping[str, Any]) -> Row:
    """Inferences a second on a microcontroller, and microjoules for one."""
    benchmark = text(entry.get("Benchmark"))
    figures = {name: number(entry.get(f"accuracy_{name}")) for name in ("Top-1", "AUC")}
    known = {name: value for name, value in figures.items() if value is not None}
    first = next(iter(known), "")
    energy = number(entry.get("median_energy_cost"))
    row = Row(
        key="",
        suite="tiny",
        round=text(entry.get("version")),
        division=text(entry.get("Division")).lower(),
        availability=text(entry.get("Status")),
        organization=text(entry.get("Organization")),
        system=text(entry.get("Board Name")),
        platform=text(entry.get("__System")) or text(entry.get("Board Name")),
        benchmark=benchmark,
        model=text(entry.get("__Model")),
        accuracy=known.get(first),
        accuracy_metric=first,
        accuracies=known,
        valid=True,
        accelerator=text(entry.get("Accelerator")),
        processor=text(entry.get("Processor(s) Name")),
        software=text(entry.get("Inference Framework")),
        operating_system=text(entry.get("Operating System ")) or text(entry.get("Operating System")),
        location=text(entry.get("git_url")),
        published=entry,
    )
    row.key = _key(row, benchmark, row.model, row.software)
    _set_result(row, entry.get("Result"), text(entry.get("median_throughput_metric")) or "inf./sec.")
    if energy is not None and energy > 0:  # microjoules for an inference
        row.power, row.power_unit, row.per_watt = energy / 1000, "mJ", 1e6 / energy
    return row


def _key(row: Row, *parts: str) -> str:
    return "/".join((f"{row.suite}-{row.round}", row.division, row.organization, row.platform, *parts))


def _set_result(row: Row, value: Any, unit: str) -> None:
    found = figure_in(value, unit)
    if found is not None:
        row.result, (row.unit, _, row.higher_is_better) = found
