"""Where the private engine takes its packages from, and which folders can hold it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.engines import private
from orchestrator.engines.private import ensure, network
from orchestrator.engines.private.packages import find_origin
from orchestrator.errors import EngineError
from orchestrator.host.files import file_system

# -- where packages come from ------------------------------------------------------------


def host(root, release, sources):
    for name, text in (("etc/os-release", release), ("etc/apt/sources.list", sources)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


BOOKWORM = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n'
SOURCES = """\
deb https://mirror/debian bookworm main
deb https://mirror/debian bookworm-updates main
deb https://mirror/security bookworm-security main
deb https://elsewhere/tools stable main
"""


@pytest.fixture(autouse=True)
def _apt_is_there(monkeypatch):
    monkeypatch.setattr("orchestrator.engines.private.packages.find_program", lambda name: f"/usr/bin/{name}")


def test_bookworm_takes_docker_from_the_next_release_and_what_needs_its_libc_from_itself(tmp_path):
    origin = find_origin(host(tmp_path, BOOKWORM, SOURCES))
    assert origin.uris == ("https://mirror/debian",)
    assert origin.allowed("docker.io") == ("trixie", "trixie-updates", "trixie-security")
    assert origin.allowed("runc") == ("bookworm", "bookworm-updates", "bookworm-security")


def test_fixes_of_security_holes_are_taken_too_and_signatures_always_checked(tmp_path):
    stanzas = find_origin(host(tmp_path, BOOKWORM, SOURCES)).sources().strip().split("\n\n")
    assert len(stanzas) == 2
    assert "URIs: https://mirror/security\nSuites: bookworm-security trixie-security\n" in stanzas[1]
    assert all("Signed-By: /usr/share/keyrings/" in stanza for stanza in stanzas)
    assert "elsewhere" not in "".join(stanzas)


def test_a_newer_debian_takes_all_from_itself(tmp_path):
    release, sources = BOOKWORM.replace("bookworm", "trixie"), SOURCES.replace("bookworm", "trixie")
    origin = find_origin(host(tmp_path, release, sources))
    assert "Suites: trixie\n" in origin.sources()
    assert origin.allowed("docker.io")[0] == origin.allowed("runc")[0] == "trixie"


# -- where it lives ----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "fits"), [("ext4", True), ("xfs", True), ("overlay", False), ("nfs4", False)])
def test_a_folder_that_cannot_hold_layers_is_refused_before_anything_is_fetched(monkeypatch, tmp_path, kind, fits):
    monkeypatch.setattr("orchestrator.engines.private.ensure.file_system", lambda _path: kind)
    monkeypatch.setattr(ensure.shutil, "disk_usage", lambda _path: _Free(100 << 30))
    if fits:
        ensure.check_folder(tmp_path / "not/yet/there", packages=True, daemon=True)
        return
    with pytest.raises(EngineError, match=kind) as caught:
        ensure.check_folder(tmp_path / "not/yet/there", packages=True, daemon=True)
    assert "MLORCH_HOME" in caught.value.hint


def test_a_full_disk_is_told_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr("orchestrator.engines.private.ensure.file_system", lambda _path: "ext4")
    monkeypatch.setattr(ensure.shutil, "disk_usage", lambda _path: _Free(1 << 30))
    with pytest.raises(EngineError, match=r"1\.0 GiB are free"):
        ensure.check_folder(tmp_path, packages=True, daemon=True)
    ensure.check_folder(tmp_path, packages=True, daemon=False)  # a client alone is small


class _Free:
    def __init__(self, free: int) -> None:
        self.free = free


def test_the_file_system_of_a_path_is_the_innermost_mount_and_the_last_on_it(tmp_path):
    table = tmp_path / "mountinfo"
    inner = tmp_path / "a b"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        f"2 1 0:2 / {escaped} rw shared:1 - xfs /dev/b rw\n"
        f"3 2 0:3 / {escaped} rw - tmpfs none rw\n"
    )
    assert file_system(inner / "below", table) == "tmpfs"
    assert file_system(tmp_path, table) == "ext4"
    assert file_system(tmp_path, tmp_path / "absent") == ""


def test_credentials_of_registries_are_linked_and_not_copied(monkeypatch, tmp_path):
    at = private.engine_paths()
    for name in ("docker", "../libexec/docker/cli-plugins/docker-buildx"):
        program = (at.prefix / "usr/bin" / name).resolve()
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("")
        program.chmod(0o755)
    (at.prefix / "packages.json").write_text('{"docker.io": "1"}')
    users = tmp_path / "users/config.json"
    users.parent.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(users.parent))
    client, settings = private.own_client()
    config = Path(settings) / "config.json"
    assert client == str(at.prefix / "usr/bin/docker")
    assert not config.exists()
    users.write_text(json.dumps({"auths": {"registry": {"auth": "c2VjcmV0"}}}))
    private.own_client()
    assert config.is_symlink()
    assert config.read_text() == users.read_text()
    assert (config.parent / "cli-plugins/docker-buildx").exists()


def test_commands_with_other_homes_do_not_take_each_others_credentials(monkeypatch, tmp_path):
    """Two at once, of a job and of a person: the folder of settings of the one is never turned to the other's."""
    at = private.engine_paths()
    found = {}
    for name in ("job", "person"):
        users = tmp_path / name
        users.mkdir()
        (users / "config.json").write_text(json.dumps({"auths": {name: {}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(users))
        found[name] = private.user_client_config(at)
    for name, folder in found.items():
        assert json.loads((folder / "config.json").read_text()) == {"auths": {name: {}}}


# -- network -----------------------------------------------------------------------------


def test_nothing_reaches_containers_unasked():
    rules = network.rules("mlorch-0", "172.31.240.0/24")
    towards = [rule for rule in rules if "-o" in rule and rule[rule.index("-o") - 1] != "!"]
    assert towards
    assert all("RELATED,ESTABLISHED" in rule for rule in towards)
