"""Axes of a recipe, parts where choices meet, conflicts, and --set: one tree that knows where each value is from."""

from __future__ import annotations

import pytest

from orchestrator.definitions.variations import parse_changes, vary
from orchestrator.definitions.yaml import read_document
from orchestrator.errors import DefinitionError, UsageError

RECIPE = """\
kind: benchmark
name: classify
harness: theirs
frameworks: [onnxruntime]
accuracy: {metric: top1, reference: 76.46}
axes:
  implementation:
    default: reference
    values:
      reference: {}
      vendor:
        set:
          harness: vendor-harness
          frameworks: [tensorrt]
  precision:
    default: fp32
    values:
      fp32: {}
      int8:
        set: {accuracy: {reference: 76.0}, model: quantised}
      fp8:
        set: {accuracy: ~}
parts:
  - when: {implementation: vendor, precision: [int8, fp8]}
    set: {layer: vendor-low}
conflicts:
  - when: {implementation: reference, precision: fp8}
    because: its runtime has no such numbers
"""


def varied(*texts, parameters=None, recipe=RECIPE):
    document = read_document("r.yaml", recipe)
    return vary(document, parse_changes(texts, document), parameters=parameters)


def plain(*texts, **more):
    found = varied(*texts, **more).document.root.plain()
    return {key: value for key, value in found.items() if key not in {"axes", "parts", "conflicts"}}


def test_without_a_choice_the_defaults_hold():
    assert varied().chosen == {"implementation": "reference", "precision": "fp32"}
    assert plain()["harness"] == "theirs"


def test_a_choice_lays_its_tree_over_the_recipe_and_leaves_the_rest():
    found = plain("implementation=vendor", "precision=int8")
    assert (found["harness"], found["frameworks"], found["model"]) == ("vendor-harness", ["tensorrt"], "quantised")
    assert found["accuracy"] == {"metric": "top1", "reference": "76.0"}
    assert found["layer"] == "vendor-low", "a part applies where both choices meet"


def test_a_null_takes_a_key_away():
    assert "accuracy" not in plain("implementation=vendor", "precision=fp8")


def test_a_field_is_set_by_its_path_and_wins_over_every_choice():
    found = plain("precision=int8", "accuracy.reference=75.5", "frameworks=[openvino, onnxruntime]")
    assert found["accuracy"] == {"metric": "top1", "reference": "75.5"}
    assert found["frameworks"] == ["openvino", "onnxruntime"]


def test_a_parameter_of_the_harness_that_was_chosen_is_set_by_its_bare_name():
    def parameters(document):
        return ("batch",) if document.root.child("harness").value == "vendor-harness" else ()

    assert plain("implementation=vendor", "batch=8", parameters=parameters)["parameters"] == {"batch": "8"}
    with pytest.raises(UsageError, match="there is nothing `batch` to set"):
        plain("batch=8", parameters=parameters)


def test_every_value_knows_what_wrote_it():
    sources = varied("implementation=vendor", "precision=int8", "accuracy.reference=75.5").sources
    assert sources["harness"] == "implementation=vendor"
    assert sources["model"] == "precision=int8"
    assert sources["layer"] == "implementation=vendor precision=int8"
    assert sources["accuracy.reference"] == "command line"


def test_a_merged_value_keeps_its_line_and_column():
    document = varied("implementation=vendor").document
    assert str(document.span(("harness",))) == "r.yaml:13:20"


def test_choices_that_exclude_each_other_are_told_with_both_sides_and_the_reason():
    with pytest.raises(UsageError) as caught:
        varied("precision=fp8")
    assert caught.value.slug == "choices-conflict"
    assert "`implementation=reference` and `precision=fp8` exclude each other" in caught.value.message
    assert "its runtime has no such numbers" in caught.value.message
    assert "--set implementation=vendor" in caught.value.hint


def test_the_example_of_a_hint_is_a_choice_that_the_recipe_has():
    with pytest.raises(UsageError) as caught:
        varied("nonsense")
    example = caught.value.hint.partition("--set ")[2].partition(";")[0]
    assert varied(example).chosen.items() >= {tuple(example.split("="))}
    with pytest.raises(UsageError) as caught:
        varied("nonsense", recipe="kind: benchmark\nname: b\ntitle: B\n")
    assert "precision" not in caught.value.hint, "a recipe without axes has none to choose from"


@pytest.mark.parametrize(
    ("text", "slug", "hint"),
    [
        ("precison=int8", "unknown-set", "did you mean `precision`?"),
        ("precision=int9", "unknown-choice", "did you mean `int8`?"),
        ("acuracy.reference=1", "unknown-set", "accuracy"),
        ("name=other", "unknown-set", "it says which recipe this is"),
        ("axes.precision.default=int8", "unknown-set", "it says which recipe this is"),
        ("precision", "bad-set", "e.g. --set "),
        ("=1", "bad-set", ""),
        ("a..b=1", "bad-set", ""),
        ("accuracy" + ".a" * 3000 + "=1", "bad-set", ""),
        ("harness=[unclosed", "bad-set", "the value is YAML"),
    ],
)
def test_a_mistake_is_answered_with_the_nearest(text, slug, hint):
    with pytest.raises(UsageError) as caught:
        varied(text)
    assert caught.value.slug == slug
    assert hint in caught.value.hint


def test_the_same_key_twice_is_refused():
    with pytest.raises(UsageError, match="says `precision` twice"):
        parse_changes(["precision=int8", "precision=fp8"])


@pytest.mark.parametrize(
    ("old", "new", "message", "where"),
    [
        ("default: fp32", "default: fp64", "the default `fp64` of axis `precision`", "r.yaml:16:14"),
        ("    default: fp32\n", "", "axis `precision` has no `default`: one of its values", "r.yaml"),
        ("{implementation: vendor, p", "{implementations: vendor, p", "there is no axis `implementations`", "r.yaml"),
        ("[int8, fp8]}", "[int8, fp9]}", "axis `precision` has no value `fp9`", "r.yaml"),
        ("set: {layer: vendor-low}", "set: [layer]", "`set` is a map of the recipe's fields", "r.yaml"),
        ("set: {accuracy: ~}", "set: {name: other}", "`name` cannot be varied", "r.yaml"),
    ],
)
def test_axes_that_are_not_well_formed_are_told_where_they_stand(old, new, message, where):
    with pytest.raises(DefinitionError) as caught:
        varied(recipe=RECIPE.replace(old, new))
    assert message in caught.value.message
    assert str(caught.value.span).startswith(where)


def test_a_recipe_without_axes_is_what_it_was():
    document = read_document("r.yaml", "kind: model\nname: a\n")
    assert vary(document).document.root.plain() == {"kind": "model", "name": "a"}


def test_the_merge_leaves_the_file_as_it_was():
    document = read_document("r.yaml", RECIPE)
    before = document.root.plain()
    vary(document, parse_changes(["implementation=vendor", "precision=int8", "accuracy.reference=1"]))
    assert document.root.plain() == before
