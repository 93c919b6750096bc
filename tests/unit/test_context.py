"""A build context is the same bytes, modes and times on every machine."""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import replace

import pytest
from layer_parts import NO_PARTS

from orchestrator.errors import StepFailed
from orchestrator.facts.build import LayerStep, SdistPin
from orchestrator.images.context import laid_out
from orchestrator.plan.build.content import EPOCH, context_files, empty_folder, text_file
from orchestrator.plan.build.layers import rendered


def step(*files, dockerfile: str = "FROM scratch\nADD content.tar /\n") -> LayerStep:
    return LayerStep(
        name="one", level="side", platform="linux/amd64", content_id="a" * 64, parent=None,
        dockerfile=dockerfile, files=files,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "b.sh").write_text("b")
    (source / "deep" / "b.sh").chmod(0o700)
    (source / "a.txt").write_text("a")
    return (
        *context_files(source, "content/opt/x"),
        text_file("content/opt/facts.json", "{}\n"),
        empty_folder("content/results"),
    )


def test_what_a_layer_copies_is_one_archive_of_one_time_and_owner(tmp_path, files):
    with (
        laid_out(step(*files), tmp_path, NO_PARTS, lambda _event: None) as context,
        tarfile.open(context / "content.tar") as archive,
    ):
        members = archive.getmembers()
        data = archive.extractfile("opt/x/deep/b.sh").read()
    assert [(m.name, m.mode) for m in members] == [
        ("opt", 0o755), ("opt/facts.json", 0o644), ("opt/x", 0o755), ("opt/x/a.txt", 0o644),
        ("opt/x/deep", 0o755), ("opt/x/deep/b.sh", 0o755), ("results", 0o755),
    ]  # fmt: skip
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(EPOCH, 0, 0, "", "")}
    assert data == b"b"


def test_neither_the_umask_nor_the_clock_changes_a_byte(tmp_path, files):
    found = []
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            with laid_out(step(*files), tmp_path, NO_PARTS, lambda _event: None) as context:
                paths = sorted(context.rglob("*"))
                found.append(hashlib.sha256((context / "content.tar").read_bytes()).hexdigest())
                found.append(
                    str([(p.relative_to(context), p.stat().st_mode, p.stat().st_mtime) for p in paths if p.is_dir()])
                )
        finally:
            os.umask(before)
    assert found[:2] == found[2:]
    assert f"{EPOCH}" in found[1]


def test_the_archive_is_made_only_where_the_text_names_it(tmp_path, files):
    with laid_out(step(*files, dockerfile="FROM scratch\n"), tmp_path, NO_PARTS, lambda _event: None) as context:
        assert not (context / "content.tar").exists()
        assert (context / "content/opt/x/a.txt").exists(), "templates may copy from the folder"


def test_a_context_is_removed_and_a_file_that_went_away_is_told(tmp_path, files):
    (tmp_path / "source" / "a.txt").unlink()
    with pytest.raises(StepFailed) as caught, laid_out(step(*files), tmp_path, NO_PARTS, lambda _event: None):
        pass
    assert caught.value.slug == "context"
    assert not list((tmp_path / "contexts").iterdir())


def test_an_empty_folder_is_no_file_of_what_is_rendered(files):
    assert sorted(rendered("cpu", [step(*files)])) == [
        "cpu/one/Dockerfile", "cpu/one/content/opt/facts.json", "cpu/one/layer.json",
    ]  # fmt: skip


def test_what_a_killed_build_left_goes_with_a_later_build_of_another_layer(tmp_path, files):
    with laid_out(step(*files), tmp_path, NO_PARTS, lambda _event: None) as used:
        pass
    left, other = used, replace(step(*files), name="two")
    left.mkdir()  # nobody has its lock any more
    (left / "rootfs.tar").write_text("x")
    with laid_out(other, tmp_path, NO_PARTS, lambda _event: None) as used:
        assert not left.exists()
        with laid_out(step(*files), tmp_path, NO_PARTS, lambda _event: None) as folder:
            assert (used / "Dockerfile").is_file(), "it is at work"
            assert (folder / "Dockerfile").is_file()


EDITS = {
    "other bytes of the same size and time": lambda path: rewritten(path, "b", "x"),
    "more bytes": lambda path: path.write_text("bb"),
    "executable": lambda path: path.chmod(0o600),
}


def rewritten(path, was: str, now: str) -> None:
    assert path.read_text() == was
    stat = path.stat()
    path.write_text(now)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("edit", EDITS)
def test_a_file_that_is_edited_while_an_earlier_layer_builds_gets_into_no_image(tmp_path, files, edit):
    edited = tmp_path / "source/deep/b.sh"
    EDITS[edit](edited)
    with (
        pytest.raises(StepFailed) as caught,
        laid_out(step(*files), tmp_path, NO_PARTS, lambda _event: None),
    ):
        pytest.fail("a builder was given a context that the plan does not name")
    assert caught.value.slug == "source-changed"
    assert str(edited) in caught.value.message
    assert "run it again" in caught.value.hint
    assert not list((tmp_path / "contexts").iterdir())


def test_a_source_distribution_that_differs_from_its_pin_gets_into_no_image(tmp_path):
    pin = SdistPin(name="x", version="1", filename="x-1.tar.gz", sha256=hashlib.sha256(b"x").hexdigest(), size=1)
    parts = replace(NO_PARTS, sdist=lambda _pin, out: out.write_bytes(b"y"))
    with (
        pytest.raises(StepFailed) as caught,
        laid_out(replace(step(dockerfile="FROM scratch\n"), sdists=(pin,)), tmp_path, parts, lambda _event: None),
    ):
        pass
    assert caught.value.slug == "source-changed"
    assert "x-1.tar.gz" in caught.value.message
