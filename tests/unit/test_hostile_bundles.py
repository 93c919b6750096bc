"""Hostile bundles are refused with nothing left behind: names, kinds, sizes, lists that lie, headers without end."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile

import pytest
from bundle_parts import (
    bundle,
    everything_below,
    layout,
    members,
    plan,
    reading,
    refusal,
    relisted,
    rewritten,
    sha,
    tar_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import StepFailed
from orchestrator.images.bundle.read import checked


def added(name: str, **facts):
    def change(found):
        member = tarfile.TarInfo(name)
        for key, value in facts.items():
            setattr(member, key, value)
        found.insert(0, (member, b"" if facts.get("type") else b"evil"))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (added("../evil"), "leads out"),
        (added("blobs/../../evil"), "leads out"),
        (added("/etc/evil"), "leads out"),
        (added("a//b"), "no name of a file"),
        (added("a\\..\\b"), "no name of a file"),
        (added("a\nb"), "no name of a file"),
        (added("x" * 2000), "no name of a file"),
        (added("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a file nor a folder"),
        (added("link", type=tarfile.LNKTYPE, linkname="index.json"), "neither a file nor a folder"),
        (added("dev", type=tarfile.CHRTYPE), "neither a file nor a folder"),
        (added("disk", type=tarfile.BLKTYPE), "neither a file nor a folder"),
        (added("pipe", type=tarfile.FIFOTYPE), "neither a file nor a folder"),
        (added("index.json"), "in it twice"),
        (added("./index.json"), "in it twice"),
        (added("index.json/x"), "a file and a folder"),
        (added("oci-layout", type=tarfile.DIRTYPE), "a file and a folder"),
        (added("stranger"), "not in its list"),
        (added("blobs/sha256/" + "0" * 64), "not in its list"),
    ],
)
def test_names_and_kinds_that_could_do_harm_are_refused(tmp_path, change, words):
    path = rewritten(bundle(tmp_path), change)
    before = everything_below(tmp_path)
    error = refusal(path)
    assert error.slug == "hostile-archive"
    assert words in error.message
    assert everything_below(tmp_path) == before


def test_headers_that_claim_to_be_huge_do_not_fill_the_memory(tmp_path):
    path = tmp_path / "b.tar"
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert refusal(path).slug == "hostile-archive"
    negative = tarfile.TarInfo("x")
    negative.size = -512
    path.write_bytes(negative.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert refusal(path).slug in {"hostile-archive", "bad-archive"}


def test_a_sparse_file_which_is_larger_than_it_is_is_refused(tmp_path):
    path = tmp_path / "b.tar"
    text = b"1\n0\n1\n"
    member = tarfile.TarInfo("GNUSparseFile.0/x")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
    member.size = 512
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(text.ljust(512, b"\0")))
    assert "sparse" in refusal(path).message


def test_what_is_no_tar_or_not_there_is_told(tmp_path):
    path = tmp_path / "b.tar"
    assert refusal(path).slug == "no-archive"
    for data in (b"", b"hello", os.urandom(4096), gzip.compress(tar_of({"x": b"x"}))):
        path.write_bytes(data)
        assert refusal(path).slug == "bad-archive"


def changed_list(key, value):
    def change(document, _found):
        document[key] = value(document[key])

    return change


def drop(part):
    def change(found):
        found[:] = [(member, data) for member, data in found if part not in member.name]

    return change


@pytest.mark.parametrize(
    ("spoil", "slug", "words"),
    [
        (lambda p: rewritten(p, drop("mlorch-bundle")), "bad-archive", "cut short"),
        (lambda p: rewritten(p, drop("licences")), "bad-archive", "in its list, but not in it"),
        (lambda p: relisted(p, changed_list("version", lambda _v: 2)), "bundle-version", "version 2"),
        (lambda p: relisted(p, changed_list("images", lambda _v: [])), "bad-archive", "lists no image"),
        (
            lambda p: relisted(p, changed_list("images", lambda v: [{**v[0], "reference": "debian:latest"}])),
            "bad-archive",
            "no image of mlorch",
        ),
        (
            lambda p: relisted(p, changed_list("images", lambda v: [{**v[0], "config": "sha256:" + "0" * 64}])),
            "bad-archive",
            "not those of its list",
        ),
        (
            lambda p: relisted(p, changed_list("assets", lambda v: [{**v[0], "key": "../../x"}])),
            "bad-archive",
            "no asset",
        ),
        (lambda p: relisted(p, changed_list("assets", lambda _v: [])), "hostile-archive", "does not belong"),
        (lambda p: relisted(p, changed_list("definitions", lambda _v: 1)), "hostile-archive", "does not belong"),
        (lambda p: relisted(p, changed_list("definitions", lambda _v: -1)), "bad-archive", "number"),
        (lambda p: relisted(p, lambda d, _f: d.update(evil=1)), "bad-archive", "unknown key"),
        (
            lambda p: relisted(p, changed_list("plans", lambda v: [{**v[0], "layers": v[0]["layers"][:1]}])),
            "bad-archive",
            "the plan of classify",
        ),
    ],
)
def test_a_list_that_does_not_tell_the_truth_is_refused(tmp_path, spoil, slug, words):
    error = refusal(spoil(bundle(tmp_path)))
    assert error.slug == slug
    assert words in error.message


def swapped(name_part: str, data_of):
    """A file with other bytes; the list says so too, so that only its own hash can tell."""

    def change(document, found):
        index = next(i for i, (member, _) in enumerate(found) if name_part in member.name)
        member, data = found[index]
        fresh = data_of(data)
        found[index] = (member, fresh)
        document["files"][member.name] = {"sha256": sha(fresh), "size": len(fresh)}

    return change


def test_bytes_other_than_their_hash_says_are_refused(tmp_path):
    path = bundle(tmp_path)

    def spoil_data(found):
        index = next(i for i, (member, _) in enumerate(found) if member.name.endswith("net.onnx"))
        found[index] = (found[index][0], b"wEights")

    assert "not what its hash says" in refusal(rewritten(path, spoil_data)).message
    blob = max((m.name for m, _ in members(path) if m.name.startswith("blobs/")), key=len)
    error = refusal(relisted(path, swapped(blob, lambda data: data[:-1] + b"?")))
    assert error.slug == "bad-archive"


def test_an_index_that_points_to_nothing_and_a_blob_that_nobody_needs_are_refused(tmp_path):
    path = bundle(tmp_path)

    def lose(document, found):
        blobs = [m.name for m, data in found if m.name.startswith("blobs/") and not data.startswith(b"{")]
        drop(blobs[0])(found)
        del document["files"][blobs[0]]

    assert "is not there" in refusal(relisted(path, lose)).message

    def stow(document, found):
        data = b"something else entirely"
        name = f"blobs/sha256/{sha(data)}"
        added(name)(found)
        found[0] = (found[0][0], data)
        document["files"][name] = {"sha256": sha(data), "size": len(data)}

    error = refusal(relisted(path, stow))
    assert error.slug == "hostile-archive"
    assert "no image needs" in error.message


def test_a_layer_that_unpacks_to_far_too_much_is_stopped_early(tmp_path, monkeypatch):
    made = plan()
    bomb = layout(made, [{"zeros": bytes(96 << 20)}])
    path = bundle(tmp_path, made, bomb)
    assert path.stat().st_size < 1 << 20
    error = refusal(path)
    assert error.slug == "hostile-archive"
    assert "unpacks to more than 64 MiB" in error.message


def test_a_layer_that_is_not_what_its_configuration_says_is_refused(tmp_path):
    made = plan()
    other = layout(made, rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 2})
    assert "does not unpack to" in refusal(bundle(tmp_path, made, other)).message


def test_an_image_under_the_name_of_another_is_refused(tmp_path):
    made = plan()
    files = layout(made, config={"Labels": {"org.mlorch.content-id": "0" * 64}})
    assert "says of itself" in refusal(bundle(tmp_path, made, files)).message


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_damage_is_an_error_of_ours_or_changes_nothing(tmp_path_factory, data):
    """Whatever is cut off or overwritten: refused with a hint, or (in unused bits of headers) read as before."""
    folder = tmp_path_factory.getbasetemp() / "damage"
    if not folder.exists():
        folder.mkdir()
        bundle(folder)
    whole = (folder / "b.tar").read_bytes()
    spoiled = bytearray(whole)
    if data.draw(st.booleans()):
        del spoiled[data.draw(st.integers(0, len(whole) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if spoiled:
            at = data.draw(st.integers(0, len(spoiled) - 1))
            spoiled[at : at + 1] = data.draw(st.binary(min_size=1, max_size=4))
    path = folder / "spoiled.tar"
    path.write_bytes(spoiled)
    before = everything_below(folder)
    with contextlib.suppress(StepFailed), checked(path) as found:
        assert found.contents == reading(folder / "b.tar")
    assert everything_below(folder) == before


# -- headers about headers --------------------------------------------------------------------


def nested(kind: bytes, count: int) -> bytes:
    """``count`` extended headers, each about the next one."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = kind, 2
    return (member.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * count


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_headers_about_headers_without_end_are_refused(tmp_path, kind):
    path = tmp_path / "b.tar"
    path.write_bytes(nested(kind, 20_000) + tar_of({"x": b"x"}))
    assert refusal(path).slug in {"hostile-archive", "bad-archive"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("files", []), ("images", {}), ("images", [1]), ("plans", [{"target": 1}]), ("definitions", "1"),
     ("definitions", 10**30), ("assets", [{"kind": "model", "name": ["x"], "key": "k"}]), ("mlorch", None)],
)  # fmt: skip
def test_values_of_another_type_in_a_list_are_told(tmp_path, field, value):
    path = relisted(bundle(tmp_path), lambda document, _found: document.update({field: value}))
    assert refusal(path).slug == "bad-archive"
