"""Layouts in folders and archives: a base image out of each, and hostile ones refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
from bundle_parts import layout, plan, sha, tar_of

from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.scratch import scratch_folder
from orchestrator.images.base_layout import Folder, with_layout
from orchestrator.images.layout.archive import opened
from orchestrator.images.layout.oci import images_of, packing
from orchestrator.images.registry.manifests import Descriptor
from orchestrator.plan.build.bases import Base


def in_folder(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def in_archive(path, files):
    path.write_bytes(tar_of(files))
    return path


def base(path) -> Base:
    return Base(kind="oci", package_manager="apt", path=str(path))


def digest_in(files) -> str:
    return json.loads(files["index.json"])["manifests"][0]["digest"]


@pytest.fixture
def files():
    return layout(plan())


def test_a_base_from_a_folder_and_from_an_archive_of_it(tmp_path, files):
    folder, archive = in_folder(tmp_path / "layout", files), in_archive(tmp_path / "a.tar", files)
    packed = tmp_path / "a.tar.gz"
    packed.write_bytes(gzip.compress(archive.read_bytes()))
    assert with_layout(base(folder), tmp_path / "cache").path == str(folder)
    for path in (folder, archive, packed):
        found = with_layout(base(path), tmp_path / "cache")
        assert found.digest == digest_in(files)
        assert [image.digest for image in images_of(Folder(tmp_path / found.path))] == [found.digest]
        assert with_layout(base(path), tmp_path / "cache") == found
    other = Base(kind="bootstrap", package_manager="apt")
    assert with_layout(other, tmp_path / "cache") is other


def test_what_a_killed_unpack_left_goes_with_the_next(tmp_path, files):
    with scratch_folder(tmp_path / "cache/oci", ".unpack-") as left:
        pass
    (left / "layout").mkdir(parents=True)  # nobody has its lock any more
    with_layout(base(in_archive(tmp_path / "a.tar", files)), tmp_path / "cache")
    assert [path.name[0] == "." for path in (tmp_path / "cache/oci").iterdir()] == [False]


def test_an_index_of_several_platforms_is_a_base_too(tmp_path, files):
    inner = json.dumps({"schemaVersion": 2, "manifests": json.loads(files["index.json"])["manifests"]}).encode()
    listed = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{sha(inner)}"}
    files["index.json"] = json.dumps({"manifests": [{**listed, "size": len(inner)}]}).encode()
    files[f"blobs/sha256/{sha(inner)}"] = inner
    assert with_layout(base(in_folder(tmp_path / "l", files)), tmp_path).digest == f"sha256:{sha(inner)}"


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError) as caught:
        with_layout(base(tmp_path / "absent"), tmp_path)
    assert caught.value.slug == "missing-base"


def spoiled(files, change) -> dict[str, bytes]:
    change(files)
    return files


def two_images(files):
    index = json.loads(files["index.json"])
    files["index.json"] = json.dumps({"manifests": index["manifests"] * 2}).encode()


def manifest_name(files):
    return "blobs/sha256/" + digest_in(files).removeprefix("sha256:")


SPOILED = {
    "no index": lambda files: files.pop("index.json"),
    "an index that is no JSON": lambda files: files.update({"index.json": b"{"}),
    "an index of nothing": lambda files: files.update({"index.json": b'{"manifests": []}'}),
    "two images": two_images,
    "no manifest": lambda files: files.pop(manifest_name(files)),
    "another manifest": lambda files: files.update({manifest_name(files): b"{}"}),
    "a manifest of the same size": lambda files: files.update(
        {manifest_name(files): files[manifest_name(files)].replace(b"schema", b"SCHEMA")}
    ),
    "a digest that leads elsewhere": lambda files: files.update(
        {"index.json": b'{"manifests": [{"digest": "sha256:../../../etc/passwd", "size": 1}]}'}
    ),
}


@pytest.mark.parametrize("kind", [in_folder, in_archive])
@pytest.mark.parametrize("change", SPOILED)
def test_what_is_no_layout_of_one_image_is_refused(tmp_path, files, change, kind):
    path = kind(tmp_path / "layout", spoiled(files, SPOILED[change]))
    with pytest.raises(UsageError) as caught:
        with_layout(base(path), tmp_path / "cache")
    assert caught.value.slug == "bad-oci"
    assert str(path) in caught.value.message


def test_no_link_in_a_folder_is_followed(tmp_path, files):
    folder = in_folder(tmp_path / "layout", files)
    (folder / "index.json").rename(tmp_path / "index.json")
    (folder / "index.json").symlink_to(tmp_path / "index.json")
    with pytest.raises(UsageError) as caught:
        with_layout(base(folder), tmp_path / "cache")
    assert caught.value.slug == "bad-oci"


@pytest.mark.parametrize(("name", "kind"), [("../out", tarfile.REGTYPE), ("blobs/x", tarfile.SYMTYPE)])
def test_a_hostile_archive_leaves_nothing(tmp_path, files, name, kind):
    path = in_archive(tmp_path / "a.tar", files)
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(UsageError) as caught:
        with_layout(base(path), tmp_path / "cache")
    assert caught.value.slug == "bad-oci"
    assert not list(tmp_path.glob("cache/oci/*"))
    assert not (tmp_path / "cache/out").exists()


def test_a_layer_that_is_not_what_its_name_says_is_not_unpacked(tmp_path, files):
    name = next(name for name, data in files.items() if data.startswith(b"\x1f\x8b"))
    files[name] = bytes(len(files[name]))
    with pytest.raises(UsageError) as caught:
        with_layout(base(in_archive(tmp_path / "a.tar", files)), tmp_path / "cache")
    assert caught.value.slug == "bad-oci"
    assert not list(tmp_path.glob("cache/oci/*"))


def test_garbage_is_no_archive(tmp_path):
    for data in (b"garbage" * 1000, gzip.compress(b"garbage" * 1000), gzip.compress(b"x" * 10_000)[:30]):
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(StepFailed) as caught, opened(tmp_path / "a.tar", packed=True):
            pass
        assert caught.value.slug == "bad-archive"


def test_what_is_written_is_read_and_is_the_same_bytes_every_time(tmp_path, files):
    (listed,) = json.loads(files["index.json"])["manifests"]
    named = Descriptor(
        media_type=listed["mediaType"], digest=listed["digest"], size=listed["size"], annotations=listed["annotations"]
    )
    for name in ("one.tar", "two.tar"):
        with (tmp_path / name).open("wb") as out, packing(out) as pack:
            pack.add_index([named])
            for blob in sorted(name for name in files if name.startswith("blobs/")):
                digest = "sha256:" + blob.rpartition("/")[2]
                assert pack.add_blob(digest, io.BytesIO(files[blob]), len(files[blob]))
            assert not pack.add_blob(f"sha256:{'0' * 64}", io.BytesIO(b"x"), 1)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with opened(tmp_path / "one.tar") as archive:
        (image,) = images_of(archive)
    assert (image.reference, image.digest, image.size) == (plan().image, named.digest, named.size)
