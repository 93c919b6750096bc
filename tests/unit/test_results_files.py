"""Atomic writes: the old file or the new one, never half of one, nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from orchestrator.errors import MlorchError
from orchestrator.host import files
from orchestrator.host.files import WriteFailed, atomic_write_bytes, atomic_write_text, sha256_file


def test_a_new_file_is_written_whole(tmp_path):
    atomic_write_text(tmp_path / "a", "grün\n")
    assert (tmp_path / "a").read_bytes() == "grün\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(WriteFailed) as caught:
        atomic_write_text(tmp_path / "a", "new")
    assert caught.value.slug == "exists"
    assert (tmp_path / "a").read_text() == "old"
    atomic_write_text(tmp_path / "a", "new", overwrite=True)
    assert (tmp_path / "a").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_permissions_are_kept_or_set(tmp_path):
    place = tmp_path / "a"
    place.write_text("old")
    place.chmod(0o640)
    atomic_write_text(place, "new", overwrite=True)
    assert place.stat().st_mode & 0o777 == 0o640
    atomic_write_bytes(tmp_path / "b", b"x", mode=0o600)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("broken", ["fsync", "link"])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, broken):
    (tmp_path / "a").write_text("old")

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, broken, full)
    name, overwrite = ("a", True) if broken == "fsync" else ("b", False)
    with pytest.raises(WriteFailed, match="No space left") as caught:
        atomic_write_text(tmp_path / name, "new" * 1000, overwrite=overwrite)
    assert "Free some space" in caught.value.hint
    assert isinstance(caught.value, MlorchError)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_a_real_full_file_system_is_told_apart(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space left") as caught, full.open("wb", buffering=0) as stream:
        stream.write(b"x")
    assert "Free some space" in files.write_failure(tmp_path / "a", caught.value).hint


def test_a_file_system_without_hard_links_still_never_overwrites(tmp_path, monkeypatch):
    def refused(*_args):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(files.os, "link", refused)
    atomic_write_text(tmp_path / "a", "one")
    with pytest.raises(WriteFailed):
        atomic_write_text(tmp_path / "a", "two")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "one"}


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(WriteFailed, match="cannot write"):
        atomic_write_text(tmp_path / "no" / "a", "x")
    assert list(tmp_path.iterdir()) == []


def test_hash_of_a_file_larger_than_a_block(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()
