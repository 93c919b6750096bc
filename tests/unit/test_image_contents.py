"""What is inside an image as its layers tell it: packages that the last one leaves, and layers that are none."""

from __future__ import annotations

import pytest
from bundle_parts import INSIDE, STANZA, inside, layout, plan, tar_of

from orchestrator.errors import StepFailed
from orchestrator.images.attest.evidence import packages_in
from orchestrator.images.layout.archive import opened
from orchestrator.images.layout.oci import images_of


def test_packages_are_those_that_the_last_layer_leaves(tmp_path):
    _, found = inside(tmp_path, [INSIDE, {"opt/x": b"x"}])
    assert found == {("deb", "libc6"): "2.36-9", ("pypi", "some-engine"): "1.20"}
    stanzas, python = "var/lib/dpkg/status.d", "usr/local/lib/python3.11/dist-packages"
    newer = STANZA.replace(b"2.36-9", b"2.37")
    for layer, left in (
        ({f"{stanzas}/.wh.libc6": b""}, {("pypi", "some-engine")}),
        ({f"{python}/.wh.some_engine-1.20.dist-info": b""}, {("deb", "libc6")}),
        ({f"{python}/.wh..wh..opq": b""}, {("deb", "libc6")}),
        ({".wh.usr": b""}, {("deb", "libc6")}),
        ({f"{stanzas}/.wh..wh..opq": b"", f"{stanzas}/libc6": newer}, {("deb", "libc6"), ("pypi", "some-engine")}),
        ({f"{stanzas}/libc6": newer, f"{stanzas}/.wh..wh..opq": b""}, {("deb", "libc6"), ("pypi", "some-engine")}),
    ):
        _, found = inside(tmp_path, [INSIDE, layer])
        assert found.keys() == left, layer
    assert found["deb", "libc6"] == "2.37"


def test_a_database_of_dpkg_is_read_without_what_was_removed(tmp_path):
    gone = STANZA.replace(b"libc6", b"gone").replace(b"install ok installed", b"deinstall ok config-files")
    other = b"Package: zlib1g\nStatus: install ok installed\nDescription: folded\n line: two\nVersion: 1:1.2\n"
    _, found = inside(tmp_path, [{"var/lib/dpkg/status": STANZA + b"\n" + gone + b"\n" + other}])
    assert found == {("deb", "libc6"): "2.36-9", ("deb", "zlib1g"): "1:1.2"}


@pytest.mark.parametrize("layer", [b"", b"no tar at all" * 100])
def test_a_layer_that_is_no_tar_is_refused_or_empty(tmp_path, layer, monkeypatch):
    import bundle_parts

    monkeypatch.setattr(bundle_parts, "tar_of", lambda files: layer if files == {} else tar_of(files))
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(layout(plan(), [{}])))
    with opened(path) as archive:
        (image,) = images_of(archive)
        with pytest.raises(StepFailed) as caught:
            packages_in(image, archive, path)
    assert caught.value.slug == "bad-archive"


def test_a_file_in_a_layer_that_claims_to_be_huge_ends_the_reading_at_once(tmp_path, monkeypatch):
    import tarfile

    import bundle_parts

    member = tarfile.TarInfo("huge")
    member.size = 1 << 62
    layer = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    monkeypatch.setattr(bundle_parts, "tar_of", lambda files: layer if files == {} else tar_of(files))
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(layout(plan(), [{}])))
    with opened(path) as archive:
        (image,) = images_of(archive)
        with pytest.raises(StepFailed, match="ends inside a file"):
            packages_in(image, archive, path)
