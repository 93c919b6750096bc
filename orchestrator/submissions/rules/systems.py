"""Rules of a system's description. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.facts import Document, SystemFacts, Unread
from orchestrator.submissions.findings import Rule, Said
from orchestrator.submissions.places import category_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.findings import Rulebook

_RESULTS = "submission_checker.py: check_results_dir"
_FIELDS = "submission_checker.py: check_system_desc_id"
_NETWORK = "submission_checker.py: is_system_over_network"
_EXPECTED = {"network": True, "closed": False}


def _described(system: SystemFacts, _book: Rulebook) -> Iterator[Said]:
    if isinstance(system.description, Unread):
        yield Said(system.path, system.description.why)


def _doubt(system: SystemFacts, _book: Rulebook) -> Iterator[Said]:
    if isinstance(system.description, Document) and system.description.doubt:
        yield Said(system.path, f"may be read in two ways: {system.description.doubt}")


def _status(system: SystemFacts, book: Rulebook) -> Iterator[Said]:
    if isinstance(system.description, Unread):
        return
    status = system.description.text("status")
    if status.lower() not in book.checker.statuses:
        yield Said(system.path, f"`status` is `{status}`; it is one of {', '.join(book.checker.statuses)}")


def _type(system: SystemFacts, book: Rulebook) -> Iterator[Said]:
    if isinstance(system.description, Unread):
        return
    kind = system.description.text("system_type")
    if kind not in book.checker.system_types or not category_of(kind):
        yield Said(system.path, f"`system_type` is `{kind}`; it is one of {', '.join(book.checker.system_types)}")


def _required(system: SystemFacts, book: Rulebook) -> tuple[str, ...]:
    fields = book.checker.fields
    return (*fields.system, *(fields.system_network if system.over_network else ()))


def _fields(system: SystemFacts, book: Rulebook) -> Iterator[Said]:
    if isinstance(system.description, Document):
        for name in _required(system, book):
            if name not in system.fields:
                yield Said(system.path, f"has no `{name}`")


def _filled(system: SystemFacts, book: Rulebook) -> Iterator[Said]:
    filled = book.checker.fields.system_filled
    for name in _required(system, book):
        if name in filled and name in system.fields and not system.fields[name]:
            hint = 'Write "0": the official checker takes the number 0 for empty.' if system.fields[name] == 0 else ""
            yield Said(system.path, f"`{name}` is empty, and has to say something", hint)


def _submitter(system: SystemFacts, _book: Rulebook) -> Iterator[Said]:
    if not isinstance(system.description, Document):
        return
    told = system.description.text("submitter")
    if told.lower() != system.submitter.lower():
        yield Said(system.path, f"`submitter` is `{told}`, and the folder is {system.submitter}'s")


def _division(system: SystemFacts, _book: Rulebook) -> Iterator[Said]:
    if isinstance(system.description, Document) and system.fields.get("division") != system.division:
        told = system.description.text("division")
        yield Said(system.path, f"`division` is `{told}`, and the folder is in {system.division}")


def _network(system: SystemFacts, _book: Rulebook) -> Iterator[Said]:
    expected = _EXPECTED.get(system.division)
    if isinstance(system.description, Document) and expected is not None and expected is not system.over_network:
        told = "is reached over a network" if system.over_network else "is not reached over a network"
        yield Said(system.path, f"the system {told} by `is_network`, which is not for the division {system.division}")


SYSTEM_RULES: tuple[Rule[SystemFacts], ...] = (
    Rule("system-json", "Every system with results is described.", _RESULTS,
         "Write systems/SYSTEM.json, named as the folder of its results.", _described, official="refuse"),
    Rule("json-doubt", "JSON says everything once.", "RFC 8259, section 4", "Keep one of them.", _doubt,
         level="warning", official="skip"),
    Rule("system-status", "The system's status is one of the round's.", _RESULTS, "Correct `status`.", _status,
         official="refuse"),
    Rule("system-type", "The system's type is one of the round's.", _RESULTS, "Correct `system_type`.", _type,
         official="refuse"),
    Rule("system-fields", "The description has every field.", _FIELDS, "Add the field.", _fields,
         official="refuse"),
    Rule("system-filled", "Fields that mean something say something.", _FIELDS, "Fill it in (`N/A` counts).",
         _filled),
    Rule("system-submitter", "The description names the submitter whose folder it is in.", _FIELDS,
         "Correct `submitter`.", _submitter, official="refuse"),
    Rule("system-division", "The description names the division that it is in.", _FIELDS, "Correct `division`.",
         _division, official="refuse"),
    Rule("network-mode", "Only the network and open divisions have systems over a network.", _NETWORK,
         "Correct `is_network`, or submit in the other division.", _network, official="refuse"),
)  # fmt: skip
