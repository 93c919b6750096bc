"""Steps that make an asset of other assets: which are made first, given read-only and part of its key."""

from dataclasses import replace
from pathlib import Path

import pytest
from asset_world_parts import ARRAY, WEIGHTS, Engine, World, sha

from orchestrator.assets.use import unused
from orchestrator.definitions.catalog import Root, load
from orchestrator.errors import DefinitionError


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


SPLIT = b"an asset made of another"


def second(world, *, args="[]"):
    """A data set that is made of the first one."""
    world.write("split/split.py", b"pass\n")
    world.write(
        "split.yaml",
        "kind: dataset\nname: split\ntitle: Split\nsamples: 2\n"
        "sources:\n  - {kind: generated, licence: {spdx: MIT}}\n"
        f"prepare: {{script: split/split.py, layer: tools, inputs: [dataset/photos, model/net], args: {args}}}\n"
        f"outputs:\n  - {{file: x.npy, sha256: {sha(SPLIT)}}}\n",
    )


class TwoSteps(Engine):
    """Makes the first asset, then the second one of it."""

    def run(self, spec, on_line, on_started=None):
        given = {m.target: m for m in spec.mounts}
        self.out = ARRAY
        if "/inputs/photos" in given:
            assert given["/inputs/photos"].read_only
            assert (Path(given["/inputs/photos"].source) / "x.npy").read_bytes() == ARRAY
            assert (Path(given["/inputs/net"].source) / "net.onnx").read_bytes() == WEIGHTS
            self.out = SPLIT
        return super().run(spec, on_line, on_started)


def test_a_step_gets_other_assets_read_only_which_are_made_first(world):
    second(world)
    world.engine = TwoSteps()
    stored = world.get("split")
    assert (stored.folder / "x.npy").read_bytes() == SPLIT
    assert len(world.engine.specs) == 2
    assert world.get("split") == stored
    assert len(world.engine.specs) == 2


def test_the_key_covers_the_inputs_and_the_words_of_a_step(world):
    second(world)
    world.engine = TwoSteps()
    first = world.get("split")
    world.write("photos/prepare.py", b"pass  # changed\n")
    after = world.get("split")
    assert first.key != after.key
    second(world, args="[--other]")
    assert world.get("split").key not in {first.key, after.key}


def test_a_users_folder_is_an_input_like_any_other(world, tmp_path):
    second(world)
    world.engine = TwoSteps()
    folder = tmp_path / "mnt"
    folder.mkdir()
    (folder / "x.npy").write_bytes(ARRAY)
    provider = replace(world.asset_provider, given={"dataset/photos": folder})
    assert provider.get(provider.catalog.dataset("split")).size == len(SPLIT)
    (spec,) = world.engine.specs
    assert {m.source for m in spec.mounts if m.target == "/inputs/photos"} == {str(folder)}


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        (("inputs: [dataset/photos, model/net]", "inputs: [dataset/fotos]"), "unknown-dataset"),
        (("inputs: [dataset/photos, model/net]", "inputs: [dataset/split]"), "asset-circle"),
        (("inputs: [dataset/photos, model/net]", "inputs: [model/photos, dataset/photos]"), "bad-value"),
        (("script: split/split.py, ", ""), "bad-value"),
        (("kind: generated", "kind: local, where: x, looks_like: y"), "bad-value"),
    ],
)
def test_a_step_that_cannot_be_is_a_fault_of_its_recipe(world, change, slug):
    second(world)
    text = (world.root / "recipes/split.yaml").read_text()
    assert change[0] in text
    world.write("split.yaml", text.replace(*change))
    with pytest.raises(DefinitionError) as caught:
        load([Root(world.root, "path:test")])
    assert slug in {problem.slug for problem in caught.value.problems()}, caught.value.problems()


def test_two_sources_at_one_place_are_a_fault(world):
    text = (world.root / "recipes/net.yaml").read_text()
    again = "  - {kind: http, urls: ['https://example.test/net.onnx'], licence: {spdx: MIT}}\n"
    world.write("net.yaml", text.replace("outputs:", f"{again}outputs:"))
    with pytest.raises(DefinitionError) as caught:
        load([Root(world.root, "path:test")])
    assert [problem.slug for problem in caught.value.problems()] == ["duplicate-source"]


def test_inputs_are_held_while_a_step_uses_them(world):
    second(world)

    class Looking(TwoSteps):
        def run(self, spec, on_line, on_started=None):
            for mount in spec.mounts:
                if mount.target.startswith("/inputs/"):
                    with unused(Path(mount.source).parent) as free:
                        assert not free
            return super().run(spec, on_line, on_started)

    world.engine = Looking()
    photos = world.get("photos")
    world.get("split")
    with unused(photos.path) as free:
        assert free
