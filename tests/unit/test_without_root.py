"""An engine for somebody who is not root: podman, offered and kept, with the ids there are; or why there is none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator.cli import run
from orchestrator.definitions.settings import Settings
from orchestrator.engines import ENGINES, EngineFacts, engine_name
from orchestrator.engines.choice import choice_file, keep_choice
from orchestrator.engines.podman import cli as podman_cli
from orchestrator.engines.podman import factory, ids, trial
from orchestrator.errors import EngineError, StepFailed
from orchestrator.facts.containers import OWNER_LABEL
from orchestrator.host import namespaces
from orchestrator.host.process import owner_label, this_process
from orchestrator.operations import doctor
from orchestrator.operations.context import Context

PODMAN = EngineFacts(
    name="podman", host="exec:///p", version="5.4.2", api_version="5.4.2", platform="linux/amd64", buildx=None,
    containerd_store=False, cdi=True, rootless=True, builder="buildah 1.39", storage_driver="overlay",
)  # fmt: skip
NEEDS_ROOT = EngineError("no usable engine, and starting one takes root", slug="needs-root")
known = tuple(ENGINES)


# -- the offer, and the choice that is kept ------------------------------------------------


@pytest.fixture
def plain(monkeypatch):
    """A user who is not root, on a host without Docker, whose podman works."""

    def docker(*_):
        raise NEEDS_ROOT

    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr("orchestrator.engines.docker.factory.ensure", docker)
    monkeypatch.setattr("orchestrator.engines.podman.factory.ensure", lambda *_: (PODMAN, ("unpacked podman",)))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_a_plain_user_gets_podman_and_the_next_command_uses_it(plain, capsys):
    assert run(["engine", "ensure", "--yes", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "podman"
    assert any("from now on" in line for line in document["did"])
    assert engine_name(Settings(), "", known) == "podman", "no --engine is needed any more"
    assert engine_name(Settings(), "docker", known) == "docker"
    assert engine_name(Settings(engine="docker"), "", known) == "docker"


def test_who_names_docker_is_not_given_another_engine(plain, capsys):
    assert run(["engine", "ensure", "--yes", "--engine", "docker"]) == 4
    assert "needs-root" in capsys.readouterr().err
    assert not choice_file().exists()


def test_a_named_docker_host_counts_more_than_what_was_chosen_once(monkeypatch):
    keep_choice("podman")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/theirs.sock")
    assert engine_name(Settings(), "", known) == "docker"
    monkeypatch.delenv("DOCKER_HOST")
    assert engine_name(Settings(engine_host="tcp://lab:2376"), "", known) == "docker"
    assert engine_name(Settings(), "", known) == "podman"
    choice_file().write_text("something else\n")
    assert engine_name(Settings(), "", known) == "docker"


def test_ensure_of_a_named_docker_ends_the_choice(monkeypatch):
    keep_choice("podman")
    facts = replace(PODMAN, name="docker", buildx="0.13.1", host="unix:///x")
    monkeypatch.setattr("orchestrator.engines.docker.factory.ensure", lambda *_: (facts, ()))
    assert run(["engine", "ensure", "--engine", "docker", "--json"]) == 0
    assert not choice_file().exists()


def test_who_gets_podman_by_its_name_need_not_name_it_again(plain):
    assert run(["engine", "ensure", "--yes", "--engine", "podman", "--json"]) == 0
    assert engine_name(Settings(), "", known) == "podman"


def test_root_is_never_given_podman_instead(plain, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run(["engine", "ensure", "--yes"]) == 4
    assert "needs-root" in capsys.readouterr().err


# -- ids -----------------------------------------------------------------------------------


def test_ranges_are_those_of_the_user_by_name_or_number(tmp_path):
    table = tmp_path / "subuid"
    assert not ids.has_range(table, 0)
    table.write_text("somebody:100000:65536\n")
    assert not ids.has_range(table, 0)
    table.write_text("root:100000:65536\n4242:200000:65536\n")
    assert ids.has_range(table, 0)
    assert ids.has_range(table, 4242)


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """Folders of helpers, by name, with or without the right to map; PATH has them in the order in which they came."""
    monkeypatch.setattr("orchestrator.host.command._SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(ids, "has_range", lambda *_: True)
    monkeypatch.setattr(ids, "_STATUS", tmp_path / "status")

    def make(name: str, *, setuid: bool) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for helper in ("newuidmap", "newgidmap"):
            (folder / helper).write_text("")
            (folder / helper).chmod(0o4755 if setuid else 0o755)
        monkeypatch.setenv("PATH", os.pathsep.join([*os.environ["PATH"].split(os.pathsep), str(folder)]))
        return str(folder)

    return make


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes programs that run as root")
def test_the_hosts_setuid_helper_comes_before_one_that_was_unpacked(helpers):
    unpacked, of_the_host = helpers("unpacked", setuid=False), helpers("host", setuid=True)
    found = ids.this_users_ids()
    assert not found.single
    path = ids.environment(found)["PATH"].split(os.pathsep)
    assert path.index(of_the_host) < path.index(unpacked)
    assert shutil.which("newuidmap", path=os.pathsep.join(path)) == f"{of_the_host}/newuidmap"


def test_ranges_without_a_helper_are_one_id_and_that_is_told(helpers, monkeypatch):
    helpers("unpacked", setuid=False)
    found = ids.this_users_ids()
    assert found.single
    assert ids.environment(found).keys() == {"USER"}, "podman looks ranges up by it, and fails where it finds some"
    monkeypatch.setattr(factory, "this_users_ids", lambda: found)
    _, lacks, hint = factory.builder(PODMAN)
    assert "one id only" in lacks
    assert "uidmap" in hint
    assert "/etc/subuid" not in hint, "the ranges are there"
    assert factory.builder(replace(PODMAN, rootless=False))[1:] == ("", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes programs that run as root")
def test_no_helper_maps_for_a_process_that_may_gain_nothing(helpers, tmp_path):
    helpers("host", setuid=True)
    (tmp_path / "status").write_text("Name:\tx\nNoNewPrivs:\t1\n")
    assert ids.this_users_ids().single


def test_podman_is_not_shown_the_runtime_folder_of_another_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/1")
    monkeypatch.setattr("orchestrator.host.folders.os.geteuid", lambda: 4242)
    monkeypatch.setattr(ids, "this_users_ids", lambda: ids.Ids(ranges=False, helpers=()))
    assert "XDG_RUNTIME_DIR" not in podman_cli.environment()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert podman_cli.environment()["XDG_RUNTIME_DIR"] == str(tmp_path)


# -- why there is none ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "value", "number", "words"),
    [
        ("user/max_user_namespaces", "0", errno.ENOSPC, "sysctl -w user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", errno.EPERM, "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            errno.EACCES,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_user_namespaces", "9", errno.ENOSPC, "a higher user.max_user_namespaces"),
        ("user/max_user_namespaces", "9", errno.EPERM, "outside of that container"),
    ],
)
def test_forbidden_namespaces_name_the_administrators_line_and_apptainer(tmp_path, switch, value, number, words):
    (tmp_path / switch).parent.mkdir(parents=True)
    (tmp_path / switch).write_text(f"{value}\n")
    found = namespaces.explained(number, tmp_path)
    assert words in found.remedy
    assert "apptainer" in found.remedy


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="takes root and unshare")
def test_the_kernel_itself_is_asked():
    """In a user namespace in which no further one may be made: the kernel's own switch, nothing of the host changes."""
    code = (
        "from orchestrator.host.namespaces import refused_user_namespaces as ask\n"
        "first = ask()\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        "print(first, '|', ask())\n"
    )
    import sys

    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    before, _, after = done.stdout.partition("|")
    assert before.strip() == "None", done.stderr
    assert "user.max_user_namespaces is 0" in after


