"""What a container left: harmless afterwards, whatever it was, and the caller's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.host.left_behind import give, take_back, take_over
from orchestrator.plan.run.user import run_user

ME = f"{os.getuid()}:{os.getgid()}"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_special_bits_and_the_writing_of_others_are_taken_away(tmp_path):
    inner = tmp_path / "deep" / "er"
    inner.mkdir(parents=True)
    for path, bits in ((tmp_path / "root-shell", 0o6755), (inner / "too", 0o4777), (inner / "plain", 0o664)):
        path.write_text("x")
        path.chmod(bits)
    inner.chmod(0o3777)
    done = take_over(tmp_path, ME)
    assert (mode(tmp_path / "root-shell"), mode(inner / "too"), mode(inner / "plain")) == (0o755, 0o755, 0o644)
    assert mode(inner) == 0o755
    assert set(done) == {"root-shell", "deep/er/too"}
    assert "6755" in done["root-shell"]


def test_pipes_and_sockets_are_removed_and_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mknod("socket", stat.S_IFSOCK | 0o700)
    Path("file").write_text("x")
    assert take_over(tmp_path, ME) == {"pipe": "a pipe; removed", "socket": "a socket; removed"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_is_left_and_what_it_leads_to_is_not_touched(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "tool").write_text("x")
    (outside / "tool").chmod(0o4755)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "file").symlink_to(outside / "tool")
    (folder / "folder").symlink_to(outside)
    assert take_over(folder, ME) == {}
    assert mode(outside / "tool") == 0o4755
    assert (folder / "folder").is_symlink()


def test_a_closed_file_or_folder_can_be_read_by_its_owner_afterwards(tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "file").write_text("x")
    (tmp_path / "closed" / "file").chmod(0)
    (tmp_path / "closed").chmod(0)
    assert take_over(tmp_path, ME) == {}
    assert (tmp_path / "closed" / "file").read_text() == "x"


def test_a_setuid_file_below_folders_without_end_is_made_harmless(tmp_path):
    """Deeper than a walk holds folders open: what lies there is moved up, and nothing of it is lost."""
    at = tmp_path
    for _ in range(150):
        at /= "d"
        at.mkdir()
    (at / "root-shell").write_text("x")
    (at / "root-shell").chmod(0o6755)
    done = take_over(tmp_path, ME)
    moved = [what for what in done.values() if "deeper than 64 folders; moved to deep-" in what]
    assert len(moved) == 2
    (shell,) = tmp_path.rglob("root-shell")
    assert mode(shell) == 0o755
    assert len(shell.relative_to(tmp_path).parts) < 64


def test_thousands_of_pipes_do_not_fill_the_record(tmp_path):
    for number in range(150):
        os.mkfifo(tmp_path / f"{number}")
    assert len(take_over(tmp_path, ME)) == 101
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_text_is_told_as_text(tmp_path):
    os.mkfifo(tmp_path / os.fsdecode(b"\xff\x1b"))
    (name,) = take_over(tmp_path, ME)
    assert name == "\\udcff\\x1b"


def test_a_folder_that_is_gone_is_told_and_no_error(tmp_path):
    assert "could not be made harmless" in take_back(tmp_path / "gone", ME)["."]


@as_root
def test_root_gives_a_folder_to_the_container_and_gets_everything_back(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    give(folder, "65534:65534")
    assert (folder.stat().st_uid, folder.stat().st_gid) == (65534, 65534)
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("x")
    for path in (folder / "sub", folder / "sub" / "file"):
        os.chown(path, 65534, 65534)
    take_over(folder, "1234:1235")
    for path in (folder, folder / "link", folder / "sub", folder / "sub" / "file"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (1234, 1235), path
    assert Path("/etc/passwd").stat().st_uid == 0


@pytest.mark.parametrize(
    ("uid", "environ", "inside", "owner"),
    [
        (1000, {}, "1000:100", "1000:100"),
        (1000, {"SUDO_UID": "1001", "SUDO_GID": "1001"}, "1000:100", "1000:100"),
        (0, {}, "65534:65534", "0:0"),
        (0, {"SUDO_UID": "1001", "SUDO_GID": "1002"}, "1001:1002", "1001:1002"),
        (0, {"SUDO_UID": "0", "SUDO_GID": "0"}, "65534:65534", "0:0"),
        (0, {"SUDO_UID": "1001"}, "65534:65534", "0:0"),
        (0, {"SUDO_UID": "1001", "SUDO_GID": "0"}, "65534:65534", "0:0"),
        (0, {"SUDO_UID": "x", "SUDO_GID": "-1"}, "65534:65534", "0:0"),
        (0, {"SUDO_UID": "4294967295", "SUDO_GID": "1"}, "65534:65534", "0:0"),
        (0, {"SUDO_UID": "²", "SUDO_GID": "1"}, "65534:65534", "0:0"),
    ],
)
def test_no_container_ever_runs_as_root(uid, environ, inside, owner):
    user = run_user(uid, 0 if uid == 0 else 100, environ)
    assert (user.inside, user.owner) == (inside, owner)
