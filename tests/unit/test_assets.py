"""Models and datasets: fetched by hash, prepared in a locked-down container, kept by content, shared."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from asset_world_parts import ARRAY, WEIGHTS, WHEEL, Engine, World, sha

from orchestrator.assets import trees
from orchestrator.errors import AssetError, DefinitionError
from orchestrator.host.process import this_user


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_prepared_asset_is_checked_kept_and_shared(world):
    stored = world.get("photos")
    assert (stored.folder / "x.npy").read_bytes() == ARRAY
    assert [p.name for p in stored.folder.iterdir()] == ["x.npy"]
    assert not os.access(stored.folder / "x.npy", os.W_OK) or os.getuid() == 0
    assert stored.size == len(ARRAY)
    assert world.get("photos") == stored
    assert len(world.engine.specs) == 1
    assert world.images == ["tools"]


def test_the_script_sees_the_checked_sources_and_nothing_else(world):
    world.get("photos")
    (spec,) = world.engine.specs
    assert world.engine.seen["photos-1.0-py3-none-any.whl"] == WHEEL
    assert sorted(world.engine.seen) == ["more-photos_1.0_amd64.deb", "photos-1.0-py3-none-any.whl"]
    assert spec.command == ("python3", "/script/prepare.py", "--sources", "/sources", "--out", "/out", "--fast")
    assert (spec.network, spec.read_only, spec.user) == ("none", True, this_user().inside)
    assert [m.target for m in spec.mounts if not m.read_only] == ["/out"]
    assert spec.image == "img:tools"
    assert not spec.capabilities


def with_module(world, name="shared/deb.py") -> None:
    recipe = (world.root / "recipes/photos.yaml").read_text()
    world.write("photos.yaml", recipe.replace("photos/prepare.py,", f"photos/prepare.py, modules: [{name}],"))


def test_what_a_script_imports_lies_beside_it(world):
    with_module(world)
    world.write("shared/deb.py", b"NAME = 1\n")
    world.get("photos")
    (spec,) = world.engine.specs
    assert spec.command[:2] == ("python3", "/script/prepare.py")
    assert [m.target for m in spec.mounts][:2] == ["/script/prepare.py", "/script/deb.py"]
    assert world.engine.scripts == {"prepare.py": b"pass\n", "deb.py": b"NAME = 1\n"}


def test_another_module_makes_another_asset(world):
    with_module(world)
    world.write("shared/deb.py", b"NAME = 1\n")
    first = world.get("photos")
    world.write("shared/deb.py", b"NAME = 2\n")
    assert world.get("photos").key != first.key


@pytest.mark.parametrize(("name", "words"), [("other/prepare.py", "one name"), ("shared/none.py", "none.py")])
def test_modules_that_cannot_be_laid_beside_the_script_are_refused(world, name, words):
    with_module(world, name)
    with pytest.raises(DefinitionError, match=words):
        world.get("photos")


def test_licences_are_kept_beside(world):
    texts = sorted(p.read_text() for p in world.get("photos").licences.iterdir())
    assert any("do what you like" in text and "note: a note" in text for text in texts)
    assert any("MIT terms" in text for text in texts)


def test_a_model_beside_its_recipe_needs_no_engine_and_stays_its_own_file(world):
    world.engine = None
    stored = world.get("net", "model")
    original = world.root / "recipes/net/net.onnx"
    assert (stored.folder / "net.onnx").read_bytes() == WEIGHTS
    assert (stored.folder / "net.onnx").stat().st_ino != original.stat().st_ino
    assert os.access(original, os.W_OK)


@pytest.mark.parametrize("which", ["wheel", "deb", "recipe"])
def test_a_source_with_other_bytes_is_refused_and_kept_aside(world, which):
    name, kind = ("net", "model") if which == "recipe" else ("photos", "dataset")
    if which == "wheel":
        (world.links / "photos-1.0-py3-none-any.whl").write_bytes(b"x" * len(WHEEL))
    elif which == "deb":
        place = next(world.shelf.root.rglob("*.deb"))
        place.write_bytes(b"y" * place.stat().st_size)
    else:
        world.write("net/net.onnx", b"poison!")
    with pytest.raises(AssetError) as caught:
        world.get(name, kind)
    assert (caught.value.slug, caught.value.exit_code) == ("hash-mismatch", 1)
    assert len(world.quarantined()) == 1
    assert not world.engine.specs
    assert (
        world.asset_provider.store.find(world.asset_provider.catalog.get(kind, name), world.asset_provider.catalog)
        is None
    )
    assert (world.root / "recipes/net/net.onnx").exists()  # the author's file is theirs


def test_a_script_that_makes_other_bytes_is_refused_and_kept_aside(world):
    world.engine = Engine(out=b"something else")
    with pytest.raises(AssetError) as caught:
        world.get("photos")
    assert caught.value.slug == "hash-mismatch"
    assert any(name.endswith("x.npy") for name in world.quarantined())
    world.engine = Engine()
    assert world.get("photos").size == len(ARRAY)


def test_a_script_that_fails_shows_its_last_lines(world):
    world.engine = Engine(out=None, exit_code=3)
    with pytest.raises(AssetError) as caught:
        world.get("photos")
    assert caught.value.slug == "prepare-failed"
    assert "status 3" in caught.value.message
    assert "working" in caught.value.detail


def test_a_script_that_hangs_is_stopped_at_its_limit(world, monkeypatch):
    class Hanging(Engine):
        def run(self, spec, on_line, on_started=None):
            self.stopped = threading.Event()
            assert self.stopped.wait(20)
            return super().run(spec, on_line)

        def stop(self, _name):
            self.stopped.set()

    monkeypatch.setattr("orchestrator.assets.provider.LIMIT_S", 1)
    world.engine = Hanging(out=None, exit_code=137)
    with pytest.raises(AssetError) as caught:
        world.get("photos")
    assert caught.value.slug == "timeout"
    assert "after 1 s" in caught.value.message


def test_a_script_that_makes_nothing_or_a_link_is_refused(world, tmp_path):
    world.engine = Engine(out=None)
    with pytest.raises(AssetError) as caught:
        world.get("photos")
    assert caught.value.slug == "output-missing"

    class Linking(Engine):
        def run(self, spec, on_line, on_started=None):
            out = next(m.source for m in spec.mounts if m.target == "/out")
            secret = tmp_path / "secret"
            secret.write_bytes(ARRAY)
            (Path(out) / "x.npy").symlink_to(secret)
            return super().run(spec, on_line)

    world.engine = Linking(out=None)
    with pytest.raises(AssetError) as caught:
        world.get("photos")
    assert caught.value.slug == "output-missing"


def test_a_source_that_nobody_has_is_named(world):
    (world.links / "photos-1.0-py3-none-any.whl").unlink()
    with pytest.raises(AssetError) as caught:
        world.get("photos")
    assert caught.value.slug == "source-gone"
    assert "photos-1.0-py3-none-any.whl" in caught.value.message


def test_a_changed_file_is_noticed_set_aside_and_made_again(world):
    stored = world.get("photos")
    place = stored.folder / "x.npy"
    place.chmod(0o644)
    place.write_bytes(b"bit rot")
    asset_provider = world.asset_provider
    entry = asset_provider.catalog.dataset("photos")
    assert asset_provider.store.find(entry, asset_provider.catalog) is None
    assert asset_provider.store.verify(entry, asset_provider.catalog)[1] == ("x.npy",)
    assert (world.get("photos").folder / "x.npy").read_bytes() == ARRAY
    assert len(world.quarantined()) == 1


def test_a_touched_file_is_hashed_once_and_then_trusted_again(world, monkeypatch):
    stored = world.get("photos")
    os.utime(stored.folder / "x.npy", (1, 1))
    asset_provider = world.asset_provider
    entry = asset_provider.catalog.dataset("photos")
    hashed = []
    real = trees.hash_file
    monkeypatch.setattr(trees, "hash_file", lambda *args: hashed.append(1) or real(*args))
    for _ in range(3):
        assert asset_provider.store.find(entry, asset_provider.catalog) is not None
    assert len(hashed) == 1


def test_another_script_or_other_outputs_make_another_asset(world):
    first = world.get("photos")
    world.write("photos/prepare.py", b"pass  # changed\n")
    second = world.get("photos")
    assert first.key != second.key
    assert first.folder.is_dir()
    world.write("net.yaml", (world.root / "recipes/net.yaml").read_text().replace("A network", "Another title"))
    assert world.get("photos").key == second.key


def test_two_at_once_prepare_once(world):
    class Slow(Engine):
        def run(self, spec, on_line, on_started=None):
            time.sleep(0.2)
            return super().run(spec, on_line)

    world.engine = Slow()
    found = []
    threads = [threading.Thread(target=lambda: found.append(world.get("photos"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({stored.folder for stored in found}) == 1
    assert len(world.engine.specs) == 1


def test_an_interrupted_preparation_leaves_nothing_that_counts(world):
    class Interrupted(Engine):
        def run(self, spec, on_line, on_started=None):
            super().run(spec, on_line)
            raise KeyboardInterrupt

    world.engine = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        world.get("photos")
    assert not [p for p in (world.home / "assets").rglob("*") if p.is_file() and p.suffix != ".lock"]
    world.engine = Engine()
    assert world.get("photos").size == len(ARRAY)


def test_the_marker_names_every_file_and_its_hash(world):
    marker = json.loads((world.get("photos").path / "complete.json").read_text())
    assert {name: facts[0] for name, facts in marker.items()} == {"x.npy": sha(ARRAY)}
