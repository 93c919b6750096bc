"""Rebuilt images compared: the first file that differs, and in what; else the first field of the configuration."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field, replace

import pytest
from layer_parts import NO_PARTS

from orchestrator.engines import ImageFacts
from orchestrator.errors import StepFailed
from orchestrator.facts.build import LayerStep
from orchestrator.facts.build_settings import BuildSettings
from orchestrator.images.difference import File, LayerFiles, first_difference
from orchestrator.images.layout.archive import opened
from orchestrator.images.rebuild import Rebuilder, compare

PLAIN = File(path="etc/a", kind="file", mode=0o644, owner="0:0", mtime=1, content="sha256:aa")
LINK = File(path="etc/b", kind="symbolic link", mode=0o777, owner="0:0", mtime=1, target="a")
CONFIG = {"created": "2023", "config": {"Env": ["A=1", "B=2"]}, "history": [{"created_by": "ADD x /"}]}


def image(*files: File, config=None, digest="d", stored="s"):
    layer = LayerFiles(made_by="ADD x /", digest=digest, stored=stored, files=files)
    return [layer], CONFIG if config is None else config


def difference(*files: File, was=(PLAIN, LINK)):
    return first_difference(image(*was), image(*files, digest="other"))


def test_equal_images_have_no_difference():
    assert first_difference(image(PLAIN), image(PLAIN)) is None


@pytest.mark.parametrize(
    ("change", "what", "there", "rebuilt"),
    [
        ({"content": "sha256:bb"}, "content", "sha256:aa", "sha256:bb"),
        ({"mode": 0o755}, "mode", "0644", "0755"),
        ({"owner": "0:7"}, "owner", "0:0", "0:7"),
        ({"mtime": 2}, "mtime", "1", "2"),
        ({"kind": "folder"}, "kind", "file", "folder"),
        ({"attributes": (("user.a", "x"),)}, "attributes", "none", "user.a=x"),
    ],
)
def test_a_file_is_named_with_what_differs_in_it(change, what, there, rebuilt):
    found = difference(replace(PLAIN, **change), LINK)
    assert (found.where, found.layer, found.path, found.what) == ("layer", 0, "etc/a", what)
    assert (found.there, found.rebuilt) == (there, rebuilt)
    assert str(found) == f"layer 0 (ADD x /): /etc/a: {what}: {there} there, {rebuilt} rebuilt"


def test_a_links_target_counts():
    assert difference(PLAIN, replace(LINK, target="c")).what == "target"


def test_a_file_that_came_or_went_is_named():
    assert str(difference(LINK)).endswith("/etc/a: present: a file there, missing rebuilt")
    assert difference(PLAIN, LINK, replace(PLAIN, path="etc/c")).rebuilt == "a file"


def test_the_weightiest_fault_of_a_file_comes_first_and_the_rest_is_told():
    found = difference(replace(PLAIN, content="sha256:bb", mtime=9), LINK)
    assert (found.what, found.also) == ("content", ("mtime",))
    assert "content (and mtime)" in str(found)


def test_a_time_is_only_named_where_nothing_weightier_differs():
    """A file of other content gives its folder another time: the folder is not the cause."""
    found = difference(replace(PLAIN, mtime=9), replace(LINK, target="c"))
    assert (found.path, found.others) == ("etc/b", 1)
    assert str(found).endswith("; 1 more differ")


def test_the_lowest_layer_that_differs_is_the_one_that_counts():
    layers = [LayerFiles(made_by=f"RUN {n}", digest=str(n), stored=str(n)) for n in range(3)]
    others = [layers[0], *(replace(layer, digest="x", files=(PLAIN,)) for layer in layers[1:])]
    found = first_difference((layers, CONFIG), (others, CONFIG))
    assert (found.layer, found.made_by, found.path) == (1, "RUN 1", "etc/a")


def test_the_same_files_in_another_archive_are_told_as_that():
    assert "another order" in str(difference(PLAIN, LINK))


def test_a_field_of_the_configuration_is_named_by_its_place():
    other = {**CONFIG, "config": {"Env": ["A=1", "B=3"]}}
    found = first_difference(image(PLAIN), image(PLAIN, config=other))
    assert (found.where, found.path, found.there, found.rebuilt) == ("config", "config.Env.1", "B=2", "B=3")
    assert str(found) == "the configuration's config.Env.1: B=2 there, B=3 rebuilt"


def test_a_field_that_is_missing_is_told():
    found = first_difference(image(PLAIN), image(PLAIN, config={k: CONFIG[k] for k in ("config", "history")}))
    assert (found.path, found.rebuilt) == ("created", "missing")


def test_bytes_that_only_a_compressor_changed_are_told_as_that():
    found = first_difference(image(PLAIN), image(PLAIN, stored="t"))
    assert (found.what, found.there, found.rebuilt) == ("compression", "s", "t")


# -- saved images ---------------------------------------------------------------------------


def tar(*members: tuple[str, bytes, dict]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, more in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def saved(path, *layers: bytes, level: int = 9, **config):
    """An image as an engine saves it: an OCI layout in a tar."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    described = [
        put(gzip.compress(data, level, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for data in layers
    ]
    history = [
        {"created_by": "ENV A=b", "empty_layer": True},
        *({"created_by": f"ADD {i} / # buildkit"} for i in range(9)),
    ]
    document = {
        "architecture": "amd64", "os": "linux", "config": config, "history": history[: len(layers) + 1],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "layers": described,
        "config": put(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json"),
    }  # fmt: skip
    index = {"manifests": [put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")]}
    files = {f"blobs/sha256/{digest}": data for digest, data in blobs.items()}
    files |= {"index.json": json.dumps(index).encode(), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    path.write_bytes(tar(*((name, data, {}) for name, data in files.items())))
    return path


def compared(one, other):
    with opened(one) as a, opened(other) as b:
        return compare(a, b)


BASE = tar(("same", b"same", {}))


def test_two_saved_images_are_read_and_the_file_that_differs_is_found(tmp_path):
    one = saved(tmp_path / "1", BASE, tar(("a", b"x", {}), ("b", b"y", {"mode": 0o600})))
    other = saved(tmp_path / "2", BASE, tar(("a", b"x", {}), ("b", b"z", {"mode": 0o600})))
    found = compared(one, other)
    assert (found.layer, found.made_by, found.path, found.what) == (1, "ADD 1 /", "b", "content")
    assert found.there == f"sha256:{hashlib.sha256(b'y').hexdigest()}"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"uid": 7}, "owner"),
        ({"mtime": 2}, "mtime"),
        ({"pax_headers": {"SCHILY.xattr.security.capability": "x"}}, "attributes"),
    ],
)
def test_what_a_member_carries_is_compared(tmp_path, change, what):
    one = saved(tmp_path / "1", tar(("a", b"x", {})))
    assert compared(one, saved(tmp_path / "2", tar(("a", b"x", change)))).what == what


def test_saved_images_with_the_same_files_and_another_label(tmp_path):
    one, other = saved(tmp_path / "1", BASE, Labels={"a": "1"}), saved(tmp_path / "2", BASE, Labels={"a": "2"})
    assert compared(one, other).path == "config.Labels.a"


def test_saved_images_that_only_a_compressor_changed(tmp_path):
    big = tar(("same", bytes(range(256)) * 99, {}))
    assert compared(saved(tmp_path / "1", big), saved(tmp_path / "2", big, level=1)).what == "compression"


def test_a_saved_image_that_is_cut_short_is_refused(tmp_path):
    whole = saved(tmp_path / "1", BASE)
    cut = tmp_path / "2"
    cut.write_bytes(whole.read_bytes()[:1500])
    with pytest.raises(StepFailed) as caught:
        compared(whole, cut)
    assert caught.value.slug == "bad-archive"


# -- the rebuild itself ---------------------------------------------------------------------


def step(name: str, parent: str | None = None) -> LayerStep:
    return LayerStep(
        name=name, level="side", platform="linux/amd64", content_id=name * 8, parent=parent, dockerfile="FROM scratch\n"
    )


@dataclass
class FakeEngine:
    """Holds image ids by reference; builds give the id that was foretold."""

    ids: dict[str, str]
    gives: str = "sha256:same"
    fails: bool = False
    builds: list = field(default_factory=list)
    removed: list = field(default_factory=list)

    def image(self, reference):
        found = self.ids.get(reference)
        return found and ImageFacts(image=reference, image_id=found, digest=found, size=1, created="", labels={})

    def build(self, request, on_event):
        made = request.step
        self.builds.append((made.image, request.labels["org.mlorch.content-id"], request.settings.no_cache))
        self.ids[made.image] = self.gives
        if self.fails:
            raise StepFailed("no", slug="build-failed")
        return self.image(made.image)

    def save(self, references, out):
        saved(out, tar(("a", self.ids[references[0]].encode(), {})))

    def remove_image(self, reference):
        self.removed.append(reference)
        self.ids.pop(reference)


def rebuilder(engine, tmp_path) -> Rebuilder:
    return Rebuilder(engine=engine, settings=BuildSettings(), parts=NO_PARTS, cache=tmp_path)


def test_a_rebuild_uses_no_cache_and_another_name_and_leaves_the_engine_as_it_was(tmp_path):
    one = step("one")
    engine = FakeEngine({one.image: "sha256:same"})
    (outcome,) = rebuilder(engine, tmp_path).verify([one])
    assert (outcome.state, outcome.digest, outcome.difference) == ("identical", "sha256:same", None)
    ((name, content_id, no_cache),) = engine.builds
    assert name != one.image
    assert (content_id, no_cache) == (one.content_id, True)
    assert engine.ids == {one.image: "sha256:same"}
    assert not list((tmp_path / "contexts").iterdir())


def test_another_image_is_compared_file_by_file_and_every_layer_is_looked_at(tmp_path):
    one, two = step("one"), step("two", step("one").image)
    engine = FakeEngine({one.image: "sha256:was", two.image: "sha256:same"})
    first, second = rebuilder(engine, tmp_path).verify([one, two])
    assert (first.state, first.difference.path, first.difference.what) == ("differs", "a", "content")
    assert (first.digest, first.rebuilt) == ("sha256:was", "sha256:same")
    assert second.state == "identical"
    assert not list(tmp_path.glob("rebuild-*"))


def test_the_same_content_in_another_compression_is_no_failure(tmp_path, monkeypatch):
    """As of an image that another version of the engine built and a registry gave."""
    one = step("one")
    engine = FakeEngine({one.image: "sha256:was"})
    big = tar(("same", bytes(range(256)) * 99, {}))
    levels = iter((9, 1))
    monkeypatch.setattr(FakeEngine, "save", lambda _self, _references, out: saved(out, big, level=next(levels)))
    (outcome,) = rebuilder(engine, tmp_path).verify([one])
    assert (outcome.state, outcome.difference.what) == ("same-content", "compression")


@pytest.mark.parametrize("there", [(), ("two",)])
def test_nothing_is_built_where_an_image_or_its_parent_is_not_there(tmp_path, there):
    one = step("one")
    two = step("two", one.image)
    engine = FakeEngine({each.image: "sha256:x" for each in (one, two) if each.name in there})
    with pytest.raises(StepFailed) as caught:
        rebuilder(engine, tmp_path).verify([two])
    assert caught.value.slug == "no-image"
    assert "`mlorch build`" in caught.value.hint
    assert engine.builds == []


def test_a_rebuild_that_fails_leaves_no_name_behind(tmp_path):
    one = step("one")
    engine = FakeEngine({one.image: "sha256:same"}, fails=True)
    with pytest.raises(StepFailed):
        rebuilder(engine, tmp_path).verify([one])
    assert engine.ids == {one.image: "sha256:same"}


def test_without_a_comparison_the_new_image_takes_the_name(tmp_path):
    one = step("one")
    engine = FakeEngine({one.image: "sha256:was"})
    (outcome,) = rebuilder(engine, tmp_path).replace([one])
    assert (outcome.state, engine.ids) == ("rebuilt", {one.image: "sha256:same"})
