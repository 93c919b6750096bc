"""Rows of MLPerf Inference: the checker's summary (CSV or JSON), the final report's JSON, and CM's experiments. Pure.

The same figures in four forms. What is known to be wrong in one of them is mended here, and `Row.changed` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.results.tables.row import Row
from orchestrator.results.tables.values import POWER_UNITS, accuracies, figure_in, number, text, truth, whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NEEDED = ("Organization", "Division", "SystemType", "Platform", "Model", "Scenario", "Result", "Units", "version")
"""Columns without which a row of the summary says nothing."""
KNOWN = (
    *("Organization", "Availability", "Division", "SystemType", "SystemName", "Platform", "Model", "MlperfModel"),
    *("Scenario", "Result", "Accuracy", "number_of_nodes", "host_processor_model_name", "host_processors_per_node"),
    *("host_processor_core_count", "accelerator_model_name", "accelerators_per_node", "Location", "framework"),
    *("operating_system", "notes", "compliance", "errors", "version", "inferred", "has_power", "Units"),
    *("weight_data_types", "total_accelerators", "design_power_watts", "PrivateID"),
)
"""All columns that a round's checker has written so far."""
REPORT_NAMES = {
    "Submitter": "Organization",
    "Category": "Division",
    "Suite": "SystemType",
    "System": "SystemName",
    "UsedModel": "Model",
    "Model": "MlperfModel",
    "Nodes": "number_of_nodes",
    "Processor": "host_processor_model_name",
    "Accelerator": "accelerator_model_name",
    "a#": "accelerators_per_node",
    "Software": "framework",
    "Notes": "notes",
}
"""What the final report calls the columns of the summary."""
_GROUPS = {"text_to_video": "wan-2.2-t2v-a14b", "vlm": "qwen3-vl-235b-a22b", "agentic edge": "qwen3.6-27b"}
"""What v6.1's table has as MlperfModel of some models, in lower case: a task, and no name of the checker."""
InTokens = Callable[[str, str, str], bool]
"""Whether the rates of a benchmark are tokens a second: round, benchmark, scenario."""


def from_report(entry: Mapping[str, Any], in_tokens: InTokens) -> Row:
    """An entry of `summary_results.json`: performance and power stand side by side."""
    named = {REPORT_NAMES.get(name, name): value for name, value in entry.items()}
    named |= {"Result": entry.get("Performance_Result"), "Units": entry.get("Performance_Units")}
    power, unit = entry.get("Power_Result"), entry.get("Power_Units")
    return _row(named, entry, (power, unit), in_tokens)


def from_summary(entry: Mapping[str, Any], in_tokens: InTokens) -> Row:
    """A row of the checker's summary: power is a row of its own, whose unit tells it."""
    if text(entry.get("Units")).lower() in POWER_UNITS:
        return _row({**entry, "Result": None}, entry, (entry.get("Result"), entry.get("Units")), in_tokens)
    return _row(entry, entry, (None, None), in_tokens)


def from_experiment(entry: Mapping[str, Any], in_tokens: InTokens) -> Row:
    """A row of CM's experiments: power beside the performance, or (v4.0 and later) in a row without a result."""
    power = entry.get("Result_Power")
    unit = entry.get("Result_Power_Units")
    named = dict(entry)
    if text(entry.get("Units")).lower() in POWER_UNITS:
        unit, named["Units"] = entry.get("Units"), None
        if power is None:
            power, named["Result"] = entry.get("Result"), None
    if power is not None and text(unit).lower() not in POWER_UNITS:
        power = None  # an old table: a number of nobody knows what; `published` has it
    return _row(named, entry, (power, unit), in_tokens)


