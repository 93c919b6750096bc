"""What a run request means: its benchmarks and their images, the tests of each, and what the round asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.judged import require_rules
from orchestrator.definitions.catalog.rounds import round_names
from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.run.compliance import require_compliance
from orchestrator.operations.run.power import require_power
from orchestrator.operations.run.roles import changes_of
from orchestrator.operations.suites import benchmarks_of_suite
from orchestrator.plan.build.frameworks import benchmark_in, benchmarks_of, framework_of
from orchestrator.plan.run.cells import Cell, cells_of
from orchestrator.plan.run.compliance import NOTHING, ComplianceDemand

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.facts.rounds import OfficialTest
    from orchestrator.operations.context import Context
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.operations.target_choice import TargetChoice


def selection_of(context: Context, request: RunRequest, chosen: TargetChoice) -> Selection:
    """The images that a run needs: of the benchmarks that are named or of the suite, else of the target's default ones.

    Raises `UsageError` for names that do not exist or do not fit each other, `NothingSelectedError`
    where the target has no default benchmark.
    """
    target = chosen.name
    names = list(dict.fromkeys(request.benchmarks))
    if request.suite:
        names = list(benchmarks_of_suite(context.catalog, request, target).names)
    changes = changes_of(context, request, names, target)
    catalog = context.catalog_for(names, changes)
    for name in names:
        framework_of(catalog, target=target, benchmark=name)
    if not names:
        names = [name for name in benchmarks_of(catalog, target) if catalog.benchmark(name).definition.default]
    if not names:
        raise NothingSelectedError(
            f"no benchmark runs on target `{target}` by default",
            hint="name one: see `mlorch benchmarks list`",
        )
    for name in names:
        what = benchmark_in(catalog, name, request.round).definition
        cells(request, what)
        _require_questions(catalog, request, what)
        _require_official(catalog, request, what)
        require_compliance(catalog, request, what)
        require_power(catalog, request, what)
        if request.official:
            require_rules(catalog.benchmark(name))
    return Selection(
        target=target,
        benchmarks=tuple(names),
        arch=request.arch,
        base_source=request.base_source,
        round=request.round,
        changes=changes,
    )


def _require_questions(catalog: Catalog, request: RunRequest, what: Benchmark) -> None:
    """Whether a server of text can be asked what a benchmark asks. Raises `UsageError`: `endpoint`."""
    if request.endpoint and what.generation is None:
        able = [one.definition.name for one in catalog.benchmarks() if one.definition.generation is not None]
        raise UsageError(
            f"benchmark `{what.name}` asks for no text, so a server of OpenAI's interface cannot answer it",
            hint=f"--dataset: {', '.join(able)}",
            slug="endpoint",
        )


def _require_official(catalog: Catalog, request: RunRequest, what: Benchmark) -> None:
    """Whether --official can be meant. Raises `UsageError`: `unknown-round`, `official-duration`."""
    if not request.official:
        return
    rules = official_test(catalog, what)
    if rules is None:
        raise UsageError(
            f"there is no round `{what.round}`, so nothing says what --official asks of {what.name}",
            hint=f"name one with --round: {', '.join(round_names(catalog)) or 'none is defined'}",
            slug="unknown-round",
        )
    shortest = request.min_duration_ms
    if shortest is not None and shortest < rules.min_duration_ms:
        raise UsageError(
            f"--official needs a duration of at least {rules.min_duration_ms / 1000:g} s, as {rules.round} has it",
            hint="leave --duration out",
            slug="official-duration",
        )


def official_test(catalog: Catalog, what: Benchmark) -> OfficialTest | None:
    if ("round", what.round) not in catalog.by_key:
        return None
    return catalog.round_rules(what.round).official(what.stands_for)


def cells(request: RunRequest, benchmark: Benchmark, demand: ComplianceDemand = NOTHING) -> tuple[Cell, ...]:
    """The tests of one benchmark, accuracy first, the compliance tests of ``demand`` last."""
    return cells_of(
        benchmark.scenarios,
        asked=request.scenarios,
        mode=request.mode,
        every_accuracy=request.official or bool(request.division),  # what a submission has of each scenario
        benchmark=benchmark.name,
        compliance=demand.tests,
    )
