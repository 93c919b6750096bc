"""How each column of a row comes about. Pure: files are named, lines are looked for afterwards."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.submissions.explain.results import RAN, accuracy, in_log, performance, power
from orchestrator.submissions.explain.values import Column, Derived, Origin
from orchestrator.submissions.facts import Document, Unread
from orchestrator.submissions.places import filled
from orchestrator.submissions.rows import TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.submissions.explain.values import Case
    from orchestrator.submissions.facts import TestFacts


def columns_of(case: Case, *, of_power: bool, whole: bool) -> tuple[Column, ...]:
    """The columns of a row: of the performance, or ``of_power``; of one that is not ``whole`` those in which the
    second row differs from the first."""
    derived = {name: _derived(case, name) for name in case.row if whole or name in _OF_POWER}
    if of_power:
        derived |= {name: how(case) for name, how in _OF_POWER.items() if name in case.row}
    return tuple(Column(name, case.row[name], *each) for name, each in derived.items())


def _derived(case: Case, name: str) -> Derived:
    if name in _COLUMNS:
        return _COLUMNS[name](case)
    if name in case.result.system.fields:
        return _system(name, case)
    return Derived("nothing: no file says it" if not case.row[name] else "as the round's checker writes it")


def _folder(name: str, case: Case) -> Derived:
    """A folder on the way to the result, by what it is called after in the round's layout."""
    parts = case.result.path.split("/")
    depth = case.book.checker.layout.results.split("/").index(f"{{{name}}}")
    return Derived("the folder's name", (Origin("/".join(parts[: depth + 1]), raw=parts[depth]),))


def _model(case: Case) -> Derived:
    result, checker = case.result, case.book.checker
    (folder,) = _folder("model", case).origins
    name = result.model_name
    if name == result.model:
        return Derived("the folder's name, which is the round's", (folder,))
    if checker.aliases.get(name) == result.model:
        return Derived("the round's own name for the folder's", (folder,))
    if case.mapping.get(name) == result.model:
        names = {"division": result.system.division, "submitter": result.system.submitter}
        mapping = Origin(filled(checker.layout.model_mapping, **names), name, json.dumps(result.model))
        return Derived("what the submitter's model_mapping.json says of the folder's name", (folder, mapping))
    return Derived("known by a part of the folder's name", (folder,))


def _scenario(case: Case) -> Derived:
    (folder,) = _folder("scenario", case).origins
    same = folder.raw == case.result.scenario
    return Derived("the folder's name" if same else "the folder's name, in the round's spelling", (folder,))


def _system(key: str, case: Case, how: str = "as it stands") -> Derived:
    """A field of the system's description."""
    system = case.result.system
    if key not in system.fields:
        return Derived(f"the description has no `{key}`", (Origin(system.path),))
    return Derived(how, (Origin(system.path, key, json.dumps(system.fields[key], ensure_ascii=False)),))


def _notes(case: Case) -> Derived:
    origins = (*_system("hw_notes", case).origins, *_system("sw_notes", case).origins)
    return Derived("the notes on hardware, then those on software, with `. ` between them", origins)


def _weights(case: Case) -> Derived:
    facts = case.result.measurements
    if not isinstance(facts.description, Document):
        return Derived(f"the measurements' JSON {facts.description.why}", (Origin(facts.path),))
    key = "weight_data_types"
    value = facts.description.fields.get(key)
    return Derived("as it stands", (Origin(f"{facts.path}/{facts.json_name}", key, json.dumps(value)),))


def _units(case: Case) -> Derived:
    own = case.model.submission.units.get(case.result.scenario)
    if case.row["Units"] == TOKENS and own != TOKENS:
        return Derived("LoadGen counts the figure in tokens; the official table of units forgets it")
    whose = "the round's unit for the scenario"
    if own is not None and own != case.book.checker.units.get(case.result.scenario):
        whose = "the round's unit for the scenario of this model"
    return Derived(whose)


def _inferred(case: Case) -> Derived:
    entries = in_log(case, RAN)
    if case.row["inferred"] == "1":
        return Derived("1: the figure is computed of another scenario, the one that was run", entries)
    return Derived("0: the figure is of the scenario itself", entries)


def _has_power(case: Case) -> Derived:
    folder = f"{case.result.path}/performance/power"
    if case.result.power is None:
        return Derived("there is no folder performance/power")
    return Derived("there is a folder performance/power", (Origin(folder),))


def _compliance(case: Case) -> Derived:
    tests = case.result.tests
    if not tests:
        return Derived("1 in every row; no compliance test is asked of it")
    origins = [origin for test in tests.values() for origin in _verdicts(case, test)]
    return Derived(f"1 in every row; asked are {', '.join(tests)}", tuple(origins))


def _verdicts(case: Case, test: TestFacts) -> Iterator[Origin]:
    """The lines by which a compliance test passed."""
    for name, lines in test.verdicts.items():
        if isinstance(lines, Unread):
            continue
        for texts in case.book.checker.tests[test.name].lines:
            for number, line in enumerate(lines, 1):
                if any(text in line for text in texts):
                    yield Origin(f"{test.path}/{name}", raw=line, line=number)
                    break


def _said(how: str) -> Callable[[Case], Derived]:
    return lambda case: Derived(how, (Origin(case.result.path),))


_COLUMNS: dict[str, Callable[[Case], Derived]] = {
    "Division": partial(_folder, "division"),
    "Organization": partial(_folder, "submitter"),
    "Platform": partial(_folder, "system"),
    "Model": partial(_folder, "model"),
    "MlperfModel": _model,
    "Scenario": _scenario,
    "Location": _said("the folder of the result"),
    "Availability": partial(_system, "status", how="in lower case"),
    "SystemType": partial(_system, "system_type"),
    "SystemName": partial(_system, "system_name"),
    "notes": _notes,
    "Result": performance,
    "Units": _units,
    "Accuracy": accuracy,
    "inferred": _inferred,
    "has_power": _has_power,
    "compliance": _compliance,
    "weight_data_types": _weights,
    "errors": lambda case: Derived(
        "how many results of this model on this system, up to this one in the order of the names, would be refused",
        (Origin(case.result.path.rpartition("/")[0]),),
    ),
    "version": lambda _case: Derived("the round by whose rules it is checked"),
}
_OF_POWER: dict[str, Callable[[Case], Derived]] = {
    "Result": power,
    "Units": lambda _case: Derived("the round's unit of power for the scenario"),
}
"""What is otherwise in the row of the power."""