def _row(named: Mapping[str, Any], published: Mapping[str, Any], power: tuple[Any, Any], in_tokens: InTokens) -> Row:
    scenario = scenario_of(text(named.get("Scenario")))
    types = {word.strip() for word in text(named.get("SystemType")).lower().split(",")}
    round_name, model = text(named.get("version")), text(named.get("Model"))
    nodes, each = whole(named.get("number_of_nodes")), whole(named.get("accelerators_per_node"))
    figures = accuracies(named.get("Accuracy"))
    first = next(iter(figures), "")
    row = Row(
        key="",
        suite="inference",
        round=round_name,
        division=text(named.get("Division")).lower(),
        datacenter="datacenter" in types,
        edge="edge" in types,
        availability=text(named.get("Availability")),
        organization=text(named.get("Organization")),
        system=text(named.get("SystemName")),
        platform=text(named.get("Platform")),
        benchmark=benchmark_of(text(named.get("MlperfModel")), model),
        model=model,
        scenario=scenario,
        accuracy=figures.get(first),
        accuracy_metric=first,
        accuracies=figures,
        valid=True,  # a checker took it, or it would not be in the table
        inferred=truth(named.get("inferred")),
        nodes=nodes,
        accelerator=text(named.get("accelerator_model_name")),
        accelerators_per_node=each,
        accelerators=_accelerators(whole(named.get("total_accelerators")), nodes, each),
        processor=text(named.get("host_processor_model_name")),
        processors_per_node=whole(named.get("host_processors_per_node")),
        cores_per_processor=whole(named.get("host_processor_core_count")),
        weight_types=text(named.get("weight_data_types")),
        software=text(named.get("framework")),
        operating_system=text(named.get("operating_system")),
        notes=text(named.get("notes")),
        location=location_of(text(named.get("Location"))),
        published=published,
    )
    row.key = f"{round_name}/{row.division}/{row.organization}/{row.platform}/{model}/{scenario}"
    _set_result(row, named.get("Result"), text(named.get("Units")), in_tokens)
    _set_power(row, power[0], text(power[1]))
    if row.inferred and scenario == "Interactive":  # newer checkers say so as it runs as LoadGen's Server
        row.inferred, row.changed = False, "; ".join(filter(None, (row.changed, "no scenario stands for Interactive")))
    return row


def _accelerators(total: int | None, nodes: int | None, each: int | None) -> int | None:
    if total is not None:
        return total
    return None if nodes is None or each is None else nodes * each


def _set_result(row: Row, value: Any, unit: str, in_tokens: InTokens) -> None:
    found = figure_in(value, unit)
    if found is None:
        return
    row.result, known = found
    row.unit, row.higher_is_better = known.name, known.higher_is_better
    if known.factor != 1:
        row.changed = f"{text(value)} {unit} is in {known.name}"
    if known.name in {"queries/s", "samples/s"} and in_tokens(row.round, row.benchmark, row.scenario):
        row.unit, row.changed = "tokens/s", f"{unit} over a rate of tokens"


def _set_power(row: Row, value: Any, unit: str) -> None:
    figure = number(value)
    if figure is not None and unit.lower() in POWER_UNITS:
        row.power, row.power_unit = figure, POWER_UNITS[unit.lower()]


def scenario_of(word: str) -> str:
    """A scenario as MLPerf spells it, whatever case a folder gave it."""
    return _SCENARIOS.get(word.lower(), word)


_SCENARIOS = {name.lower(): name for name in SCENARIOS}


def benchmark_of(official: str, model: str) -> str:
    """The checker's name of a model; where the table has a task instead, the name of that task's model."""
    if not official:
        return model
    return _GROUPS.get(official.lower(), official)


def location_of(path: str) -> str:
    """A result's folder in its tree: without the run's folder and the tree's own, which newer checkers write too."""
    return _RUN.sub("", path.removeprefix("./"))


_RUN = re.compile(r"/performance(/run_\d+)?/?$")


def missing_columns(names: Collection[str]) -> list[str]:
    """The needed columns of a summary that are not there."""
    return [name for name in NEEDED if name not in names]
