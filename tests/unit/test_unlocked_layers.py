"""A layer that says that nobody has made its lock is planned and rendered with a mark, and never built."""

from __future__ import annotations

import json

import pytest
from sample_recipes import FILES, layer, write

from orchestrator.definitions.catalog import Root, load
from orchestrator.definitions.catalog.check import check
from orchestrator.errors import DefinitionError
from orchestrator.images.decide import decide
from orchestrator.operations.build import require_locked
from orchestrator.plan.build.layers import merge_layers, rendered
from orchestrator.plan.build.planner import build_plans

ENGINE = FILES["recipes/layers/engine.yaml"]
REASON = "unlocked: the index that has it cannot be reached from here\n"


@pytest.fixture
def catalog(tmp_path):
    """The sample recipes; ``more`` is added to the framework's layer, which has a lock only if ``locked``."""

    def made(more=REASON, *, locked=False):
        changes = {"recipes/layers/engine.yaml": ENGINE + more}
        if not locked:
            changes["images/engine.lock.yaml"] = None
        return load([Root(path=write(tmp_path, changes=changes), origin="path:x")])

    return made


def test_it_lints_and_plans(catalog):
    found = catalog()
    assert check(found) == ()
    (plan,) = build_plans(found, target="chip")
    step = next(step for step in plan.layers if step.name == "engine")
    assert step.unpinned == ("Some_Engine[extra]==1.20",)
    assert [other.name for other in plan.layers if other.unpinned] == ["engine"]


def test_the_plan_says_that_a_build_will_refuse_it(catalog):
    plans = build_plans(catalog(), target="chip")
    reasons = {one.step.name: one.reason for one in decide(plans, {}, {})}
    assert reasons["engine"] == "unlocked: nothing pins what it asks for yet; `mlorch images lock engine`"


def test_a_build_refuses_it_and_says_what_to_do(catalog):
    with pytest.raises(DefinitionError) as caught:
        require_locked(build_plans(catalog(), target="chip"))
    (problem,) = caught.value.problems()
    assert problem.slug == "layer-unlocked"
    assert "Some_Engine[extra]==1.20" in problem.message
    assert "mlorch images lock engine" in problem.hint


def test_another_version_is_another_image_although_nothing_is_pinned(catalog, tmp_path):
    (was,) = build_plans(catalog(), target="chip")
    changes = {"recipes/layers/engine.yaml": (ENGINE + REASON).replace("1.20", "1.21"), "images/engine.lock.yaml": None}
    other = load([Root(path=write(tmp_path / "other", changes=changes), origin="path:y")])
    (now,) = build_plans(other, target="chip")
    assert was.layers[2].content_id != now.layers[2].content_id


def test_without_the_reason_a_missing_lock_is_a_fault(catalog):
    (problem,) = (each for each in check(catalog("")) if each.slug == "lock-missing")
    assert "engine.lock.yaml" in problem.message


def test_a_reason_beside_a_lock_is_a_fault(catalog):
    (problem,) = check(catalog(locked=True))
    assert problem.slug == "lock-stale"
    assert "take `unlocked` out" in problem.hint


def with_two_benchmarks(folder, *, second):
    """`classify` over the framework of the sample, and `other` over one of which nobody has made the lock."""
    motor = ENGINE.replace("name: engine", "name: motor") + REASON
    target = FILES["recipes/targets/chip.yaml"].replace("{engine: engine}", "{engine: engine, motor: motor}")
    harness = FILES["recipes/harnesses/drive.yaml"].replace("{engine: engine}", "{engine: engine, motor: motor}")
    benchmark = FILES["recipes/benchmarks/classify.yaml"].replace("name: classify", "name: other")
    changes = {
        "recipes/layers/engine.yaml": layer("engine", "framework"),
        "recipes/layers/motor.yaml": motor,
        "recipes/targets/chip.yaml": target,
        "recipes/harnesses/drive.yaml": harness,
        "recipes/benchmarks/other.yaml": benchmark.replace("[engine]", f"[{second}]"),
    }
    return load([Root(path=write(folder, changes=changes), origin="path:x")])


def test_all_benchmarks_of_a_target_are_those_that_can_be_built(tmp_path):
    catalog = with_two_benchmarks(tmp_path, second="motor")
    assert [plan.benchmark for plan in build_plans(catalog, target="chip")] == ["classify"]
    (named,) = build_plans(catalog, target="chip", benchmarks=["other"])
    assert [step.name for step in named.layers if step.unpinned] == ["motor"]


def test_layers_of_one_name_over_two_frameworks_are_rendered_apart(tmp_path):
    catalog = with_two_benchmarks(tmp_path, second="motor")
    steps = merge_layers(build_plans(catalog, target="chip", benchmarks=["classify", "other"]))
    loads = [step for step in steps if step.name == "loads"]
    assert len(loads) == 2
    files = rendered("chip", steps)
    assert json.loads(files["chip/loads/layer.json"])["content_id"] == loads[0].content_id
    apart = f"chip/loads-{loads[1].content_id[:12]}/layer.json"
    assert json.loads(files[apart])["content_id"] == loads[1].content_id
