"""The rows of a summary by platform, as hints look at them. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.submissions.places import filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.facts.parts import KnownParts
    from orchestrator.submissions.findings import Rulebook

_LONGEST = 300
"""Characters of a field that are looked at: a description may be megabytes, and a pattern is no match for that."""
_OF_THE_SYSTEM = (
    *("number_of_nodes", "host_processor_model_name", "host_processors_per_node", "host_processor_core_count"),
    *("accelerator_model_name", "accelerators_per_node"),
)
_KEY = ("Division", "Organization", "Platform")


class Shown(NamedTuple):
    """A figure of a row."""

    location: str
    model: str
    """The folder's name."""
    mlperf_model: str
    scenario: str
    value: float
    unit: str
    inferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRows:
    """A system and the figures that it shows."""

    path: str
    """Of its description."""
    division: str
    fields: Mapping[str, str]
    """The columns that say something of the system."""
    shown: tuple[Shown, ...]
    parts: KnownParts

    @property
    def names(self) -> tuple[str, ...]:
        """What the system is called: by its folder and by its description."""
        return tuple(dict.fromkeys((self.fields["Platform"], self.fields["SystemName"])))

    def count(self, field: str) -> int | None:
        """A field that is a number above 0; None where it is none."""
        text = self.fields[field].strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 and int(text) else None

    @property
    def accelerators(self) -> int | None:
        """All that the system has; None where its fields do not say it."""
        nodes, each = self.count("number_of_nodes"), self.count("accelerators_per_node")
        return nodes * each if nodes and each else None

    def by_model(self) -> Iterable[Mapping[str, Shown]]:
        """For each model the figures of its scenarios, without those of power."""
        models: dict[str, dict[str, Shown]] = defaultdict(dict)
        for each in self.shown:
            if each.unit not in {"Watts", "millijoules"}:
                models[each.model][each.scenario] = each
        return models.values()


def described(
    description: Mapping[str, Any], division: str, submitter: str, system: str, parts: KnownParts, book: Rulebook
) -> PlatformRows:
    """A system that shows no figure, by its description alone."""
    fields = {name: str(description.get(name)) for name in _OF_THE_SYSTEM}
    fields |= {"SystemName": str(description.get("system_name"))}
    named = {"Division": division, "Organization": submitter, "Platform": system, **fields}
    return _system(named, (), parts, book)


def platforms_of(
    columns: Sequence[str], rows: Iterable[Sequence[str]], parts: KnownParts, book: Rulebook
) -> tuple[PlatformRows, ...]:
    """The systems of a summary, in the order of their first rows."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        named = dict(zip(columns, row, strict=True))
        groups[tuple(named[name] for name in _KEY)].append(named)
    return tuple(_platform(group, parts, book) for group in groups.values())


def _platform(rows: Sequence[Mapping[str, str]], parts: KnownParts, book: Rulebook) -> PlatformRows:
    return _system(rows[0], tuple(_shown(row) for row in rows), parts, book)


def _system(fields: Mapping[str, str], shown: tuple[Shown, ...], parts: KnownParts, book: Rulebook) -> PlatformRows:
    names = {"division": fields["Division"], "submitter": fields["Organization"], "system": fields["Platform"]}
    return PlatformRows(
        path=filled(book.checker.layout.system, **names),
        division=fields["Division"],
        fields={name: text[:_LONGEST] for name, text in fields.items()},
        shown=shown,
        parts=parts,
    )


def _shown(row: Mapping[str, str]) -> Shown:
    return Shown(
        row["Location"],
        row["Model"],
        row["MlperfModel"],
        row["Scenario"],
        float(row["Result"]),
        row["Units"],
        row["inferred"] == "1",
    )
