"""`--roles`: from the parts that a run is to have to the choice of each benchmark's recipe that gives it those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.axes import read_axes
from orchestrator.definitions.kinds.servers import CLIENT
from orchestrator.definitions.yaml.nodes import MapNode
from orchestrator.errors import UsageError
from orchestrator.facts.endpoints import FRAMEWORK
from orchestrator.plan.build.frameworks import runs_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.yaml import Document
    from orchestrator.operations.context import Context
    from orchestrator.operations.run.request import RunRequest


def changes_of(context: Context, request: RunRequest, names: Sequence[str], target: str) -> tuple[str, ...]:
    """What ``--set`` says of the benchmarks ``names``, with the choice that gives them the roles of the request.

    Of several choices that do, it is the first one that runs on ``target``. Raises `UsageError` [unknown-roles] where a
    benchmark cannot be run as these, or two need other choices.
    """
    if request.endpoint:
        return (*request.changes, f"frameworks=[{FRAMEWORK}]")
    asked = request.role_names
    if not asked:
        return request.changes
    found = {name: _change(context, request, name, target) for name in names}
    choices = set(found.values())
    if len(choices) > 1:
        raise UsageError(
            f"--roles means another choice for each of {', '.join(names)}",
            hint="run them one after the other",
            slug="unknown-roles",
        )
    return (*request.changes, *(choice for choice in choices if choice))


def _change(context: Context, request: RunRequest, name: str, target: str) -> str:
    """``AXIS=VALUE``; empty where the benchmark has these roles already."""
    asked = request.role_names
    # What is set of its roles can only be looked at when the choice that gives it those is made.
    others = [one for one in request.changes if not one.startswith("roles.")]
    benchmark = context.catalog_for([name], others).benchmark(name).definition
    if _roles_of(benchmark) == asked:
        return ""
    entry = context.catalog.benchmark(name)
    offered = dict(_offers(entry.written or entry.document))
    fitting = [choice for choice, roles in offered.items() if roles == asked]
    for choice in fitting:
        if runs_on(context.catalog_for([name], [*others, choice]), target=target, benchmark=name):
            return choice
    if fitting:
        return fitting[0]  # what is missing is told where the run's images are looked up
    known = dict.fromkeys(_words(roles) for roles in (*offered.values(), _roles_of(benchmark)))
    raise UsageError(
        f"benchmark `{name}` cannot be run as the roles {_words(asked)}",
        hint=f"it can be run as: {'; '.join(known)}",
        slug="unknown-roles",
    )


def _roles_of(benchmark: Benchmark) -> frozenset[str]:
    """The harness alone is a client without servers."""
    return frozenset(benchmark.roles or (CLIENT,))


def _offers(document: Document) -> Iterator[tuple[str, frozenset[str]]]:
    """Every choice of an axis that says which roles there are."""
    if not isinstance(document.root, MapNode):
        return
    for axis, values in read_axes(document, document.root).axes.items():
        for value, overlay in values.values.items():
            roles = overlay.child("roles") if overlay is not None else None
            if isinstance(roles, MapNode):
                yield f"{axis}={value}", frozenset(roles.entries)


def _words(roles: frozenset[str]) -> str:
    """As `--roles` takes them, the client last."""
    return ",".join(sorted(roles, key=lambda role: (role == CLIENT, role)))
