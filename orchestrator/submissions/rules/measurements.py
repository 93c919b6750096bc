"""Rules of the measurements' folder. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.facts import Document, ResultFacts, Unread
from orchestrator.submissions.findings import Rule, Said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.findings import Rulebook

_SOURCE = "submission_checker.py: check_measurement_dir"


def _files(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    facts = result.measurements
    if facts.sizes is None:
        yield Said(facts.path, "the folder is missing")
        return
    for name in book.checker.files.measurements:
        if name not in facts.sizes:
            yield Said(facts.path, f"has no {name}")


def _description(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    facts = result.measurements
    if facts.sizes is None:
        return
    if not facts.json_name:
        yield Said(facts.path, f"has no {result.system.name}*.json")
    elif isinstance(facts.description, Unread):
        yield Said(f"{facts.path}/{facts.json_name}", facts.description.why)


def _fields(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    facts = result.measurements
    if isinstance(facts.description, Document):
        for name in book.checker.fields.measurements:
            if name not in facts.description.fields:
                yield Said(f"{facts.path}/{facts.json_name}", f"has no `{name}`")


def _filled(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    facts = result.measurements
    sizes = facts.sizes or {}
    for name in book.checker.files.measurements:
        if sizes.get(name) == 0:
            yield Said(f"{facts.path}/{name}", "is empty")
    if isinstance(facts.description, Document):
        for name in book.checker.fields.measurements:
            if name in facts.description.fields and not facts.description.fields[name]:
                yield Said(f"{facts.path}/{facts.json_name}", f"`{name}` is empty, and has to say something")


def _code(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    facts = result.measurements
    if facts.json_name and not facts.code_there:
        yield Said(facts.path, f"the code that made the result is not in {facts.code}")


def _power(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    facts = result.measurements
    if result.power is None or facts.sizes is None:
        return
    sizes = {**facts.above, **facts.sizes}
    for start in book.checker.files.power_settings:
        named = [name for name in sizes if name.startswith(start)]
        if not named:
            yield Said(facts.path, f"neither it nor a folder above has a {start}.*")
        elif not any(sizes[name] for name in named):
            yield Said(facts.path, f"{named[0]} is empty")


MEASUREMENT_RULES: tuple[Rule[ResultFacts], ...] = (
    Rule("measurements", "The measurements have every file.", _SOURCE, "Add what is missing.",
         _files),
    Rule("measurements-json", "The measurements describe the implementation.", _SOURCE,
         "Write SYSTEM_IMPLEMENTATION_SCENARIO.json.", _description, within="measurements"),
    Rule("measurements-fields", "That description has every field.", _SOURCE, "Add the field.", _fields,
         within="measurements"),
    Rule("measurements-filled", "Its files and fields say something.", _SOURCE, "Fill it in.", _filled),
    Rule("code", "The code is there.", _SOURCE, "Add the code, or a README that says where it is.", _code,
         within="measurements"),
    Rule("power-settings", "A test with power says how it was set up.", _SOURCE,
         "Write analyzer_table.md and power_settings.md.", _power),
)  # fmt: skip
