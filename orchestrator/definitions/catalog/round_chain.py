"""A round and those that it builds on, and what holds after some of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from orchestrator.definitions.kinds.rounds import ModelFields, Round

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.catalog.entries import AnyEntry, Entry, Key
    from orchestrator.definitions.kinds.rounds import ComplianceTest, LoadGenEntry


class Chain(NamedTuple):
    """A round and those that it builds on, the nearest first; not whole where `since` leads to nothing."""

    entries: tuple[Entry[Round], ...]
    circle: bool = False

    @property
    def whole(self) -> bool:
        """Whether it begins with a round that says everything."""
        return not self.circle and self.entries[-1].definition.since is None

    @property
    def rounds(self) -> tuple[Round, ...]:
        return tuple(entry.definition for entry in self.entries)


def chain_of(by_key: Mapping[Key, AnyEntry], name: str) -> Chain:
    """A round and those before it, as far as they are defined."""
    found: list[Entry[Round]] = []
    at: str | None = name
    while at is not None:
        if at in [entry.definition.name for entry in found]:
            return Chain(tuple(found), circle=True)
        entry = by_key.get(("round", at))
        if entry is None or not isinstance(entry.definition, Round):
            break
        found.append(cast("Entry[Round]", entry))
        at = entry.definition.since
    return Chain(tuple(found))


class State:
    """What holds after some rounds."""

    def __init__(self) -> None:
        self.models: dict[str, ModelFields] = {}
        self.metrics: dict[str, str] = {}
        self.compliance_tests: dict[str, str] = {}
        self.compliance: dict[str, ComplianceTest] = {}
        self.knows: dict[str, LoadGenEntry] = {}


def state_after(oldest_first: Iterable[Round]) -> State:
    """What holds after some rounds. What cannot be meant is left out: `check_rounds` names it."""
    state = State()
    for each in oldest_first:
        state.metrics |= each.metrics
        state.compliance_tests |= each.compliance_tests
        state.compliance |= each.compliance.tests if each.compliance is not None else {}
        state.knows |= each.loadgen.knows
        for name in each.removed:
            state.models.pop(name, None)
        for name, change in each.changed.items():
            if name in state.models:
                state.models[name] = _with(state.models[name], change)
        for name, entry in each.added.items():
            like = state.models.get(entry.like) if entry.like is not None else None
            state.models[name] = _with(like or ModelFields(), entry)
    return state


def _with(model: ModelFields, change: ModelFields) -> ModelFields:
    """A model with the fields that a file gives anew, each whole."""
    given = {name: getattr(change, name) for name in change.model_fields_set if name != "like"}
    return model.model_copy(update=given)
