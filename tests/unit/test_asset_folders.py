"""A data set that is a folder of many files: pinned by its manifest, and every change of it noticed."""

import hashlib
from pathlib import Path

import pytest
from asset_world_parts import Engine, World, sha

from orchestrator.assets import trees
from orchestrator.errors import AssetError


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


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
