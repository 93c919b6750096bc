"""Use cases of `mlorch images` without an engine or a registry: which images are meant, listed, removed, locked."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from orchestrator.cli import run
from orchestrator.engines import ImageFacts
from orchestrator.errors import RegistryError, UsageError
from orchestrator.host.file_lock import locked_if_free as locked
from orchestrator.host.files import WriteFailed
from orchestrator.host.folders import cache_home
from orchestrator.operations.context import Context
from orchestrator.operations.images import listing
from orchestrator.operations.images.attestations import keygen
from orchestrator.operations.images.listing import list_images, prune
from orchestrator.operations.images.pick import ImageSelection, pick, with_content_id
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.progress import Silent

SMOKE = Selection(target="cpu", benchmarks=("image-smoke",), platform="linux/amd64")


def image(number: int, layer: str = "loadgen") -> ImageFacts:
    content_id, digest = f"{number:064x}", f"sha256:{number:064x}"
    return ImageFacts(
        image=f"localhost/mlorch/{layer}:{content_id}", image_id=digest, digest=digest,
        size=1_000_000, created="", labels={"org.mlorch.content-id": content_id, "org.mlorch.layer": layer},
        layers=(digest,),
    )  # fmt: skip


class Engine:
    """An engine that has some images."""

    def __init__(self, images: list[ImageFacts]):
        self.here = images

    def images(self, _label):
        return tuple(self.here)

    def remove_image(self, name):
        self.here = [facts for facts in self.here if facts.image != name]


class Heard(Silent):
    """Talk that is kept for the test."""

    def __init__(self):
        self.warned: list[str] = []

    def warn(self, text):
        self.warned.append(text)


@pytest.fixture(scope="module")
def context():
    return Context()


def picked(context, *names, registry=""):
    return pick(context, ImageSelection(selections=(SMOKE,), names=names, registry=registry))


# -- which images are meant ----------------------------------------------------------------


def test_without_a_name_the_finished_images_are_meant(context):
    (plan,) = context.plans(SMOKE).plans
    (one,) = picked(context)
    assert (one.reference, one.planned.step, one.local) == (plan.image, plan.layers[-1], True)


def test_a_layer_is_meant_by_its_name_its_content_id_or_a_tag_in_a_registry(context):
    (plan,) = context.plans(SMOKE).plans
    step = plan.layers[1]
    far = f"host.example/team/mlorch/{step.name}:{step.content_id}"
    by_name, by_id, by_tag = picked(context, step.name, step.content_id, far)
    assert [one.planned.step for one in (by_name, by_id, by_tag)] == [step, step, step]
    assert (by_name.reference, by_id.reference, by_tag.reference) == (step.image, step.image, far)
    assert not by_tag.local


def test_with_a_registry_the_images_are_meant_as_they_lie_there(context):
    (plan,) = context.plans(SMOKE).plans
    (one,) = picked(context, registry="host.example/team")
    assert one.reference == f"host.example/team/mlorch/{plan.layers[-1].name}:{plan.layers[-1].content_id}"


def test_an_image_that_no_plan_has_can_be_checked_but_not_vouched_for(context):
    (one,) = picked(context, "host.example/other:1")
    assert one.planned is None
    assert with_content_id(context, [SMOKE], "0" * 64) is None
    with pytest.raises(UsageError) as caught:
        one.require_planned()
    assert caught.value.slug == "unknown-image"


def test_a_layer_that_no_plan_has_is_told_with_the_nearest_name(context):
    with pytest.raises(UsageError) as caught:
        picked(context, "loadgn")
    assert "`loadgen`" in caught.value.hint


# -- list ----------------------------------------------------------------------------------


@pytest.fixture
def in_use(monkeypatch):
    """The plans of this checkout have the images of even numbers."""
    needed = {f"{number:064x}" for number in range(0, 100, 2)}
    monkeypatch.setattr(listing, "current_ids", lambda *_, **_more: needed)


@pytest.mark.usefixtures("in_use")
def test_a_list_says_what_a_plan_has(context):
    with_engine = Context(_engine=Engine([image(1), image(2)]))
    every = list_images(with_engine)
    unused = list_images(with_engine, unused=True)
    assert [(one.where, one.in_use) for one in every.images] == [("engine", False), ("engine", True)]
    assert [one.content_id for one in unused.images] == [f"{1:064x}"]
    assert every.whole


@pytest.mark.usefixtures("in_use")
def test_a_registry_that_does_not_answer_is_warned_of_and_the_rest_is_listed(monkeypatch):
    def refuse(*_):
        raise RegistryError("nobody there", slug="registry-down")

    monkeypatch.setattr("orchestrator.images.registry.client.Registry.repositories", refuse)
    heard = Heard()
    found = list_images(Context(_engine=Engine([image(1)]), talk=heard), ("down.example",))
    assert (len(found.images), found.whole) == (1, False)
    assert heard.warned == ["nobody there [registry-down]"]


@pytest.mark.usefixtures("in_use")
def test_a_long_list_is_shortened_to_those_in_use_and_says_how_to_see_all(monkeypatch, capsys):
    monkeypatch.setattr("orchestrator.engines.docker.engine.connect", lambda *_: Engine([image(n) for n in range(50)]))
    assert run(["images", "list"]) == 0
    short = capsys.readouterr()
    assert short.out.count("loadgen") == short.out.count("yes") == 20
    assert "20 of 50" in short.err
    assert "--all" in short.err
    assert run(["images", "list", "--all"]) == 0
    whole = capsys.readouterr()
    assert whole.out.count("loadgen") == 50
    assert "--all" not in whole.err  # a list that fits says nothing of it
    assert run(["images", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["images"]) == 50


# -- prune ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_use")
def test_a_prune_shows_what_it_would_remove_and_removes_it_when_asked():
    engine = Engine([image(1), image(2)])
    shown = prune(Context(_engine=engine))
    assert [(one.content_id, one.state) for one in shown.images] == [(f"{1:064x}", "unneeded")]
    assert (len(engine.here), shown.bytes, shown.looked_at) == (2, 1_000_000, 2)
    done = prune(Context(_engine=engine), remove=True)
    assert [one.state for one in done.images] == ["removed"]
    assert [facts.image for facts in engine.here] == [image(2).image]


@pytest.mark.usefixtures("in_use")
def test_images_of_one_height_go_together_and_those_above_others_before():
    together, order = threading.Barrier(2, timeout=10), []

    class Slow(Engine):
        def remove_image(self, name):
            order.append(name)
            if "upper" in name:
                together.wait()  # neither goes before the other has come

    upper = [replace(image(number, "upper"), layers=("a", "b")) for number in (1, 3)]
    lower = replace(image(5, "lower"), layers=("a",))
    done = prune(Context(_engine=Slow([lower, *upper])), remove=True)
    assert [one.layer for one in done.images] == ["upper", "upper", "lower"]
    assert "lower" in order[-1]


@pytest.mark.usefixtures("in_use")
def test_a_prune_takes_the_artefacts_of_images_that_are_gone_and_says_how_much_they_are(capsys, monkeypatch):
    root = cache_home() / "artifacts"
    sizes = {1: 1000, 2: 2000, 3: 4000, 5: 8000}  # to go now, in use, gone before, gone but a run works with it
    for number, size in sizes.items():
        step = root / f"{number:064x}" / "bench-cpu-offline"
        step.mkdir(parents=True)
        (step / "engine.blob").write_bytes(bytes(size))
    engine = Engine([image(1), image(2)])
    monkeypatch.setattr("orchestrator.engines.docker.engine.connect", lambda *_: engine)
    busy = root / ".lent" / f"{5:064x}+bench-cpu-offline"
    busy.parent.mkdir()
    with locked(busy):
        assert prune(Context(_engine=engine)).artifact_bytes == 13_000
        assert all((root / f"{number:064x}").is_dir() for number in sizes)
        assert run(["images", "prune", "--yes"]) == 0
    assert "artefacts of images that are gone: 0.0 MB freed" in capsys.readouterr().out
    assert sorted(int(path.name, 16) for path in root.glob("[!.]*")) == [2, 5]
    assert json.loads(json_of(capsys, ["images", "prune", "--yes", "--json"]))["artifact_bytes"] == 8000
    assert [int(path.name, 16) for path in root.glob("[!.]*")] == [2]


def json_of(capsys, words):
    assert run(words) == 0
    return capsys.readouterr().out


# -- keys ----------------------------------------------------------------------------------


def test_half_a_key_pair_is_not_left(tmp_path):
    (tmp_path / "mine.pub").write_text("somebody's")
    with pytest.raises(WriteFailed, match=r"mine\.pub"):
        keygen(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pub"]
