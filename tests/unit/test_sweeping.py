"""The next command, whichever it is, removes what a killed mlorch left; settings reach every room."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import ClassVar
from urllib.parse import unquote

import pytest

from orchestrator.cli import run
from orchestrator.engines.docker.hosts import find_host
from orchestrator.errors import UsageError
from orchestrator.host.process import boot_id, owner_label, pid_namespace, this_process
from orchestrator.operations import doctor
from orchestrator.operations.context import Context
from orchestrator.operations.kept_plans import Selection

DEAD = f"999999999:1:{boot_id()}:{pid_namespace()}"


class FakeEngine(BaseHTTPRequestHandler):
    """The two questions of a sweep, as an engine answers them."""

    left: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        FakeEngine.asked.append(unquote(self.path))
        body = json.dumps(
            [
                {"Id": name, "Names": [f"/{name}"], "State": "running",
                 "Labels": {"org.mlorch.run": name, "org.mlorch.owner": owner}}
                for name, owner in self.left.items()
            ]
        ).encode()  # fmt: skip
        self._answer(200, body)

    def do_DELETE(self):
        FakeEngine.left.pop(self.path.split("/")[2].partition("?")[0])
        self._answer(204, b"")

    def _answer(self, status: int, body: bytes):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "test"

    def log_message(self, *_args):
        pass


@pytest.fixture
def engine(tmp_path, monkeypatch):
    FakeEngine.left, FakeEngine.asked = {"orphan": DEAD, "ours": owner_label(this_process())}, []
    path = tmp_path / "engine.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), FakeEngine) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield FakeEngine
        server.shutdown()


@pytest.mark.sockets
@pytest.mark.parametrize("line", ["results list", "results list --json", "doctor", "build --target nope"])
def test_the_next_command_removes_the_containers_of_the_dead_and_only_them(engine, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(line.split())
    assert list(engine.left) == ["ours"]
    assert engine.asked[-1] == '/containers/json?all=1&filters={"label": ["org.mlorch.run"]}'
    assert "removed the container of orphan" in capsys.readouterr().err


@pytest.mark.sockets
def test_a_dry_run_removes_nothing(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(["build", "--dry-run", "--target", "nope"])
    assert "orphan" in engine.left


def test_without_an_engine_results_are_listed_all_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["results", "list"]) == 0


# -- settings of mlorch.yaml ---------------------------------------------------------------


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Writes an `mlorch.yaml` where the command works; undoes what it put into the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLORCH_CA_BUNDLE", "MLORCH_DEBIAN_MIRROR", "MLORCH_ENGINE_HOST", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def tell(text: str) -> None:
        (tmp_path / "mlorch.yaml").write_text(text)

    return tell


def test_settings_of_the_site_reach_those_that_ask_for_it(told, tmp_path):
    from orchestrator.packages.index import configured_indexes

    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    told(
        "ca_bundle: ca.pem\ndebian_mirror: https://archive.example/debian\n"
        "pip_index: https://index.example/simple\nengine_host: unix:///run/mine.sock\n"
    )
    context = Context()
    assert context.site.ca_bundle == context.http.site.ca_bundle == tmp_path / "ca.pem"
    assert context.site.archives["main"][0] == "https://archive.example/debian"
    assert configured_indexes(context.site).indexes[0] == "https://index.example/simple"
    access = context.engine_access
    assert find_host(access.host) == "unix:///run/mine.sock"
    assert access.site().ca_bundle == tmp_path / "ca.pem"
    assert not {"MLORCH_CA_BUNDLE", "MLORCH_ENGINE_HOST", "PIP_INDEX_URL"} & os.environ.keys()


def test_the_environment_counts_more_than_a_file(told, monkeypatch):
    told("pip_index: https://index.example/simple\ndebian_mirror: https://archive.example/debian\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mine.example/simple")
    monkeypatch.setenv("MLORCH_DEBIAN_MIRROR", "https://other.example/debian")
    site = Context().site
    assert site.pip["index-url"] == ("https://mine.example/simple",)
    assert site.archives["main"][0] == "https://other.example/debian"


def test_the_base_source_of_the_settings_is_the_default_and_the_command_line_counts_more(told):
    digest = f"sha256:{'a' * 64}"
    told(f"base_source: registry:host.example/os@{digest}\n")
    assert f"FROM host.example/os@{digest}" in Context().plans(Selection(target="cpu")).plans[0].layers[0].dockerfile
    chosen = Context().plans(Selection(target="cpu", base_source="bootstrap")).plans[0].layers[0]
    assert "FROM scratch" in chosen.dockerfile


def test_results_go_where_the_settings_say(told, tmp_path, capsys):
    told("results: kept\n")
    assert run(["results", "list"]) == 0
    assert f"no results in {tmp_path / 'kept'}" in capsys.readouterr().err


def test_an_engine_that_mlorch_cannot_drive_is_refused_rather_than_replaced(told):
    told("engine: podmn\n")
    with pytest.raises(UsageError, match="podmn"):
        Context().look_up()


def test_doctor_says_where_mlorch_yaml_is_wrong(told, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "all_checks", lambda *_: iter(()))
    told("results: a\nfoo: bar\n")
    run(["doctor"])
    assert f"{tmp_path}/mlorch.yaml:2:1: unknown key `foo`" in capsys.readouterr().out