def test_nothing_is_fetched_where_namespaces_are_forbidden(monkeypatch):
    refusal = namespaces.Refusal(why="this host forbids user namespaces", remedy="ask an administrator for `x`")
    monkeypatch.setattr("orchestrator.host.namespaces.refused_user_namespaces", lambda: refusal)
    monkeypatch.setattr(factory, "program", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("orchestrator.engines.private.podman.ensure", lambda _: pytest.fail("it was fetched"))
    with pytest.raises(EngineError) as caught:
        factory.ensure(None)
    assert (caught.value.slug, caught.value.hint) == ("no-user-namespaces", refusal.remedy)


def test_doctor_names_the_way_that_works_for_this_user(monkeypatch):
    def refuse(*_):
        raise podman_cli._no_engine("there is no podman on PATH")

    monkeypatch.setattr("orchestrator.engines.podman.factory.connect", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(doctor, "refused_user_namespaces", lambda: None)
    context = Context(wanted_engine="podman")
    check = next(doctor.all_checks(context))
    assert "takes no root" in check.hint
    refusal = namespaces.Refusal(why="this host forbids them", remedy="ask for `sysctl -w x=1`")
    monkeypatch.setattr(doctor, "refused_user_namespaces", lambda: refusal)
    check = next(doctor.all_checks(context))
    assert check.state == "bad"
    assert "ask for `sysctl -w x=1`" in check.hint


# -- a container is really started ---------------------------------------------------------


class Podman:
    """A podman that imports, runs as it is told to, and removes; ``left`` are the labels of images that it has."""

    def __init__(self, ends, left=()):
        self.ends, self.asked, self.removed = ends, [], []
        self.podman = self
        self.left = {f"i{number}": labels for number, labels in enumerate(left)}

    def images(self, label):
        assert label == "org.mlorch.trial"
        return [SimpleNamespace(image=name, labels=labels) for name, labels in self.left.items()]

    def containers(self, label):
        return [SimpleNamespace(container_id=f"c{one.image}", labels=one.labels) for one in self.images(label)]

    def remove(self, container):
        self.removed.append(container)

    def ask(self, *words, **_):
        self.asked.append(words[0])
        return ""

    def run(self, spec, on_line):
        assert spec.network == "none"
        on_line("what it said")
        if isinstance(self.ends, Exception):
            raise self.ends
        return type("Exit", (), {"exit_code": self.ends})()

    def remove_image(self, image):
        self.removed.append(image)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("newuidmap: should have setuid", "newuidmap on PATH"),
        ('exec: "newuidmap": executable file not found in $PATH', "administrator"),
        ("crun: cgroups in hybrid mode not supported", "runtime"),
        ("kernel does not support overlay fs", "local disk"),
        ("words that nobody knows", "theirs"),
    ],
)
def test_a_podman_that_starts_nothing_says_what_would_help(monkeypatch, said, hint):
    monkeypatch.setattr(trial, "refused_user_namespaces", lambda: None)
    monkeypatch.setattr(trial, "this_users_ids", lambda: ids.Ids(ranges=True, helpers=()))
    podman = Podman(StepFailed(f"the engine refused: {said}", hint="theirs"))
    with pytest.raises(EngineError, match="starts no container") as caught:
        trial.require_container(podman)
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert len(podman.removed) == 1


def test_a_container_that_ends_badly_is_told_with_its_words(monkeypatch):
    monkeypatch.setattr(trial, "refused_user_namespaces", lambda: None)
    with pytest.raises(EngineError, match="ended with 127") as caught:
        trial.require_container(Podman(127))
    assert "what it said" in caught.value.detail
    trial.require_container(Podman(0))


def test_what_a_killed_trial_left_goes_with_the_next_one():
    """Its image and its container, known by the process that their labels name; nobody else's."""
    mine, dead = this_process(), replace(this_process(), start_ticks=1)
    left = [{OWNER_LABEL: owner_label(dead)}, {OWNER_LABEL: owner_label(mine)}, {}, {OWNER_LABEL: "x"}]
    podman = Podman(0, left)
    trial.require_container(podman)
    assert podman.removed[:-1] == ["ci0", "i0"]
    assert "trial" in podman.removed[-1]
