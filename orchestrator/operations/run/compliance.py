"""The compliance tests that a run is asked for: what its round wants, and the image that verifies them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.compliance import ASKING, CLOSED, MODE
from orchestrator.plan.run.cells import asked_scenarios
from orchestrator.plan.run.compliance import NOTHING, compliance_demand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Talk
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.plan.run.compliance import ComplianceDemand


def demand_of(catalog: Catalog, request: RunRequest, what: Benchmark) -> ComplianceDemand:
    """What the round of a benchmark wants of the scenarios that are asked for; nothing where nobody asked."""
    if not request.wants_compliance:
        return NOTHING
    rules = catalog.round_rules(what.round) if ("round", what.round) in catalog.by_key else None
    scenarios = asked_scenarios(what.scenarios, request.scenarios, what.name)
    harness = catalog.harness(what.harness).definition
    return compliance_demand(rules, what, harness, scenarios, request.division or CLOSED)


def require_compliance(catalog: Catalog, request: RunRequest, what: Benchmark) -> None:
    """Whether `--mode compliance` can be meant. Raises `UsageError`: `no-compliance-test`, `compliance-not-possible`.

    A test that cannot be made is refused where nothing else is asked for, as a model without one of its tests cannot
    be submitted; with everything else (`--mode all`) it is told.
    """
    if request.mode != MODE:
        return
    demand = demand_of(catalog, request, what)
    if demand.impossible:
        raise UsageError(
            "; ".join(demand.impossible),
            hint="mlorch makes TEST01, TEST04, TEST05 and TEST06 of benchmarks with its own harness",
            slug="compliance-not-possible",
        )
    if not demand.tests:
        raise UsageError(
            "; ".join(demand.not_asked),
            hint="`mlorch benchmarks list --round NAME` shows which compliance tests a round has; --round names one",
            slug="no-compliance-test",
        )


def say_what_is_left_out(request: RunRequest, planned: Sequence[PlannedBenchmark], talk: Talk) -> None:
    """What of a closed or network submission will not be there, before hours go into the rest of it."""
    for one in planned if request.division in ASKING else ():
        what = one.workload.benchmark
        if what.stands_for and not what.official:
            talk.warn(
                f"{what.name} only stands for {what.stands_for}, so `mlorch submission build --division "
                f"{request.division}` will not take it; the open division does"
            )
    for demand in (one.workload.compliance for one in planned if request.wants_compliance):
        for text in demand.not_asked:
            talk.say(text)
        for text in demand.impossible:
            talk.warn(text)


def with_compliance(
    catalog: Catalog,
    selection: Selection,
    planned: Sequence[PlannedBenchmark],
    image_of: Callable[[Selection], str],
) -> tuple[PlannedBenchmark, ...]:
    """The workloads with the image of MLCommons' scripts and their commit, where compliance tests are made.

    ``image_of`` gives the side image of a selection, built or only planned.
    """

    def found(one: PlannedBenchmark) -> PlannedBenchmark:
        if not one.workload.compliance.tests:
            return one
        layer = catalog.layer(catalog.round_rules(one.workload.benchmark.round).compliance_layer).definition
        image = image_of(selection.beside(layer.name))
        workload = replace(one.workload, compliance_image=image, compliance_commit=layer.git[0].ref)
        return replace(one, workload=workload)

    return tuple(found(one) for one in planned)
