"""`--set` as it is typed: what is planned, what is shown, and what a mistake is answered with."""

from __future__ import annotations

import json

import pytest

from orchestrator.cli import run

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
