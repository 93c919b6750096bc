"""MLPerf's benchmarks as they ship: each lints, plans and gets its arguments, for every choice and target."""

from __future__ import annotations

import functools

import pytest
from run_parts import a_run_environment

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.check import check
from orchestrator.definitions.catalog.load import load_chosen
from orchestrator.definitions.variations import Change
from orchestrator.errors import UsageError
from orchestrator.facts.containers import ContainerSpec, Mount
from orchestrator.facts.runs import DeviceInjection
from orchestrator.operations.run_plan import planned_benchmarks
from orchestrator.plan.build.planner import build_plans
from orchestrator.plan.build.resolve import targets_of
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.external import plan_external
from orchestrator.plan.run.external_values import external_test
from orchestrator.plan.run.settings import Choices, settings_of

CATALOG = load([builtin_root()])
OFFICIAL = tuple(entry.definition for entry in CATALOG.benchmarks() if entry.definition.official)
CONTAINER = ContainerSpec(
    name="mlorch-r1",
    image="localhost/x:1",
    command=(),
    user="1000:1000",
    mounts=(
        Mount(source="/host/results/r1", target="/results", read_only=False),
        Mount(source="/host/artifacts/i/s", target="/artifacts", read_only=False),
    ),
    cpus=(0, 1, 2, 3),
)


def choices_of(benchmark):
    """Each implementation by itself, then with each other value of each other axis; not those that conflict."""
    axes = dict(benchmark.axes)
    implementation = axes.pop("implementation", None)
    for whose in implementation.values if implementation else (None,):
        own = (Change("implementation", whose),) if whose else ()
        yield own
        for name, axis in axes.items():
            for value in axis.values:
                if value != axis.default and possible(benchmark.name, (*own, Change(name, value))):
                    yield (*own, Change(name, value))


@functools.cache
def chosen(name, changes):
    return load_chosen(CATALOG, [name], changes)


def possible(name, changes):
    try:
        chosen(name, changes)
    except UsageError as error:
        if error.slug != "choices-conflict":
            raise
        return False
    else:
        return True


def cells():
    for one in OFFICIAL:
        for changes in choices_of(one):
            catalog = chosen(one.name, changes)
            for target in targets_of(catalog, catalog.benchmark(one.name).definition):
                words = (one.name, target, *(change.value for change in changes))
                yield pytest.param(one.name, target, changes, id="-".join(words))


CELLS = list(cells())
MORE = {"nvidia-tensorrt": (2048,)}
"""Performance samples of a program that loads more of them than its round asks."""


def test_there_is_nothing_wrong_with_what_ships():
    assert check(CATALOG) == ()


def test_the_models_of_the_rounds_are_among_them():
    assert {one.name for one in OFFICIAL} >= {"resnet50", "retinanet", "3d-unet", "bert", "llama2-70b", "llama3.1-8b"}


@pytest.mark.parametrize(("name", "target", "changes"), CELLS)
def test_it_is_a_model_of_its_round_and_asks_what_the_round_asks(name, target, changes):
    benchmark = chosen(name, changes).benchmark(name).definition
    rules = CATALOG.round_rules(benchmark.round).models[benchmark.stands_for]
    least = rules.performance_samples
    assert benchmark.performance_samples in {least or benchmark.performance_samples, *MORE.get(benchmark.harness, ())}
    assert {scenario.partition(" ")[0] for scenario in benchmark.scenarios} & set(rules.all_scenarios)


@pytest.mark.parametrize(("name", "target", "changes"), CELLS)
def test_its_images_are_planned_and_what_is_unlocked_is_marked(name, target, changes):
    (plan,) = build_plans(chosen(name, changes), target=target, benchmarks=[name])
    for step in plan.layers:
        assert ("Unlocked: nobody has made" in step.dockerfile) == bool(step.unpinned)
        assert all(asked in step.dockerfile for asked in step.unpinned)


@pytest.mark.parametrize(("name", "target", "changes"), CELLS)
def test_every_step_of_every_test_gets_its_arguments(name, target, changes):
    catalog = chosen(name, changes)
    plans = build_plans(catalog, target=target, benchmarks=[name])
    (planned,) = planned_benchmarks(catalog, plans)
    workload = planned.workload
    for scenario in workload.benchmark.scenarios:
        for mode in ("performance", "accuracy"):
            run, _ = plan_external(the_test(workload, Cell(scenario=scenario, mode=mode)))
            assert all(word for step in run.steps for word in step.container.command)
            assert bool(run.figures) == (mode == "accuracy")
            goals = {goal.metric for goal in workload.benchmark.accuracy.goals}
            assert mode == "performance" or goals <= {figure.name for figure in run.figures}


def the_test(workload, cell):
    settings, _ = settings_of(workload, cell, "r1", Choices(), CONTAINER.cpus)
    environment = a_run_environment()
    return external_test(workload, environment, cell, "r1", settings, CONTAINER, DeviceInjection())
