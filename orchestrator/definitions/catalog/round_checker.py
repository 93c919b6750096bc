"""The frozen rules of a round's checker, made of what the round and those before it say of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.facts.checker_rules import (
    CheckerRules,
    ComplianceFiles,
    Endpoints,
    EqualIssue,
    Fields,
    Files,
    Inferred,
    Layout,
    Limits,
    PowerSession,
    Program,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.definitions.kinds.checker import Checker
    from orchestrator.definitions.kinds.rounds import Round

PARTS: dict[str, Callable[..., Any]] = {
    "program": Program,
    "layout": Layout,
    "files": Files,
    "limits": Limits,
    "fields": Fields,
    "endpoints": Endpoints,
    "equal_issue": EqualIssue,
    "power_session": PowerSession,
}
"""Fields that have fields."""


def checker_rules(newest_first: Iterable[Round]) -> CheckerRules:
    """What holds after some rounds; empty where none says anything."""
    said: dict[str, Any] = {}
    for each in reversed(tuple(newest_first)):
        if each.checker is not None:
            said = _with(said, each.checker)
    found = {name: PARTS[name](**value) if name in PARTS else value for name, value in said.items()}
    found["tests"] = {name: ComplianceFiles(**value) for name, value in said.get("tests", {}).items()}
    found["inferred"] = tuple(Inferred(**value) for value in said.get("inferred", ()))
    return CheckerRules(**found)


def _with(said: dict[str, Any], more: Checker) -> dict[str, Any]:
    """What was said, with what a later file gives anew: single fields and entries, whole lists."""
    found = dict(said)
    for name, value in more.model_dump(exclude_none=True).items():
        before = found.get(name)
        found[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return found
