"""Models and datasets: fetched by hash, prepared in a locked-down container, kept by content, shared."""

import hashlib
import io
import json
import os
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from deb_parts import Shelf

from orchestrator.assets import trees
from orchestrator.assets.provider import AssetProvider, Prep
from orchestrator.assets.sources import Sources
from orchestrator.assets.store import Store
from orchestrator.assets.use import unused
from orchestrator.definitions.catalog import Root, load
from orchestrator.engines import ContainerExit
from orchestrator.errors import AssetError, DefinitionError
from orchestrator.host.process import this_user
from orchestrator.host.site import SiteConfig
from orchestrator.packages.fetch import Fetcher

WEIGHTS = b"weights"
ARRAY = b"array made of the sources"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def wheel(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


WHEEL = wheel({"photos/a.jpg": "jpg", "photos-1.0.dist-info/LICENSE": "do what you like"})


class Engine:
    """Stands for a container: makes ``out`` in the folder that is mounted there."""

    def __init__(self, out=ARRAY, exit_code=0):
        self.out, self.exit_code, self.specs, self.seen, self.scripts = out, exit_code, [], {}, {}

    def run(self, spec, on_line, on_started=None):
        self.specs.append(spec)
        mounts = {m.target: m for m in spec.mounts}
        self.seen = {p.name: p.read_bytes() for p in Path(mounts["/sources"].source).iterdir()}
        self.scripts = {Path(at).name: Path(m.source).read_bytes() for at, m in mounts.items() if "/script/" in at}
        on_line("working\n")
        if self.out is not None:
            (Path(mounts["/out"].source) / "x.npy").write_bytes(self.out)
        return ContainerExit(container_id="c", exit_code=self.exit_code, out_of_memory=False)


class World:
    """A recipe folder with a model from beside the recipe and a dataset from a wheel and a Debian package."""

    def __init__(self, tmp_path):
        self.root, self.home = tmp_path / "recipes-root", tmp_path / "home"
        self.shelf, self.links = Shelf(tmp_path / "mirror"), tmp_path / "links"
        self.engine, self.images, self.events = Engine(), [], []
        self.links.mkdir()
        (self.links / "photos-1.0-py3-none-any.whl").write_bytes(WHEEL)
        deb = self.shelf.add("more-photos", [("./usr/share/doc/more-photos/copyright", b"MIT terms")])
        self.write("net/net.onnx", WEIGHTS)
        self.write("photos/prepare.py", b"pass\n")
        self.write(
            "net.yaml",
            "kind: model\nname: net\ntitle: A network\nformat: onnx\nparameters: 10\ntrained_by: us\n"
            f"sources:\n  - {{kind: recipe, path: net/net.onnx, sha256: {sha(WEIGHTS)}, licence: {{spdx: MIT}}}}\n"
            f"outputs:\n  - {{file: net.onnx, sha256: {sha(WEIGHTS)}}}\n",
        )
        self.write(
            "photos.yaml",
            "kind: dataset\nname: photos\ntitle: Photos\nsamples: 2\ninputs: x.npy\nlabels: x.npy\n"
            "sources:\n  - kind: pypi\n    package: photos\n    version: '1.0'\n"
            f"    filename: photos-1.0-py3-none-any.whl\n    sha256: {sha(WHEEL)}\n    size: {len(WHEEL)}\n"
            "    licence: {spdx: MIT, note: a note, file: photos-1.0.dist-info/LICENSE}\n"
            f"  - kind: debian\n    package: more-photos\n    version: '1.0'\n    path: {deb.path}\n"
            f"    sha256: {deb.sha256}\n    size: {deb.size}\n"
            "    licence: {spdx: MIT, file: usr/share/doc/more-photos/copyright}\n"
            "prepare: {script: photos/prepare.py, layer: tools, args: [--fast]}\n"
            f"outputs:\n  - {{file: x.npy, sha256: {sha(ARRAY)}}}\n",
        )
        self.write("tools.yaml", "kind: layer\nname: tools\ntitle: T\nlevel: side\ntemplate: python.Dockerfile.j2\n")

    def write(self, name, data):
        place = self.root / "recipes" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())

    @property
    def asset_provider(self):
        catalog = load([Root(self.root, "path:test")])
        pip = {"no-index": ("1",), "find-links": (str(self.links),)}
        fetch = Fetcher(SiteConfig(pip=pip, archives=self.shelf.mirrors), self.home)
        return AssetProvider(
            catalog=catalog,
            store=Store(self.home),
            sources=Sources(catalog, fetch),
            prep=Prep(engine=lambda: self.engine, image=lambda layer: self.images.append(layer) or f"img:{layer}"),
            on_event=self.events.append,
        )

    def get(self, name, kind="dataset"):
        asset_provider = self.asset_provider
        return asset_provider.get(asset_provider.catalog.get(kind, name))

    def quarantined(self):
        folder = self.home / "quarantine"
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


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


