"""MLPerf's benchmarks as they ship: each lints, plans and gets its arguments, for every choice and target."""

from __future__ import annotations

import functools
import os
from dataclasses import replace

import pytest
from run_parts import a_run_environment

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.check import check
from orchestrator.definitions.catalog.load import load_chosen
from orchestrator.definitions.variations import Change
from orchestrator.errors import UsageError
from orchestrator.facts.containers import ContainerSpec, Mount
from orchestrator.facts.runs import DeviceInjection
from orchestrator.operations.run.benchmarks import planned_benchmarks
from orchestrator.plan.build.frameworks import targets_of
from orchestrator.plan.build.planner import build_plans
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.external.plan import plan_external
from orchestrator.plan.run.external.values import external_test
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
    assert {one.name for one in OFFICIAL} >= {"gptj", "mixtral-8x7b", "whisper", "pointpainting", "dlrm-v3"}


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


def the_test(workload, cell, container=CONTAINER):
    settings, _ = settings_of(workload, cell, "r1", Choices(), container.cpus)
    environment = a_run_environment()
    return external_test(workload, environment, cell, "r1", settings, container, DeviceInjection())


def the_run(name, target, scenario="Offline", container=CONTAINER):
    """The plan of an accuracy test, which has every step, and the workload that it is of."""
    plans = build_plans(CATALOG, target=target, benchmarks=[name])
    (planned,) = planned_benchmarks(CATALOG, plans)
    run, _ = plan_external(the_test(planned.workload, Cell(scenario=scenario, mode="accuracy"), container))
    return planned.workload, run


def test_gptj_finds_its_tokeniser_by_its_name_without_a_network():
    workload, run = the_run("gptj", "cpu")
    (source,) = (source for source in workload.model.sources if source.kind == "huggingface")
    cache = f"/models/{workload.model.name}/hub"
    assert source.folder == f"hub/models--EleutherAI--gpt-j-6B/snapshots/{source.revision}"
    for step in run.steps:
        assert step.container.network == "none"
        assert step.container.env["HF_HUB_CACHE"] == step.container.env["HUGGINGFACE_HUB_CACHE"] == cache
        assert step.container.env["HF_HUB_OFFLINE"] == "1"


def test_dlrm_v3_gets_a_login_name_where_there_is_no_terminal(monkeypatch):
    _, run = the_run("dlrm-v3", "cuda")
    (text,) = (file.text for file in run.files if file.name == "sitecustomize.py")
    monkeypatch.setattr(os, "getlogin", lambda: pytest.fail("there is no terminal"))
    exec(text, {})
    assert os.getlogin()
    assert run.steps[0].container.env["PYTHONPATH"] == "/config"


def test_whisper_binds_itself_to_processors_that_it_may_use():
    _, run = the_run("whisper", "cuda", container=replace(CONTAINER, cpus=(8, 9, 10, 11)))
    env = run.steps[0].container.env
    assert (env["START_CORES"], env["CORES_PER_INST"]) == ("8", "4")
