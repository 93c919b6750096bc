"""Hit, pull or build: one decision for every layer, which a plan prints and a build executes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from orchestrator.engines import ImageFacts
from orchestrator.errors import EngineError
from orchestrator.facts.build import BuildPlan, LayerStep
from orchestrator.facts.build_settings import BuildSettings
from orchestrator.images.build import Builder
from orchestrator.images.context import Parts
from orchestrator.images.decide import LayerDecision, decide, explained, layer_decisions, planned


def layer(name: str, parent: LayerStep | None = None, **more) -> LayerStep:
    return LayerStep(
        name=name, level="base", platform="linux/amd64", content_id=name * 8, dockerfile="",
        parent=parent.image if parent else None, **more,
    )  # fmt: skip


BASE = layer("base", inputs={"dockerfile": "1", "platform": "p"})
TOP = layer("top", BASE, inputs={"dockerfile": "2", "parent": BASE.content_id})
PLANS = (BuildPlan(target="cpu", benchmark="b", platform="linux/amd64", layers=(BASE, TOP)),)


def image(step: LayerStep, inputs: dict[str, str] | None = None) -> ImageFacts:
    labels = {"org.mlorch.inputs": json.dumps(step.inputs if inputs is None else inputs)}
    return ImageFacts(image=step.image, image_id="i", digest="sha256:d", size=1, created="2023", labels=labels)


def states(found, registry=()):
    return [decision.action for decision in decide(PLANS, found, dict(registry))]


def test_what_the_engine_has_is_a_hit_and_its_parents_are_part_of_it():
    assert states({TOP.image: image(TOP), BASE.image: None}) == ["hit", "hit"]


def test_what_nobody_has_is_built():
    assert states({TOP.image: None, BASE.image: image(BASE)}) == ["hit", "build"]
    assert states({TOP.image: None, BASE.image: None}) == ["build", "build"]


def test_what_a_registry_has_is_pulled_and_its_parents_with_it():
    there = SimpleNamespace(size=2_000_000, prefix="r.example/team", reference=SimpleNamespace(digest="sha256:r"))
    decisions = decide(PLANS, {TOP.image: None, BASE.image: None}, {TOP.image: there})
    assert [decision.action for decision in decisions] == ["hit", "pull"]
    assert planned(decisions[1]).digest == "sha256:r"
    assert planned(decisions[1]).reason == "2.0 MB in r.example/team"


def test_without_an_engine_nothing_is_known():
    assert states(None) == ["unknown", "unknown"]


def test_a_base_that_nobody_locked_says_so_with_and_without_an_engine():
    base = layer("vendor", base_source="registry:vendor/image")
    plans = (BuildPlan(target="t", benchmark="b", platform="p", layers=(base,)),)
    for found in (None, {base.image: None}):
        (decision,) = decide(plans, found, {})
        assert decision.reason.startswith("unlocked: `vendor/image` has no digest yet")
        look_up = None if found is None else lambda _: {base.image: None}
        (whole,) = layer_decisions(plans, look_up, lambda _: pytest.fail("its other images explain nothing"), None)
        assert whole.reason == decision.reason


def labels(inputs: dict[str, str], parent: str = "") -> dict[str, str]:
    return {"org.mlorch.inputs": json.dumps(inputs), "org.mlorch.parent": parent}


def test_the_reason_names_what_differs_from_the_nearest_image():
    (_, top) = decide(PLANS, {TOP.image: None, BASE.image: image(BASE)}, {})
    far = labels({"dockerfile": "0", "parent": "x", "file:a": "1"})
    near = labels({"dockerfile": "0", "parent": BASE.content_id})
    found = explained(top, {"top:a": far, "top:b": near, "top:c": far})
    assert found.reason == "changed: dockerfile"
    assert found.changed == ({"input": "dockerfile", "was": "0", "is": "2"},)


def test_the_nearest_image_over_another_parent_is_named_as_that():
    """Of another target: its framework lies below, and `changed: parent` alone would send a person looking."""
    (_, top) = decide(PLANS, {TOP.image: None, BASE.image: image(BASE)}, {})
    other = labels({**TOP.inputs, "parent": "x"}, "localhost/mlorch/base-of-cuda:0123")
    own = labels({**TOP.inputs, "parent": "y"}, TOP.parent)
    assert explained(top, {"top:a": other}).reason == "changed: parent (the nearest image lies over base-of-cuda)"
    assert explained(top, {"top:a": other, "top:b": own}).reason == "changed: parent"


def test_images_that_say_nothing_of_their_inputs_explain_nothing():
    (_, top) = decide(PLANS, {TOP.image: None, BASE.image: image(BASE)}, {})
    assert explained(top, {}).reason == "no image of this layer yet"
    assert explained(top, {"x": {"org.mlorch.inputs": "[1"}}).reason == "no image of this layer carries its inputs"
    assert explained(top, {"top:a": labels(TOP.inputs)}).reason == "an image of the same inputs was removed"


def test_where_nothing_can_be_built_nothing_is_fetched_for_a_build(tmp_path):
    """An engine without buildx is told before a package is downloaded; what is there is a hit all the same."""

    class WithoutBuildx:
        def require_builder(self):
            raise EngineError("the docker client has no buildx plugin", slug="no-buildx")

    def fetched(*_):
        raise AssertionError("packages were fetched")

    parts = Parts(rootfs=fetched, pip=fetched, tree=fetched, tools=fetched, sdist=fetched)
    made = LayerStep(
        name="base", level="base", platform="linux/amd64", content_id="c" * 64, parent=None, dockerfile="FROM scratch\n"
    )
    builder = Builder(
        engine=WithoutBuildx(), settings=BuildSettings(), parts=parts, cache=tmp_path, look_up=dict.fromkeys
    )
    with pytest.raises(EngineError, match="no buildx"):
        builder.build([LayerDecision(step=made, action="build", reason="")])
    assert not (tmp_path / "contexts").exists()
    (outcome,) = builder.build([LayerDecision(step=made, action="hit", reason="")])
    assert outcome.state == "hit"
