"""`--set` as it is typed: what is planned, what is shown, and what a mistake is answered with."""

from __future__ import annotations

import json

import pytest
from run_parts import SHA, a_run_environment, a_workload

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root
from orchestrator.definitions.catalog.choose import chosen
from orchestrator.definitions.catalog.judged import FREE, JUDGED_BY, changed_rules, require_rules
from orchestrator.definitions.catalog.load import gather
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.variations import parse_changes
from orchestrator.facts.record import ImageId, Moment, RecipeId
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.host.process import this_process
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.report import render
from orchestrator.results.summary import document, summarise
from orchestrator.runs.record import RecordContext, Session, first_record

RECIPE = """\
kind: benchmark
name: classify
title: An example with a choice
task: image-classification
layer: benchmark
model: resnet8-fashion
dataset: fashion-mnist
harness: loadgen-onnx
frameworks: [onnxruntime, openvino]
performance_samples: 10000
scenarios: {Offline: {}}
input: {name: x, dtype: uint8}
output: {name: logits}
accuracy: {metric: top1, reference: 91.54, factor: 0.99}
axes:
  framework:
    default: any
    values:
      any: {}
      openvino: {set: {frameworks: [openvino]}}
"""


@pytest.fixture
def mlorch(tmp_path, monkeypatch, capsys):
    """Runs a command line over a folder of recipes; gives its exit code and its document."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/classify.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = run([*words, "--recipes", "recipes", "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def layers(document):
    return [layer["name"] for layer in document["layers"]]


def test_a_choice_changes_which_layers_are_planned(mlorch):
    code, plain = mlorch("plan", "-b", "classify", "-t", "openvino")
    assert (code, "openvino" in layers(plain)) == (0, True)
    code, document = mlorch("plan", "-b", "classify", "-t", "cpu", "--set", "framework=openvino")
    assert (code, document["error"]["slug"]) == (2, "unsupported-target")


def test_a_plan_that_is_kept_is_that_of_its_choice(mlorch):
    for framework, code in (("any", 0), ("openvino", 2), ("any", 0)):
        assert mlorch("plan", "-b", "classify", "-t", "cpu", "--set", f"framework={framework}")[0] == code


def test_show_says_of_each_value_what_wrote_it(mlorch):
    code, document = mlorch(
        "recipes", "show", "classify", "--set", "framework=openvino", "--set", "accuracy.factor=0.9"
    )
    assert code == 0
    assert document["chosen"] == {"framework": "openvino"}
    assert document["definition"]["frameworks"] == ["openvino"]
    assert document["sources"]["frameworks.0"].endswith("classify.yaml:20:37 (framework=openvino)")
    assert document["sources"]["accuracy.factor"] == "command line"
    assert document["sources"]["model"].endswith("classify.yaml:6:8")


@pytest.mark.parametrize(
    ("change", "slug", "hint"),
    [
        ("framewrk=openvino", "unknown-set", "did you mean `framework`?"),
        ("framework=openvin", "unknown-choice", "did you mean `openvino`?"),
        ("accuracy.factor=many", "bad-set", ""),
        ("accuracy.bound=0.9", "bad-set", "keys that can still be given: unit"),
        ("dataset=fashion-mnits", "unknown-dataset", "did you mean `fashion-mnist`?"),
        ("batch=8", "unknown-set", ""),
    ],
)
def test_a_mistake_is_answered_with_what_there_is(mlorch, change, slug, hint):
    code, document = mlorch("plan", "-b", "classify", "-t", "cpu", "--set", change)
    assert (document["error"]["slug"], code) == (slug, 3 if slug == "unknown-dataset" else 2)
    assert hint in document["error"]["hint"]


def test_a_change_of_no_benchmark_in_particular_is_refused(mlorch):
    code, document = mlorch("plan", "-t", "cpu", "--set", "framework=openvino")
    assert (code, document["error"]["slug"]) == (2, "bad-set")


# -- what a result is judged by ------------------------------------------------------------

WEAKER = (
    "accuracy.reference=1",
    "accuracy.factor=0.5",
    "accuracy={metric: top1, reference: 1, factor: 0.1}",
    "performance_samples=16",
    "round=v5.0",
    "scenarios.Offline.min_query_count=1",
    "scenarios.Offline.min_duration_ms=1",
    "scenarios={Offline: {target_latency_ns: 1000000000000}}",
    "note=an official result",
    "stands_for=resnet",
)


@pytest.mark.parametrize("change", WEAKER)
def test_an_official_run_is_held_to_its_rules(mlorch, change):
    code, document = mlorch("run", "classify", "-t", "cpu", "--official", "--dry-run", "--set", change)
    assert (code, document["error"]["slug"]) == (2, "official-set")
    assert f"--set changes them: {change.split('=')[0]}" in document["error"]["message"]


@pytest.fixture
def classify(tmp_path):
    def varied(*changes):
        (tmp_path / "classify.yaml").write_text(RECIPE)
        catalog = gather([builtin_root()], [tmp_path / "classify.yaml"]).catalog
        return chosen(catalog, catalog.benchmark("classify"), parse_changes(changes))

    return varied


@pytest.mark.parametrize("change", ["framework=openvino", "scenarios.Offline.target_qps=9", "accuracy.factor=0.99"])
def test_choices_and_tuning_change_no_rules(classify, change):
    assert changed_rules(classify(change)) == ()
    require_rules(classify(change))


def test_a_changed_rule_is_told_with_what_the_recipe_has(classify):
    (text,) = changed_rules(classify("accuracy.reference=1"))
    assert text == "accuracy.reference=1 (91.54 in the recipe)"


def test_every_field_of_a_benchmark_is_judged_by_or_free():
    fields = set(Benchmark.model_fields) - {"kind", "name", "like", "axes", "parts", "conflicts"}
    assert fields == JUDGED_BY | FREE
    assert not JUDGED_BY & FREE


def test_record_listing_and_report_say_that_the_bar_was_changed(classify, tmp_path):
    changed = changed_rules(classify("accuracy.reference=1"))
    context = RecordContext(
        recipe=RecipeId(name="b", origin="builtin", sha256=SHA), image=ImageId(reference="i"), changed_rules=changed
    )
    step = plan_run(a_workload(), a_run_environment(), Cell(scenario="Offline", mode="accuracy"), "id", Choices())
    session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"))
    record = from_json(
        to_json(first_record(step, context, session, Moment(utc="2026-01-01T00:00:00Z", unix_ns=0))), path="run.json"
    )
    summary = summarise(record, tmp_path)
    assert record.changed_rules == changed
    assert "--set changed: accuracy.reference=1 (91.54 in the recipe)" in render([summary])
    assert document(summary)["changed_rules"] == list(changed)
