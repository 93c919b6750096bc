"""From a step and what is known around it to the first record of its run; pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING

from orchestrator.facts.compliance import ComparedFact, ComplianceFact
from orchestrator.facts.containers import ContainerOptions
from orchestrator.facts.endpoints import EndpointFact
from orchestrator.facts.neutral import one_line
from orchestrator.facts.power import PowerFact
from orchestrator.facts.record import (
    NOTE,
    AccuracyGoal,
    AssetId,
    ContainerRun,
    ImageId,
    Moment,
    MountFact,
    RateSearch,
    RateTry,
    RecipeId,
    RoleFact,
    RunRecord,
    Setting,
)
from orchestrator.facts.redact import redacted_env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.facts.compliance import PlannedCompliance
    from orchestrator.facts.containers import ContainerSpec, Owner
    from orchestrator.facts.power import PlannedPower
    from orchestrator.facts.runs import AssetRef, RunStep

_MOST_TOLD = 2**18
MOST_TRIES = 100
"""Of a search inside a container: it has seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What all tests of one ``mlorch run`` share; ``command_line`` is redacted already."""

    name: str
    owner: Owner
    mlorch_version: str
    command_line: tuple[str, ...]
    engine: Mapping[str, object] = field(default_factory=dict)
    host: Mapping[str, object] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordContext:
    """What the record says of a benchmark beyond its step: titles, origins, terms, the goal."""

    recipe: RecipeId
    image: ImageId
    model: AssetId | None = None
    dataset: AssetId | None = None
    accuracy_goal: AccuracyGoal | None = None
    other_goals: tuple[AccuracyGoal, ...] = ()
    title: str = ""
    stands_for: str = ""
    official: bool | None = None
    round: str = ""
    note: str = ""
    changed_rules: tuple[str, ...] = ()
    search: RateSearch | None = None


def first_record(step: RunStep, record_context: RecordContext, session: Session, now: Moment) -> RunRecord:
    """The record with status ``running``, as it is written before anything starts."""
    return RunRecord(
        run_id=step.run_id,
        session=session.name,
        status="running",
        benchmark=step.benchmark,
        target=step.target,
        scenario=step.scenario,
        mode=step.mode,
        started=now,
        owner=session.owner,
        mlorch_version=session.mlorch_version,
        command_line=session.command_line,
        image=record_context.image,
        recipe=record_context.recipe,
        container=container_run(step.container, step, session.secrets),
        settings=settings_with_sources(step),
        model=(record_context.model if step.endpoint is None else None) or _asset(step.model),
        dataset=record_context.dataset or _asset(step.dataset),
        accuracy_goal=record_context.accuracy_goal if step.endpoint is None else None,
        other_goals=record_context.other_goals if step.endpoint is None else (),
        engine=session.engine,
        host=session.host,
        benchmark_title=record_context.title,
        stands_for=record_context.stands_for,
        official=record_context.official,
        deviations=step.deviations,
        roles=_planned_roles(step, session.secrets),
        endpoint=None if step.endpoint is None else EndpointFact(url=step.endpoint.url, model=step.endpoint.model),
        note=_note(record_context, step),
        changed_rules=record_context.changed_rules,
        round=record_context.round,
        search=record_context.search,
        compliance=None if step.compliance is None else compliance_fact(step.compliance),
        power=None if step.power is None else power_fact(step.power),
    )


def power_fact(planned: PlannedPower) -> PowerFact:
    """What the record keeps of a measurement with power before it is made."""
    return PowerFact(
        server=planned.server.address,
        ntp=planned.server.ntp_address,
        image=planned.client.image,
        commit=planned.commit,
    )


def compliance_fact(planned: PlannedCompliance) -> ComplianceFact:
    """What the record keeps of a compliance test."""
    return ComplianceFact(
        test=planned.test.name,
        round=planned.test.round,
        commit=planned.commit,
        image=planned.verification.image,
        command=planned.verification.command,
        compared=tuple(ComparedFact(mode=one.mode, run_id=one.run_id, files=one.files) for one in planned.compared),
        files=planned.test.files,
        passes=planned.test.passes,
        fails=planned.test.fails,
    )


def _note(context: RecordContext, step: RunStep) -> str:
    """What every view of a result tells beside it."""
    note = context.note or NOTE
    if step.endpoint is not None:
        note += f"; the system under test is {step.endpoint.url}, which mlorch neither built nor started"
    if not context.changed_rules:
        return note
    return f"{note}; not by its own rules, --set changed: {'; '.join(context.changed_rules)}"


def settings_with_sources(step: RunStep) -> dict[str, Setting]:
    """Each free setting by its dotted name, with its value and source."""
    settings: dict[str, Setting] = {}
    for name, source in step.provenance.items():
        group, _, key = name.partition(".")
        values = step.settings.get(group)
        value = values.get(key) if isinstance(values, dict) else step.settings.get(name)
        settings[name] = Setting(value=value, source=source)
    return settings


def bounded(facts: object) -> Mapping[str, object]:
    """Facts that a harness told, where a record has room for them: one that is too large could not be read again."""
    if not isinstance(facts, dict):
        return {}
    size = len(json.dumps(facts))
    if size > _MOST_TOLD:
        return {"left out": f"{size:,} bytes, and {_MOST_TOLD:,} are the most that is kept"}
    return facts


def with_effective(settings: Mapping[str, Setting], effective: Mapping[str, object]) -> dict[str, Setting]:
    """``settings`` with what the harness measured or chose in their place (``effective`` of harness.json)."""
    merged = dict(settings)
    for key, fact in effective.items():
        if not isinstance(fact, dict) or "value" not in fact:
            continue
        name = next((known for known in merged if known == key or known.partition(".")[2] == key), key)
        source = str(fact.get("source", "calibrated"))
        known_source = merged[name].source if name in merged else ""
        # What the harness left as it was has its source from us; what it changed, from the harness.
        unchanged = name in merged and merged[name].value == fact["value"]
        merged[name] = Setting(value=fact["value"], source=known_source if unchanged else source)
    return merged


def harness_search(harness: Mapping[str, object]) -> RateSearch | None:
    """The search that the harness made before the test (``search`` of harness.json); None where it says none.

    A container wrote it: what is no such document, or too long, is left out.
    """
    told = harness.get("search")
    if not isinstance(told, dict):
        return None
    tries, ended = told.get("tries"), told.get("ended")
    if not isinstance(tries, list) or len(tries) > MOST_TRIES or not isinstance(ended, str):
        return None
    found = [one for one in map(_try, tries) if one is not None]
    best, margin = told.get("best"), told.get("margin")
    if len(found) < len(tries) or not all(number is None or _is_number(number) for number in (best, margin)):
        return None
    return RateSearch(
        by="harness",
        tries=tuple(found),
        best=best and float(best),
        margin=float(margin or 1.0),
        stopped=one_line(ended)[:200],
    )


def _try(told: object) -> RateTry | None:
    if not isinstance(told, dict) or not all(_is_number(told.get(name)) for name in ("rate", "answered")):
        return None
    valid = told.get("in_time") is True and told.get("saturated") is False
    return RateTry(rate=round(float(told["rate"]), 3), answered=round(float(told["answered"]), 3), valid=valid)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def container_run(spec: ContainerSpec, step: RunStep, secrets: tuple[str, ...]) -> ContainerRun:
    """The container as the record keeps it: no host path of an asset, no secret."""
    contents = step.contents
    mounts = tuple(
        MountFact(
            target=mount.target,
            content=contents.get(mount.target, mount.target.strip("/")),
            read_only=mount.read_only,
        )
        for mount in spec.mounts
    )
    given = {each.name: getattr(spec, each.name) for each in fields(ContainerOptions)}
    given["env"] = redacted_env(spec.env, secrets)
    return ContainerRun(**given, mounts=mounts, device_injection=step.device_injection)


def _planned_roles(step: RunStep, secrets: tuple[str, ...]) -> tuple[RoleFact, ...]:
    servers = () if step.roles is None else step.roles.servers
    return tuple(
        RoleFact(
            name=one.name,
            role=one.role,
            image=one.container.image,
            container=container_run(one.container, step, secrets),
        )
        for one in servers
    )


def with_ended_roles(planned: tuple[RoleFact, ...], ended: Sequence[RoleFact]) -> tuple[RoleFact, ...]:
    """The servers of a record with what became of those that were started."""
    by_name = {one.name: one for one in ended}
    return tuple(replace(by_name[one.name], container=one.container) if one.name in by_name else one for one in planned)


def _asset(asset: AssetRef) -> AssetId:
    return AssetId(**asdict(asset))


_MOST_SAID, _LONGEST_SAID = 8, 2000
"""Things that an endpoint says of itself, and characters of each."""


def with_server_facts(endpoint: EndpointFact | None, harness: Mapping[str, object]) -> EndpointFact | None:
    """The endpoint with what its server said of itself, as the client wrote it down: input, so limited and neutral."""
    if endpoint is None:
        return None
    said: dict[str, str] = {}
    backend = harness.get("backend")
    servers = backend.get("servers") if isinstance(backend, dict) else None
    server = servers[0] if isinstance(servers, list) and servers else None
    if isinstance(server, dict):
        pages = server.get("said")
        found = {"server": server.get("server"), "owner": server.get("owner"), "models": server.get("models")}
        found |= pages if isinstance(pages, dict) else {}
        for name, value in list(found.items())[:_MOST_SAID]:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
            if text:
                said[one_line(str(name))[:100]] = one_line(text)[:_LONGEST_SAID]
    return replace(endpoint, said=said)
