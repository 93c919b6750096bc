"""Published lists, what a prune frees, what platforms have in common, and what a command line may ask of registries."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.cli import run
from orchestrator.engines import ImageFacts
from orchestrator.errors import DefinitionError, Problem, RegistryError, StepFailed, UsageError
from orchestrator.facts.build import BuildPlan, LayerStep
from orchestrator.facts.references import RegistryPrefix
from orchestrator.images.prune import freed, is_own, remove_image, unneeded
from orchestrator.images.publish import Published, read_published, write_published
from orchestrator.images.pull import ImageSources, require_labels
from orchestrator.images.registry.manifests import config_from
from orchestrator.operations.context import Context
from orchestrator.operations.images import listing
from orchestrator.operations.images.listing import current_ids
from orchestrator.operations.progress import Silent
from orchestrator.plan.build.layers import labels, set_id

ONE = Published(
    layer="base",
    content_id="a" * 64,
    platform="linux/amd64",
    digest=f"sha256:{'b' * 64}",
    registry="r.example:5000/team",
)


# -- lists -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["images.yaml", "images.json"])
def test_a_list_is_read_as_it_was_written(tmp_path, name):
    write_published(tmp_path / name, [ONE, replace(ONE, layer="top", content_id="c" * 64)])
    found = read_published(tmp_path / name)
    assert found["a" * 64] == ONE
    assert [one.layer for one in found.values()] == ["base", "top"]


@pytest.mark.parametrize(
    ("was", "becomes"),
    [(f"sha256:{'b' * 64}", "latest"), ("linux/amd64", "windows"), ("a" * 64, "abc"), ("layer", "lair")],
)
def test_a_list_with_a_fault_names_its_line(tmp_path, was, becomes):
    write_published(tmp_path / "images.yaml", [ONE])
    text = (tmp_path / "images.yaml").read_text().replace(was, becomes)
    (tmp_path / "images.yaml").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        read_published(tmp_path / "images.yaml")
    assert caught.value.problems()[0].span.line >= 4


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_published(tmp_path / "none.yaml")
    assert caught.value.slug == "no-published-list"


# -- plans -------------------------------------------------------------------------------------------------


def plan(platform="linux/amd64", **inputs):
    base = LayerStep(name="base", level="base", platform=platform, content_id=platform[-5:] * 8, parent=None,
                     dockerfile="", inputs={"dockerfile": platform, "deb:x": platform, "file:a": "1"})  # fmt: skip
    top = LayerStep(name="top", level="benchmark", platform=platform, content_id="2" * 64, parent=base.image,
                    dockerfile="", inputs={"dockerfile": "t", "file:requirements.txt": platform, **inputs})  # fmt: skip
    return BuildPlan(target="t", benchmark="b", platform=platform, layers=(base, top))


def test_platforms_of_one_set_share_templates_and_files():
    assert set_id(plan()) == set_id(plan("linux/arm64"))
    assert set_id(plan()) != set_id(plan(**{"file:b": "1"}))
    assert set_id(plan()) != set_id(plan(dockerfile="u"))


def test_labels_decide_what_an_image_is():
    step = plan().layers[1]
    require_labels({**labels(step), "other": "x"}, step, "r/x:y")
    for change in ({"org.mlorch.content-id": "x"}, {"org.mlorch.parent": ""}, {"org.mlorch.inputs": "{}"}):
        with pytest.raises(RegistryError) as caught:
            require_labels({**labels(step), **change}, step, "r/x:y")
        assert caught.value.slug == "image-mismatch"
    with pytest.raises(RegistryError):
        require_labels({}, step, "r/x:y")
    for nothing in (None, [], {"config": []}, {"config": {"Labels": "a=b"}}):
        assert config_from(nothing).labels == {}
    assert config_from({"config": {"Labels": {"a": "b"}}}).labels == {"a": "b"}


def facts(layer, layers, size, tag="1" * 64, **more):
    image = f"localhost/mlorch/{layer}:{tag}"
    return ImageFacts(
        image=image, image_id=f"sha256:{layer}", digest="sha256:d", size=size, created="",
        labels={"org.mlorch.content-id": tag, **more}, layers=tuple(layers),
    )  # fmt: skip


def test_an_image_in_the_engine_with_other_bytes_than_published_counts_as_missing():
    step = plan().layers[1]
    there = replace(facts("top", "ab", 1), image=step.image)
    bound = {step.content_id: replace(ONE, content_id=step.content_id)}
    one = ImageSources(prefixes=(), published=bound)
    assert one.accept({step.image: there}, [step]) == {step.image: None}
    same = replace(there, digest=ONE.digest)
    assert one.accept({step.image: same}, [step]) == {step.image: same}
    assert ImageSources(prefixes=()).accept({step.image: there}, [step]) == {step.image: there}


def test_a_registry_that_does_not_answer_is_passed_over_once_or_refused(monkeypatch):
    class Down:
        asked = 0

        def head_manifest(self, *_):
            Down.asked += 1
            raise RegistryError("nobody there", slug="registry-down")

    said = []
    one = ImageSources(prefixes=(RegistryPrefix(host="r"),), warn=said.append)
    one._clients["r"] = Down()
    assert one.registry_images([plan()], ()) == {}
    assert (Down.asked, len(said)) == (1, 1)
    strict = ImageSources(prefixes=(RegistryPrefix(host="r"),), strict=True)
    strict._clients["r"] = Down()
    with pytest.raises(RegistryError) as caught:
        strict.registry_images([plan()], ())
    assert caught.value.slug == "registry-down"


# -- pruning -----------------------------------------------------------------------------------------------


def test_only_our_own_names_are_ours():
    assert is_own(facts("base", "a", 1))
    assert not is_own(replace(facts("base", "a", 1), image="me/built-on-yours:1"))
    assert not is_own(replace(facts("base", "a", 1), image="localhost/mlorch/base:mine"))


def test_what_a_prune_frees_is_what_nobody_else_holds():
    base, middle, top = facts("base", "a", 10), facts("middle", "ab", 15, "2" * 64), facts("top", "abc", 18, "3" * 64)
    every = (base, middle, top)
    assert freed({top.image}, every) == 3
    assert freed({middle.image, top.image}, every) == 8
    assert freed({one.image for one in every}, every) == 18
    assert freed({base.image, middle.image}, every) == 0  # the one above holds them
    assert [one.image for one in unneeded(every, {"1" * 64})] == [top.image, middle.image]


def test_an_image_that_a_container_needs_stays():
    class Engine:
        def remove_image(self, name):
            if "top" in name:
                raise StepFailed("a container has it", slug="image-in-use")

    assert remove_image(Engine(), "top:1") == "a container has it"
    assert remove_image(Engine(), "base:1") == ""


# -- command lines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["build", "--push", "https://r.example"], "bad-registry"),
        (["build", "--cache-to", "user:pw@r.example"], "bad-registry"),
        (["build", "-o", "x.yaml"], "usage"),
        (["build", "--dry-run", "--pull"], "no-registries"),
        (["build", "--dry-run", "--images", "none.yaml"], "no-published-list"),
        (["plan", "--pull"], "no-registries"),
        (["images", "pull"], "no-registries"),
        (["images", "push", "a b"], "bad-registry"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_done(arguments, slug, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == slug


def test_settings_name_registries_and_a_list(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlorch.yaml").write_text("registries: ['https://x']\n")
    assert run(["plan", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["line"] == 1
    (tmp_path / "mlorch.yaml").write_text("images: sub/images.yaml\n")
    assert run(["build", "--dry-run", "--json"]) == 2
    assert f"{tmp_path}/sub/images.yaml" in json.loads(capsys.readouterr().out)["error"]["message"]


# -- what others need to run it without building --------------------------------------------------------------


def test_with_a_benchmark_go_the_images_that_prepare_its_data_and_count_its_accuracy():
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.publish import side_selections
    from orchestrator.operations.plan_cache import Selection

    context = Context(())
    chosen = Selection(target="cpu", benchmarks=("image-smoke",))
    (prep,) = side_selections(context, chosen, context.plans(chosen).plans)
    assert [plan.layers[-1].name for plan in context.plans(prep).plans] == ["prep-cpu"]
    bare = Selection(target="cpu", side="prep")  # no benchmark, so nothing to prepare
    assert side_selections(context, bare, context.plans(bare).plans) == ()
    text = Selection(target="cpu", benchmarks=("language-embed",))
    sides = side_selections(context, text, context.plans(text).plans)
    assert [side.side for side in sides][-1] == "accuracy"
    assert "prep-text" in {side.side for side in sides}


def test_a_prune_does_not_take_what_cannot_be_planned_for_unneeded():
    """A lock that went missing would make every image above its layer look like waste."""

    class Broken:
        catalog = Context().catalog
        talk = Silent()

        def kept_document(self, _asked, make, _may_keep):
            return make()

        def bases(self, _selection):
            return ()

        def plans(self, _selection):
            raise DefinitionError([Problem(slug="lock-missing", message="layer `loadgen` has no pins")])

    assert current_ids(Broken()) == frozenset()
    with pytest.raises(DefinitionError, match="no pins"):
        current_ids(Broken(), sure_of="linux/amd64")


@pytest.mark.parametrize("passing", [False, True])
def test_what_is_needed_is_planned_once_until_a_definition_changes(tmp_path, monkeypatch, passing):
    """Unless more than the definitions decided it."""
    recipes, made = tmp_path / "own", []
    recipes.mkdir()

    def planned(_context, sure_of):
        made.append(sure_of)
        return {"ids": ["a" * 64], "lines": ["not planned: x"], "faulty": ["linux/arm64"], "passing": passing}

    monkeypatch.setattr(listing, "_planned_ids", planned)

    def needed(**sure):
        context = Context(recipes=(str(recipes),))
        context.catalog  # noqa: B018 (what it is made of is read first, as planning does)
        return current_ids(context, **sure)

    assert needed() == needed() == {"a" * 64}
    assert len(made) == (2 if passing else 1)
    needed(sure_of="linux/arm64")
    assert made[-1] == "linux/arm64", "it is planned again, to say what is wrong there"
    (recipes / "more.yaml").write_text("kind: benchmark\nname: mine\ntitle: t\nlike: image-fashion\n")
    count = len(made)
    needed()
    assert len(made) == count + 1
