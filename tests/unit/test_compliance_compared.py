"""Which result of before a compliance test is compared with: one of the same recipe, by the same rules."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from results_parts import add_run, record_of
from run_parts import a_run_environment, a_workload

from orchestrator.facts.record import AssetId
from orchestrator.operations.run import compared
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import settings_with_sources

CELL = Cell(scenario="Offline", mode="performance")


@pytest.fixture
def world(tmp_path):
    """A run of before, and the run that would make the same test."""
    step = plan_run(a_workload(), a_run_environment(), CELL, "20260101T000000Z-x", Choices())
    store = Store(tmp_path / "results")
    record, folder = add_run(store, "offline")
    record = replace(
        record,
        benchmark=step.benchmark,
        target=step.target,
        image=replace(record.image, reference=step.image),
        model=AssetId(kind="model", name="m", files=step.model.files),
        dataset=AssetId(kind="dataset", name="d", files=step.dataset.files),
        settings=settings_with_sources(step),
    )
    store.finish(record)
    return SimpleNamespace(store=store, record=record, folder=folder, step=step)


def found(world, *, sha256=None, by_hand=None):
    """What the run compares with, whose recipe has a hash and fields changed by `--set`."""
    entry = SimpleNamespace(
        sha256=sha256 or world.record.recipe.sha256,
        variation=None if by_hand is None else SimpleNamespace(by_hand=by_hand),
    )
    planned = SimpleNamespace(benchmark=entry, plan=SimpleNamespace(benchmark=world.step.benchmark))
    run = SimpleNamespace(
        request=SimpleNamespace(results=world.store.root),
        tests=lambda: [(planned, CELL)],
        step=lambda _planned, _cell: world.step,
    )
    return [one.run_id for one in compared.stored_runs(run).values()]


def test_a_result_of_the_same_recipe_is_compared_with(world):
    assert found(world) == [world.record.run_id]


def test_one_of_another_recipe_is_not(world):
    assert found(world, sha256="0" * 64) == []


def test_one_of_other_rules_is_not_though_its_image_and_settings_are_the_same(world):
    assert found(world, by_hand={"generation.limit": ("32", "4")}) == []
    assert found(world, by_hand={"scenarios.Offline.target_qps": ("", "5")}) == [world.record.run_id]


def test_one_whose_logs_changed_is_not(world):
    shutil.copy(world.folder / "harness.json", world.folder / "mlperf_log_detail.txt")
    assert found(world) == []


def test_the_newest_is_taken(world):
    newer = replace(world.record, run_id=record_of("offline", 30).run_id, started=record_of("offline", 30).started)
    folder = world.store.begin(newer)
    for path in world.folder.iterdir():
        if path.name != "run.json":
            shutil.copy(path, folder)
    world.store.finish(newer)
    assert found(world) == [newer.run_id]
