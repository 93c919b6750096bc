"""One result as the store has it: names and units of one form, whatever table it came from. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True, kw_only=True)
class Row:
    """A result. None is a number that nobody gave; a text is as it was published, ``N/A`` too.

    Rates (`result`) are per second and of the whole system; latencies are milliseconds, times to train minutes.
    """

    key: str
    """What it is a result of: ``ROUND/DIVISION/ORGANIZATION/PLATFORM/MODEL/SCENARIO``, or ``run/ID``."""
    suite: str
    """inference, training or tiny of MLPerf; run for one of ours."""
    round: str = ""
    division: str = ""
    datacenter: bool | None = None
    edge: bool | None = None
    """A system may be submitted in both categories."""
    availability: str = ""
    organization: str = ""
    system: str = ""
    platform: str = ""
    """The folder of the system in its tree; of a run its target."""
    benchmark: str = ""
    """The checker's name of the model."""
    model: str = ""
    """The submitter's."""
    scenario: str = ""
    result: float | None = None
    unit: str = ""
    higher_is_better: bool | None = None
    per_accelerator: float | None = None
    """Of a rate; a latency has none."""
    per_watt: float | None = None
    """Results a second for each watt, which are results for each joule."""
    power: float | None = None
    """Of the whole system: watts, or millijoules for each query."""
    power_unit: str = ""
    accuracy: float | None = None
    """The first figure; `accuracies` has all."""
    accuracy_metric: str = ""
    accuracies: Mapping[str, float] = field(default_factory=dict)
    valid: bool | None = None
    inferred: bool | None = None
    """Whether the figure was computed from that of another scenario."""
    nodes: int | None = None
    accelerator: str = ""
    accelerators_per_node: int | None = None
    accelerators: int | None = None
    """Of all nodes."""
    processor: str = ""
    processors_per_node: int | None = None
    cores_per_processor: int | None = None
    weight_types: str = ""
    software: str = ""
    operating_system: str = ""
    notes: str = ""
    started: str = ""
    location: str = ""
    """Its folder in the tree of its round, or its page, or its record."""
    changed: str = ""
    """What is not as it was published, and why."""
    published: Mapping[str, object] = field(default_factory=dict)
    """The row as it was published: all columns, so that nothing is lost. JSON in the store."""
    kind: str = ""
    """The form of the source: report, summary, tree, experiments, training, tiny or runs."""
    source: str = ""
    source_sha256: str = ""
    source_row: int = 0
    """The line of a CSV, the number of an entry of JSON (from 1); 0 of a run."""
    imported: str = ""
    import_number: int = 0
    """Imports are counted: of two that have a result, the later one counts."""


_SQL_TYPES = {
    "str": "VARCHAR",
    "bool | None": "BOOLEAN",
    "float | None": "DOUBLE",
    "int | None": "INTEGER",
    "int": "INTEGER",
    "Mapping[str, float]": "MAP(VARCHAR, DOUBLE)",
    "Mapping[str, object]": "JSON",
}
COLUMNS: Mapping[str, str] = {one.name: _SQL_TYPES[str(one.type)] for one in fields(Row)}
"""The columns of the store with their types of SQL."""
