"""Identity and decisions: what changes an id, what is missing, what `--explain` blames."""

from __future__ import annotations

import json

import pytest

from orchestrator.facts.build import BuildPlan, LayerStep
from orchestrator.facts.codec import from_plain, to_plain
from orchestrator.host.signature import signature
from orchestrator.operations.plan_cache import CachedPlans, Selection, cached_plans
from orchestrator.operations.recipe_cache import slot
from orchestrator.plan.build import content
from orchestrator.plan.build.layers import explain, labels, merge_layers, missing_layers


def step(name: str, parent: LayerStep | None = None, **inputs: str) -> LayerStep:
    named = {"dockerfile": name, **inputs, **({"parent": parent.content_id} if parent else {})}
    return LayerStep(
        name=name,
        level="side",
        platform="linux/amd64",
        content_id=content.content_id(named),
        parent=parent.image if parent else None,
        dockerfile=f"FROM {parent.image if parent else 'scratch'}\n",
        inputs=named,
    )


def chain(*names: str, root: LayerStep | None = None) -> BuildPlan:
    steps = [root] if root else []
    for name in names:
        steps.append(step(name, steps[-1] if steps else None))
    return BuildPlan(target="cpu", benchmark=names[-1], platform="linux/amd64", layers=tuple(steps))


def test_the_id_depends_on_every_input_and_on_nothing_else():
    one = content.content_id({"a": "1", "b": "2"})
    assert one == content.content_id({"b": "2", "a": "1"})
    assert len({one, content.content_id({"a": "1"}), content.content_id({"a": "1", "b": "3"})}) == 3
    assert len(one) == 64


def test_names_and_values_cannot_be_shifted_into_each_other():
    assert content.content_id({"a": "b,c"}) != content.content_id({"a": "b", "c": ""})


def test_a_folder_enters_a_context_sorted_without_caches_and_with_only_the_executable_bit(tmp_path):
    (tmp_path / "b.py").write_text("b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.sh").write_text("x")
    (tmp_path / "a" / "x.sh").chmod(0o700)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.pyc").write_text("junk")
    (tmp_path / "b.py").chmod(0o600)
    files = content.context_files(tmp_path, "files/0")
    assert [(f.path, f.mode) for f in files] == [("files/0/a/x.sh", 0o755), ("files/0/b.py", 0o644)]


def test_layers_that_plans_share_are_built_once_and_parents_come_first():
    base = step("base")
    one, two = chain("x", "one", root=base), chain("x", "two", root=base)
    assert [s.name for s in merge_layers([one, two])] == ["base", "x", "one", "two"]


def test_nothing_is_missing_when_the_last_image_is_there_even_if_its_parents_tags_went():
    plan = chain("base", "mid", "top")
    assert missing_layers([plan], {plan.image}) == ()


def test_what_lies_above_the_highest_present_layer_is_missing():
    plan = chain("base", "mid", "top")
    assert [s.name for s in missing_layers([plan], {plan.layers[1].image})] == ["top"]
    assert [s.name for s in missing_layers([plan], set())] == ["base", "mid", "top"]


def test_a_shared_layer_counts_as_missing_when_one_plan_needs_it():
    base = step("base")
    one, two = chain("one", root=base), chain("two", root=base)
    assert [s.name for s in missing_layers([one, two], {one.image})] == ["base", "two"]


def test_explain_names_what_changed_came_and_went():
    changes = explain({"a": "1", "b": "2", "new": "n"}, {"a": "1", "b": "old", "gone": "g"})
    assert [(c.input, c.was, c.now) for c in changes] == [("b", "old", "2"), ("gone", "g", None), ("new", None, "n")]


def test_labels_let_the_next_plan_explain_itself():
    plan = chain("base", "top")
    found = labels(plan.layers[1])
    assert json.loads(found["org.mlorch.inputs"]) == dict(plan.layers[1].inputs)
    assert found["org.mlorch.content-id"] == plan.layers[1].content_id


def test_a_plan_survives_json():
    plan = chain("base", "top")
    assert from_plain(BuildPlan, json.loads(json.dumps(to_plain(plan)))) == plan


class TestKeptPlans:
    @pytest.fixture
    def recipes(self, tmp_path):
        folder = tmp_path / "recipes"
        folder.mkdir()
        (folder / "a.yaml").write_text("kind: layer\n")
        return folder

    def make(self, recipes, calls):
        def make(selection):
            calls.append(selection)
            return CachedPlans(plans=(chain("base", "top"),), roots=(str(recipes),))

        return make

    def test_made_once_while_nothing_changes_and_anew_when_a_file_does(self, tmp_path, recipes):
        calls = []
        for _ in range(2):
            kept = cached_plans(Selection(target="cpu"), self.make(recipes, calls), cache=tmp_path / "cache")
        assert len(calls) == 1
        assert kept.plans == (chain("base", "top"),)
        (recipes / "a.yaml").write_text("kind: target\n")
        cached_plans(Selection(target="cpu"), self.make(recipes, calls), cache=tmp_path / "cache")
        assert len(calls) == 2

    def test_an_edit_while_a_plan_is_made_is_noticed_by_the_next_one(self, tmp_path, recipes):
        calls = []

        def make(selection):
            before = signature([str(recipes)])
            calls.append((recipes / "a.yaml").read_text())
            if len(calls) == 1:
                (recipes / "a.yaml").write_text("kind: target\n")
            return CachedPlans(plans=(chain("base", "top"),), roots=(str(recipes),), signature=before)

        for _ in range(3):
            cached_plans(Selection(target="cpu"), make, cache=tmp_path / "cache")
        assert calls == ["kind: layer\n", "kind: target\n"]

    def test_a_torn_or_foreign_kept_plan_is_made_anew(self, tmp_path, recipes):
        calls = []
        cached_plans(Selection(), self.make(recipes, calls), cache=tmp_path / "cache")
        (kept,) = (tmp_path / "cache" / "plans").iterdir()
        for damage in ("", "{", "[]", '{"roots": []}', kept.read_text()[:100]):
            kept.write_text(damage)
            assert cached_plans(Selection(), self.make(recipes, calls), cache=tmp_path / "cache").plans
        assert len(calls) == 6

    def test_a_cache_that_cannot_be_written_stops_no_plan(self, tmp_path, recipes):
        blocked = tmp_path / "file"
        blocked.write_text("")
        assert cached_plans(Selection(), self.make(recipes, []), cache=blocked).plans


def test_no_password_is_hashed_into_the_name_of_a_file(tmp_path, monkeypatch):
    """Whoever sees the folder could try words until one gives that name."""
    monkeypatch.setenv("MLORCH_KEY_PASSWORD", "one")
    first = slot(tmp_path, "asked").path
    monkeypatch.setenv("MLORCH_KEY_PASSWORD", "another")
    assert slot(tmp_path, "asked").path == first
    monkeypatch.setenv("MLORCH_TARGET", "cpu")
    assert slot(tmp_path, "asked").path != first, "a setting does decide the answer"
