"""`mlorch doctor`: each check has a state and, where something is amiss, what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator.cli import run
from orchestrator.engines import EngineFacts
from orchestrator.errors import EngineError, RegistryError
from orchestrator.host.facts import host_facts
from orchestrator.host.site import discover
from orchestrator.operations import doctor
from orchestrator.operations.context import Context

FACTS = EngineFacts(
    name="docker", host="unix:///run/x.sock", version="26.1.5", api_version="1.45", platform="linux/amd64",
    buildx="0.13.1", containerd_store=True, cdi=True, root_dir="/",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _archives(monkeypatch):
    """Archives that all answer, wherever the tests run."""
    monkeypatch.setattr("orchestrator.operations.doctor.answers", lambda _url, **_: "")


class Engine:
    def facts(self):
        return FACTS


def test_without_an_engine_it_exits_with_4_and_checks_the_rest(monkeypatch, capsys):
    def refuse(*_):
        raise EngineError("no container engine answers", hint="start one", slug="no-engine")

    monkeypatch.setattr("orchestrator.engines.docker.engine.connect", refuse)
    assert run(["doctor", "--json"]) == 4
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["engine"] == {
        "name": "engine", "state": "bad", "what": "no container engine answers", "hint": "start one",
    }  # fmt: skip
    assert {"cache", "processors", "memory", "certificates", "proxies", "registries"} <= set(checks)
    assert all(check["hint"] for check in checks.values() if check["state"] == "bad")


def test_a_usable_machine_is_shown_line_by_line(monkeypatch, capsys):
    monkeypatch.setattr("orchestrator.engines.docker.engine.connect", lambda _host: Engine())
    monkeypatch.setattr(doctor, "limits", lambda _facts: doctor.Check(name="limits", state="ok", what="fine"))
    status, shown = run(["doctor"]), capsys.readouterr().out
    assert status == 0, shown
    assert "ok   engine" in shown
    assert "26.1.5" in shown


@pytest.mark.parametrize(("free", "state"), [(50, "ok"), (5, "warn"), (0.5, "bad")])
def test_little_space_is_told_before_it_is_none(monkeypatch, tmp_path, free, state):
    usage = SimpleNamespace(total=100 << 30, used=0, free=int(free * (1 << 30)))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _folder: usage)
    check = doctor.image_storage(replace(FACTS, root_dir=str(tmp_path)))
    assert check.state == state
    assert bool(check.hint) == (state != "ok")


def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not/there"))
    monkeypatch.delenv("MLORCH_HOME", raising=False)
    monkeypatch.setattr(doctor.os, "access", lambda _folder, _mode: False)  # root may write everywhere
    check = doctor.cache()
    assert (check.state, str(tmp_path) in check.what) == ("bad", True)
    assert "XDG_CACHE_HOME" in check.hint


@pytest.mark.parametrize(
    ("quota", "state", "words"),
    [(None, "ok", "4 of 8: 0-3"), (4.0, "ok", "4 of 8"), (1.5, "warn", "the time of 1.5, so runs are planned on 1 ")],
)
def test_a_quota_of_processor_time_is_told(quota, state, words):
    here = replace(host_facts(), online_cpus=tuple(range(8)), allowed_cpus=(0, 1, 2, 3), cpu_quota=quota)
    check = doctor.processors(here)
    assert check.state == state
    assert words in check.what
    assert bool(check.hint) == (state == "warn")


def test_an_engine_elsewhere_is_not_measured_here():
    assert "another host" in doctor.image_storage(replace(FACTS, host="tcp://lab.test:2375")).what


def test_proxies_are_shown_without_their_password():
    found = list(doctor.site(discover({"http_proxy": "http://user:secret@proxy.test:3128", "HOME": "/nowhere"})))
    text = " ".join(check.what for check in found)
    assert "http://proxy.test:3128" in text
    assert "secret" not in text
    assert doctor.without_credentials("user:secret@proxy.test:3128") == "proxy.test:3128"


def test_an_archive_that_does_not_answer_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("MLORCH_DEBIAN_MIRROR", "http://user:secret@mirror.test/debian")
    monkeypatch.setattr(
        "orchestrator.operations.doctor.answers", lambda url, **_: "no route" if "mirror.test" in url else ""
    )
    (check,) = doctor.archive_access(Context())
    assert check.state == "warn"
    assert check.what == "http://mirror.test/debian: no route"
    assert "MLORCH_DEBIAN_MIRROR" in check.hint


def test_registries_are_asked_and_told(monkeypatch):
    monkeypatch.setenv("MLORCH_REGISTRIES", "up.example/team down.example")

    def ping(self):
        if self.host != "up.example":
            raise RegistryError("nobody there", hint="start it", slug="registry-down")

    monkeypatch.setattr("orchestrator.images.registry.client.Registry.ping", ping)
    up, down = doctor.registries(Context())
    assert (up.state, up.what) == ("ok", "up.example/team answers")
    assert (down.state, down.what, down.hint) == ("warn", "down.example: nobody there", "start it")


def test_settings_that_are_wrong_are_told_and_the_rest_is_checked_all_the_same(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("orchestrator.engines.docker.engine.connect", lambda _host: Engine())
    monkeypatch.setattr(doctor, "limits", lambda _facts: doctor.Check(name="limits", state="ok", what="fine"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlorch.yaml").write_text("foo: bar\n")
    assert run(["doctor", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "mlorch.yaml:1:1" in checks["settings"]["what"]
    assert checks["engine"]["state"] == "ok"
    assert "target cpu" in checks