def manifest(files):
    lines = "".join(f"{sha(data)}  {name}\n" for name, data in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


FOLDER = {"a/1.npy": b"one", "a/2.npy": b"two", "val_map.txt": b"a/1 0\na/2 1\n"}


class Filling(Engine):
    """Makes a folder of many files."""

    def __init__(self, files):
        super().__init__(out=None)
        self.files = files

    def run(self, spec, on_line, on_started=None):
        out = Path(next(m.source for m in spec.mounts if m.target == "/out"))
        for name, data in self.files.items():
            (out / "all" / name).parent.mkdir(parents=True, exist_ok=True)
            (out / "all" / name).write_bytes(data)
        return super().run(spec, on_line)


@pytest.fixture
def many(world):
    """The data set is a folder of files, pinned by the hash of its manifest."""
    text = (world.root / "recipes/photos.yaml").read_text()
    start = text.index("outputs:")
    world.write(
        "photos.yaml",
        text[:start].replace("inputs: x.npy\nlabels: x.npy\n", "")
        + f"outputs:\n  - {{folder: all, files: {len(FOLDER)}, sha256: {manifest(FOLDER)}}}\n",
    )
    world.engine = Filling(FOLDER)
    return world


def test_a_folder_of_files_is_pinned_by_its_manifest_as_sha256sum_prints_it(many):
    stored = many.get("photos")
    assert {p.relative_to(stored.folder / "all").as_posix() for p in stored.folder.rglob("*") if p.is_file()} == set(
        FOLDER
    )
    assert many.get("photos") == stored
    assert len(many.engine.specs) == 1


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"a/2.npy": b"other"}, "hash-mismatch"),
        ({"a/3.npy": b"three"}, "output-missing"),
        ({"a/2.npy": None}, "output-missing"),
    ],
)
def test_a_folder_with_another_more_or_less_is_refused(many, change, slug):
    files = {name: data for name, data in {**FOLDER, **change}.items() if data is not None}
    many.engine = Filling(files)
    with pytest.raises(AssetError) as caught:
        many.get("photos")
    assert caught.value.slug == slug


@pytest.mark.parametrize("trouble", ["added", "missing", "link"])
def test_a_file_added_to_a_kept_folder_or_taken_from_it_is_noticed_without_hashing(
    many, tmp_path, monkeypatch, trouble
):
    stored = many.get("photos")
    if trouble == "added":
        (stored.folder / "all/a/9.npy").write_bytes(b"nine")
    elif trouble == "missing":
        (stored.folder / "all/a/1.npy").unlink()
    else:
        (stored.folder / "all/a/1.npy").unlink()
        (stored.folder / "all/a/1.npy").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(trees, "hash_file", lambda *args: pytest.fail("a file was hashed"))
    provider = many.asset_provider
    assert provider.store.find(provider.catalog.dataset("photos"), provider.catalog) is None


# -- steps over other assets ---------------------------------------------------------------

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
