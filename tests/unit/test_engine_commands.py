"""`mlorch engine` on a machine as it may be: none there, a fit one, one that lacks something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrator import api
from orchestrator.cli import run
from orchestrator.engines import EngineFacts
from orchestrator.engines.private import ensure
from orchestrator.errors import EngineError

FACTS = EngineFacts(
    name="docker", host="unix:///run/x.sock", version="26.1.5", api_version="1.45", platform="linux/amd64",
    buildx="0.13.1", containerd_store=True, cdi=True, root_dir="/",
)  # fmt: skip


@pytest.fixture
def there(monkeypatch):
    """Put an engine there, or none."""

    def put(facts: EngineFacts | None) -> None:
        def connect(*_):
            if facts is None:
                raise EngineError("no container engine answers", hint="start one", slug="no-engine")
            return type("Engine", (), {"facts": lambda _self: facts})()

        monkeypatch.setattr("orchestrator.engines.docker.engine.connect", connect)
        monkeypatch.setattr(ensure, "connect", connect)

    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return put


def test_status_tells_what_the_contract_names(there, capsys):
    there(FACTS)
    assert run(["engine", "status", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    wanted = {"host": FACTS.host, "version": "26.1.5", "buildx": "0.13.1", "containerd_store": True, "cdi": True}
    assert wanted.items() <= document.items()
    assert document["private"] is False
    assert document["can_build"] is True


def test_status_of_an_engine_that_cannot_build_says_why(there, capsys):
    there(replace(FACTS, buildx=None, containerd_store=False, storage_driver="overlay2"))
    assert run(["engine", "status"]) == 0
    talk = capsys.readouterr()
    assert "missing" in talk.out
    assert "overlay2" in talk.out
    assert "no buildx plugin" in talk.err


def test_without_an_engine_status_exits_with_4(there, capsys):
    there(None)
    assert run(["engine", "status", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == "no-engine"


def test_ensure_leaves_a_fit_engine_alone_and_needs_no_leave(there, capsys):
    there(FACTS)
    assert run(["engine", "ensure", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["did"] == []


def test_ensure_does_nothing_where_nobody_can_be_asked(there, capsys, monkeypatch):
    there(None)
    monkeypatch.setattr(ensure, "_possible", lambda _need: None)
    assert run(["engine", "ensure"]) == 4
    said = capsys.readouterr().err
    assert "not-asked" in said
    assert "--yes" in said


def test_stop_without_an_engine_of_its_own_is_no_fault(capsys):
    assert run(["engine", "stop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": False}


@pytest.mark.processes
def test_that_nobody_answers_is_found_without_a_client(tmp_path):
    """A plan asks for images first; Docker's SDK and its HTTP take longer to import than everything else does."""
    code = (
        "import sys\n"
        "from orchestrator.engines import engine_factory\n"
        "from orchestrator.errors import EngineError\n"
        "for ask in (engine_factory('docker').fast_lookup, engine_factory('docker').connect):\n"
        "    try:\n"
        "        ask()\n"
        "    except EngineError as error:\n"
        "        print(error.slug, error.message)\n"
        "print([name for name in ('docker', 'requests', 'http.client', 'ssl', 'pydantic') if name in sys.modules])\n"
    )
    env = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "MLORCH_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    *errors, imported = done.stdout.splitlines()
    assert errors == [f"no-engine no container engine answers at {env['DOCKER_HOST']}: there is no such socket"] * 2
    assert imported == "[]"


def test_the_api_gives_what_json_prints(there, capsys):
    there(FACTS)
    for call, words in ((api.engine_status, ["status"]), (api.engine_ensure, ["ensure"]), (api.engine_stop, ["stop"])):
        assert run(["engine", *words, "--json"]) == 0
        assert call() == json.loads(capsys.readouterr().out)


def test_the_api_gets_an_engine_only_where_the_caller_said_so(there, monkeypatch):
    there(None)
    monkeypatch.setattr(ensure, "_possible", lambda _need: None)
    with pytest.raises(EngineError) as caught:
        api.engine_ensure()
    assert caught.value.slug == "not-asked"
