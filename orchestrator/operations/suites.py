"""Which benchmarks a suite is, on a target: those that run, and those that are left out, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.operations.run.compliance import require_compliance
from orchestrator.operations.run.request import known_name
from orchestrator.plan.build.frameworks import benchmark_in, framework_of
from orchestrator.plan.run.cells import cells_of

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.operations.run.request import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A benchmark that a suite does not run, and why."""

    benchmark: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """``names`` in the order in which they run: first those that were named, then the others of the suite."""

    suite: str
    names: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def benchmarks_of_suite(catalog: Catalog, request: RunRequest, target: str) -> Chosen:
    """The benchmarks of the suite that ``request`` asks for, and those that it names besides.

    Who names a benchmark accepts the terms of its data, and has every fault of it told as an error.

    Raises:
        UsageError: `unknown-suite`, with those that there are.
        NothingSelectedError: nothing of the suite runs on the target, with the reasons.
    """
    every = [entry.definition for entry in catalog.benchmarks()]
    known = sorted({suite for each in every for suite in each.suites})
    suite = known_name("suite", request.suite, known)
    names, left_out = list(dict.fromkeys(request.benchmarks)), []
    for each in every:
        if suite not in each.suites or each.name in names:
            continue
        reason = _obstacle(catalog, request, target, each)
        if reason:
            left_out.append(LeftOut(benchmark=each.name, reason=reason))
        else:
            names.append(each.name)
    if not names:
        why = "; ".join(f"{each.benchmark}: {each.reason}" for each in left_out)
        raise NothingSelectedError(f"nothing of the suite `{suite}` runs on target `{target}`", hint=why)
    return Chosen(suite=suite, names=tuple(names), left_out=tuple(left_out))


def _obstacle(catalog: Catalog, request: RunRequest, target: str, what: Benchmark) -> str:
    """Why a benchmark of a suite does not run; empty where it does."""
    try:
        framework_of(catalog, target=target, benchmark=what.name)
        cells_of(what.scenarios, asked=request.scenarios, mode=request.mode, benchmark=what.name)
        require_compliance(catalog, request, benchmark_in(catalog, what.name, request.round).definition)
    except UsageError as error:
        return error.message
    for asset in (catalog.model(what.model).definition, catalog.dataset(what.dataset).definition):
        for source in asset.sources:
            if source.licence.by_name:
                terms = source.licence.note or source.licence.spdx
                return (
                    f"{asset.name} has terms that are yours to accept ({terms}); name it beside the suite if you do: "
                    f"`mlorch run {what.name} --suite {request.suite}`"
                )
    return ""
