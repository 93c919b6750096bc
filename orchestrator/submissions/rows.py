"""The rows of a round's summary: the columns and values of the round's official checker. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.submissions.detail_log import DetailLog
from orchestrator.submissions.facts import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.facts.rounds import ModelRules
    from orchestrator.submissions.facts import ResultFacts
    from orchestrator.submissions.findings import Rulebook

TOKENS = "Tokens/s"
_QUOTED = frozenset((
    *("SystemType", "SystemName", "host_processor_model_name", "accelerator_model_name", "accelerators_per_node"),
    *("framework", "operating_system", "notes", "weight_data_types"),
))  # fmt: skip
"""The columns that the official checker puts into quotes, whatever is in them."""


class Shown(NamedTuple):
    """What a good result shows."""

    value: float
    inferred: bool
    accuracy: str
    power: float | None
    errors: int
    """Of the results of the same model on the same system that were looked at before."""


def rows_of(result: ResultFacts, model: ModelRules, shown: Shown, book: Rulebook) -> list[tuple[str, ...]]:
    """The rows of a result: its performance, then its power where that was measured."""
    fields = result.system.fields
    values = _values(result, shown, book)
    if book.as_official and book.checker.summary_form == "package":
        values |= _as_the_package(result, nameplate=bool(book.checker.layout.nameplate_power))
    power_alone = shown.power is not None and _truth(fields.get("system_power_only"))
    rows = []
    if not power_alone:
        values |= {"Result": str(shown.value), "Units": _unit(result, model, book)}
        rows.append(_row(values, book))
    if shown.power is not None:
        values |= {"Result": str(shown.power), "Units": book.checker.power_units.get(result.scenario, "")}
        rows.append(_row(values, book))
    return rows


def _values(result: ResultFacts, shown: Shown, book: Rulebook) -> dict[str, str]:
    fields, system = result.system.fields, result.system
    description = result.measurements.description
    types = description.fields.get("weight_data_types") if isinstance(description, Document) else None
    return {
        "Organization": system.submitter,
        "Availability": str(fields.get("status")).lower(),
        "Division": system.division,
        "SystemType": str(fields.get("system_type")),
        "SystemName": str(fields.get("system_name")),
        "Platform": system.name,
        "Model": result.model_name,
        "MlperfModel": result.model,
        "Scenario": result.scenario,
        "Accuracy": shown.accuracy,
        **{name: str(fields.get(name)) for name in _OF_THE_SYSTEM},
        "Location": result.path,
        "framework": str(fields.get("framework", "")),
        "operating_system": str(fields.get("operating_system", "")),
        "notes": _notes(fields.get("hw_notes", ""), fields.get("sw_notes")),
        "compliance": "1",
        "errors": str(shown.errors),
        "version": book.round.name,
        "inferred": str(int(shown.inferred)),
        "has_power": str(shown.power is not None),
        "weight_data_types": str(types).replace('"', "'"),
        "total_accelerators": _product(fields.get("number_of_nodes"), fields.get("accelerators_per_node")),
    }


def _as_the_package(result: ResultFacts, *, nameplate: bool) -> dict[str, str]:
    """The values that the package has otherwise, most of them without meaning to; ``nameplate``: it asks for power."""
    run, fields = result.run, result.system.fields
    log = run.log if isinstance(run.log, DetailLog) else None
    types = result.measurements.description
    return {
        "Availability": str(fields.get("status")),
        "Scenario": result.folder,
        "Location": run.path,
        "compliance": result.system.division,
        "errors": "0",
        "inferred": str(int(log is None or log.values.get("effective_scenario") != result.folder)),
        "weight_data_types": str(types.fields.get("weight_data_types")) if isinstance(types, Document) else "",
        "design_power_watts": (str(fields.get("system_power_capacity") if result.power else None) if nameplate else ""),
    }


def _product(nodes: Any, accelerators: Any) -> str:
    """All accelerators of a system; empty where the numbers are none."""
    try:
        return str(int(nodes) * int(accelerators))
    except (TypeError, ValueError):
        return ""


_OF_THE_SYSTEM = (
    *("number_of_nodes", "host_processor_model_name", "host_processors_per_node", "host_processor_core_count"),
    *("accelerator_model_name", "accelerators_per_node"),
)


def _notes(hardware: Any, software: Any) -> str:
    first = str(hardware) if hardware else ""
    if not software:
        return first
    return f"{first}. {software}" if first else str(software)


def _truth(value: Any) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _unit(result: ResultFacts, model: ModelRules, book: Rulebook) -> str:
    """What the figure is in. The official table forgets some that are counted in tokens."""
    submission = model.submission
    unit = submission.units.get(result.scenario, "")
    if book.as_official and book.checker.units_by == "folder" and result.model_name not in book.round.models:
        unit = book.checker.units.get(result.scenario, "")
    return TOKENS if submission.in_tokens(result.scenario) and not book.as_official else unit


def _row(values: dict[str, str], book: Rulebook) -> tuple[str, ...]:
    return tuple(values.get(column, "") for column in book.checker.columns)


def summary_text(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, as_official: str = "") -> str:
    """The summary as CSV.

    ``as_official`` is the form of the round's official checker (`CheckerRules.summary_form`), which quotes some
    columns always, or all of them, and never a quote within.
    """
    if as_official:
        quoted = _QUOTED if as_official == "script" else frozenset(columns)
        lines = [",".join(columns)]
        for row in rows:
            named = zip(columns, row, strict=True)
            lines.append(",".join(f'"{value}"' if column in quoted else value for column, value in named))
        return "\n".join(lines) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
