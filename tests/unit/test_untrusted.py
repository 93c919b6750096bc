"""Files that a container could have made: each trick ends in a reason, at once, and nothing of the host is read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from orchestrator.facts.strict_json import strict_json
from orchestrator.host import untrusted
from orchestrator.host.untrusted import (
    FilesBelow,
    UnreadableFile,
    hash_file,
    read_document,
    read_object,
    read_tail,
    read_text,
)

READERS = [read_text, read_document, read_tail, hash_file]


@pytest.fixture
def folder(tmp_path):
    """A run's folder; beside it something that no reader may reach."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "host.json").write_text('{"stolen": true}')
    place = tmp_path / "run"
    place.mkdir()
    return place


def link(folder):
    (folder / "x").symlink_to(folder.parent / "secret" / "host.json")


def dangling(folder):
    (folder / "x").symlink_to("nowhere")


def pipe(folder):
    os.mkfifo(folder / "x")


def listening(folder):
    os.mknod(folder / "x", stat.S_IFSOCK | 0o700)


def directory(folder):
    (folder / "x").mkdir()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        (link, "is a link"),
        (dangling, "is a link"),
        (pipe, "no regular file"),
        (listening, "cannot be opened"),
        (directory, "no regular file"),
    ],
)
def test_what_is_no_plain_file_is_refused_without_waiting(folder, reader, trick, reason):
    trick(folder)
    with pytest.raises(UnreadableFile, match=reason) as caught:
        reader(folder, "x")
    assert not caught.value.missing


def test_a_link_in_the_middle_of_a_path_is_not_followed_either(folder):
    (folder / "sub").symlink_to(folder.parent / "secret")
    with pytest.raises(UnreadableFile, match=r"cannot be opened|is a link"):
        read_text(folder, "sub/host.json")
    (folder / "real").mkdir()
    (folder / "real" / "host.json").write_text("{}")
    assert read_object(folder, "real/host.json") == {}


@pytest.mark.parametrize("name", ["../secret/host.json", "sub/../../secret/host.json", "/etc/passwd", "", ".", "a//b"])
def test_a_name_cannot_lead_out_of_the_folder(folder, name):
    (folder / "sub").mkdir()
    with pytest.raises(UnreadableFile) as caught:
        read_text(folder, name)
    assert caught.value.missing


def test_a_file_that_is_not_there_is_said_to_be_missing(folder):
    with pytest.raises(UnreadableFile, match="is missing") as caught:
        read_text(folder, "x")
    assert caught.value.missing
    assert caught.value.exit_code == 1


def test_a_file_of_exabytes_is_not_read(folder, monkeypatch):
    with (folder / "x").open("wb") as stream:
        stream.truncate(untrusted.LARGEST_DOCUMENT + 1)
    with pytest.raises(UnreadableFile, match="are the most that is read"):
        read_text(folder, "x")
    monkeypatch.setattr(untrusted, "LARGEST_HASHED", 1000)
    with pytest.raises(UnreadableFile, match="are the most that is read"):
        hash_file(folder, "x")
    assert read_tail(folder, "x", size=10) == "\\x00" * 10


def test_bytes_that_are_no_text_are_refused_where_text_is_wanted(folder):
    (folder / "x").write_bytes(b"ok\xff\n")
    with pytest.raises(UnreadableFile, match="is not UTF-8"):
        read_text(folder, "x")
    assert read_tail(folder, "x") == "ok\ufffd"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "stands there twice"),
        ('{"a": {"b": 1, "b": 1}}', "stands there twice"),
        ('{"a": NaN}', "NaN is no number"),
        ("[Infinity]", "Infinity is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "larger than a number can be"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ('{"a":' * 70 + "1" + "}" * 70, "deeper than 64"),
        ("[" * 100_000 + "]" * 100_000, "deeper than 64"),
        (r'{"a": "\ud800"}', "half a character"),
        ("[" + "9" * 5000 + "]", "larger than a number can be"),
        ("[-" + "9" * 30 + "]", "larger than a number can be"),
        ("{", "property name"),
        ("", "Expecting value"),
    ],
)
def test_json_is_read_strictly(folder, text, why):
    with pytest.raises(ValueError, match=why):
        strict_json(text)
    (folder / "x").write_text(text)
    with pytest.raises(UnreadableFile, match="is not JSON"):
        read_document(folder, "x")


def test_good_json_is_read_as_json_reads_it():
    document = {"a": [1, 2.5, None, True, "ü\n"], "b": {"c": ["d"] * 100}, "e": "\U0001f600"}
    assert strict_json(json.dumps(document)) == document
    assert strict_json("[" * 64 + "]" * 64)


def test_a_document_that_is_no_object_is_refused_where_one_is_wanted(folder):
    (folder / "x").write_text("[1]")
    assert read_document(folder, "x") == [1]
    with pytest.raises(UnreadableFile, match="not a JSON object"):
        read_object(folder, "x")


def test_the_tail_is_the_last_lines(folder):
    (folder / "x").write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert read_tail(folder, "x", lines=2) == "line 49998\nline 49999"


def test_a_sparse_file_is_not_hashed_and_one_with_small_holes_is(folder, monkeypatch):
    with (folder / "sparse").open("wb") as stream:
        stream.write(b"x" * 4096)
        stream.truncate(16 * 2**30)
    with pytest.raises(UnreadableFile, match="is sparse: more than 67,108,864 of its bytes lie nowhere"):
        hash_file(folder, "sparse")
    with (folder / "small").open("wb") as stream:
        stream.seek(1 << 20)
        stream.write(b"end")
    assert hash_file(folder, "small")[1] == (1 << 20) + 3
    monkeypatch.setattr(untrusted, "MOST_HOLES", 4096)
    with pytest.raises(UnreadableFile, match="is sparse"):
        hash_file(folder, "small")


def test_many_files_below_a_folder_are_opened_with_the_same_care(tmp_path):
    (tmp_path / "in" / "a" / "b").mkdir(parents=True)
    (tmp_path / "in" / "a" / "b" / "deep.txt").write_text("deep")
    (tmp_path / "in" / "a" / "near.txt").write_text("near")
    (tmp_path / "in" / "top.txt").write_text("top")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in" / "a" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "in" / "away").symlink_to(tmp_path)
    files = FilesBelow(tmp_path / "in")
    for _ in range(2):  # after `close` they are opened anew
        names = ("a/b/deep.txt", "a/near.txt", "top.txt", "a/b/deep.txt")
        assert [files.read_text(name) for name in names] == ["deep", "near", "top", "deep"]
        for name in ("a/link.txt", "away/secret.txt", "../secret.txt", "a/../top.txt", "a", "a/b/none", "c/d"):
            with pytest.raises(UnreadableFile):
                files.read_text(name)
        with pytest.raises(UnreadableFile, match="3 are the most"):
            files.read_text("a/near.txt", 3)
        assert files.read_text("a/near.txt", 4) == "near"
        before = len(list(Path("/proc/self/fd").iterdir()))
        files.close()
        assert len(list(Path("/proc/self/fd").iterdir())) == before - 2
