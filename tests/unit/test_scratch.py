"""Folders of a process's own, secrets among them: closed to others, gone with the next command after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.engines.docker.client import Client, registries_of, whales
from orchestrator.host import scratch
from orchestrator.host.scratch import private_folder, scratch_folder, secret_folder, sweep_secrets

pytestmark = pytest.mark.processes
HOLD = """
import sys, time
from pathlib import Path
from orchestrator.host.scratch import {what}
with {what}({arguments}) as folder:
    (folder / "config.json").write_text("secret")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holding():
    """A process that has such a folder; gives the process and the folder."""
    started = []

    def start(what: str, arguments: str = ""):
        code = HOLD.format(what=what, arguments=arguments)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_secrets_of_a_killed_process_are_gone_with_the_next_command(holding, runtime, number):
    killed, left = holding("secret_folder")
    _, used = holding("secret_folder")
    assert left.startswith(str(runtime))
    assert Path(left).stat().st_mode & 0o777 == 0o700
    killed.send_signal(number)
    killed.wait()
    assert Path(left, "config.json").exists() or number != signal.SIGKILL
    sweep_secrets()
    assert not Path(left).exists()
    assert Path(used, "config.json").exists(), "another live process has it"
    with secret_folder() as mine:
        assert mine.is_dir()
    assert not mine.exists()


def test_other_folders_go_with_the_next_that_is_made_beside_them(holding, tmp_path):
    killed, left = holding("scratch_folder", f"Path({str(tmp_path)!r}), 'image-'")
    _, used = holding("scratch_folder", f"Path({str(tmp_path)!r}), 'image-'")
    (tmp_path / "image.txt").write_text("of somebody else")
    (tmp_path / "image-link").symlink_to(tmp_path / "image.txt")
    killed.kill()
    killed.wait()
    with scratch_folder(tmp_path, "image-"):
        assert not Path(left).exists()
        assert Path(used).exists()
        assert (tmp_path / "image-link").is_symlink()
        assert (tmp_path / "image.txt").exists()


def test_where_locks_do_not_work_only_age_says_that_a_folder_is_left(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(scratch.fcntl, "flock", unsupported)
    left = tmp_path / "image-left"
    left.mkdir()
    with scratch_folder(tmp_path, "image-"):
        assert left.exists()
    monkeypatch.setattr(scratch, "UNPROVED_S", -1)
    with scratch_folder(tmp_path, "other-"):
        scratch.sweep_scratch(tmp_path, "image-")
        assert not left.exists()


def test_where_machines_share_a_disk_a_lock_is_believed_of_the_present_boot_only(tmp_path, monkeypatch):
    boots = {"here": "11111111-aaaa", "there": "22222222-bbbb"}
    monkeypatch.setattr(scratch.fcntl, "flock", lambda *_: None)  # as NFS has it: each client locks for itself
    monkeypatch.setattr(scratch, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(scratch, "boot_id", lambda: boots["there"])
    with scratch_folder(tmp_path, "image-") as theirs:
        monkeypatch.setattr(scratch, "boot_id", lambda: boots["here"])
        with scratch_folder(tmp_path, "image-") as ours:
            assert theirs.is_dir(), "it may be at work over there"
        left = tmp_path / ours.name
        left.mkdir()
        scratch.sweep_scratch(tmp_path, "image-")
        assert not left.exists()
        now = scratch.time.time()
        for later, kept in ((6, True), (-6, True), (8, False)):
            monkeypatch.setattr(scratch.time, "time", lambda later=later: now + later * 24 * 3600)
            scratch.sweep_scratch(tmp_path, "image-")
            assert theirs.is_dir() is kept
        theirs.mkdir()
        monkeypatch.setattr(scratch.time, "time", lambda: now)
        monkeypatch.setattr(scratch, "file_system", lambda _: "ext4")
        scratch.sweep_scratch(tmp_path, "image-")
        assert not theirs.exists(), "it was left before a restart"


def test_a_folder_that_another_user_made_first_holds_no_secret(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(scratch, "_bases", lambda: iter([shared]))
    squatted = shared / f".mlorch-{os.geteuid()}"
    squatted.mkdir(mode=0o777)
    squatted.chmod(0o777)
    assert private_folder().parent != shared
    squatted.rmdir()
    squatted.symlink_to(tmp_path)
    assert private_folder().parent != shared
    squatted.unlink()
    assert private_folder() == squatted


# -- the settings of the docker client ---------------------------------------------------------


def test_a_build_behind_a_proxy_is_given_the_credentials_that_it_needs_and_no_others(runtime, tmp_path):
    user = tmp_path / "docker"
    user.mkdir()
    auths = {name: {"auth": "YQ=="} for name in ("base.example", "https://index.docker.io/v1/", "other")}
    (user / "config.json").write_text(json.dumps({"auths": auths, "credsStore": "desktop"}))
    needed = registries_of("FROM base.example/x@sha256:0 AS work\nCOPY --from=work /a /b\n")
    client = Client(command="docker", config=str(user))
    with whales(client, "unix:///s", {"http_proxy": "http://u:p@x"}, needed) as made:
        (file,) = runtime.rglob("config.json")
        assert file.stat().st_mode & 0o777 == 0o600
        said = json.loads(file.read_text())
        assert made is not None
    assert sorted(said["auths"]) == ["base.example"]
    assert said["credsStore"] == "desktop"
    assert not list(runtime.rglob("config.json"))


@pytest.mark.parametrize(
    ("dockerfile", "registries"),
    [
        ("FROM a.example:5000/x/y@sha256:1\n", {"a.example:5000"}),
        ("FROM --platform=linux/amd64 debian:12 AS x\n", {"docker.io"}),
        ("from localhost/x:1\nRUN --mount=type=bind,from=b.example/z,target=/z true\n", {"localhost", "b.example"}),
        ("FROM index.docker.io/me/x:1\n", {"docker.io"}),
        ("FROM scratch\nCOPY --link --from=c.example/t:1 / /\n", {"c.example"}),
        ("FROM a.example/x AS work\nFROM work\nCOPY --from=work /a /\n", {"a.example"}),
    ],
)
def test_the_registries_of_a_build(dockerfile, registries):
    assert registries_of(dockerfile) == registries
