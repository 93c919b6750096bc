"""An engine that is not what it should be: it says nothing, drips, talks nonsense, or is another program's."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from orchestrator.cli import run
from orchestrator.engines import EngineFacts
from orchestrator.engines.docker import engine as docker_engine
from orchestrator.engines.docker import facts as docker_facts
from orchestrator.engines.docker import hosts, lookup
from orchestrator.engines.docker.containers import argv
from orchestrator.engines.docker.contexts import context_tls
from orchestrator.engines.docker.lookup import socket_lookup
from orchestrator.engines.model import older
from orchestrator.engines.podman import cli as podman_cli
from orchestrator.errors import EngineError
from orchestrator.facts.containers import ContainerSpec
from orchestrator.host.command import Done


@contextmanager
def an_engine(tmp_path, monkeypatch, speak):
    """A socket at which ``speak`` is asked for each connection: it gets the request line and how to send."""
    path = str(tmp_path / "engine.sock")
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(64)
        listener.settimeout(0.1)

        def serve_one(connection):
            with connection:
                try:
                    line = connection.recv(4096).partition(b"\r\n")[0].decode()
                    speak(line, connection.sendall, ended)
                except OSError:
                    pass  # who asked has given up

        def serve():
            while not ended.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        try:
            yield f"unix://{path}"
        finally:
            ended.set()
            thread.join()


def silent(_line, _send, ended):
    ended.wait(60)


def drips(_line, send, ended):
    for byte in b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 10_000:
        send(bytes([byte]))
        if ended.wait(0.2):
            return


def busy(line, send, ended):
    """One that is there and takes its time for everything but a ping."""
    if "_ping" not in line:
        ended.wait(1.5)
    send(b"HTTP/1.0 200 OK\r\n\r\n" + (b"OK" if "_ping" in line else b"[]"))


@pytest.mark.sockets
@pytest.mark.parametrize("speak", [silent, drips])
def test_a_plan_goes_on_without_an_engine_that_says_nothing_and_says_so(tmp_path, monkeypatch, capsys, speak):
    assert run(["plan", "--target", "cpu", "--json"]) == 0, "what is imported and kept, before the clock runs"
    capsys.readouterr()
    with an_engine(tmp_path, monkeypatch, speak):
        began = time.monotonic()
        assert run(["plan", "--target", "cpu", "--json"]) == 0
        assert time.monotonic() - began < 4
    told = capsys.readouterr()
    assert {layer["state"] for layer in json.loads(told.out)["layers"]} == {"unknown"}
    assert "the plan goes on without it" in told.err


@pytest.mark.sockets
@pytest.mark.parametrize("speak", [silent, drips])
def test_who_needs_the_engine_is_told_within_seconds_in_all(tmp_path, monkeypatch, capsys, speak):
    monkeypatch.setattr(lookup, "SILENT_S", 0.5)
    monkeypatch.setattr(lookup, "_STARTING_S", 0.5)
    with an_engine(tmp_path, monkeypatch, speak):
        for line, status in (["engine", "status", "--json"], 4), (["doctor", "--json"], 4):
            began = time.monotonic()
            assert run(line) == status
            assert time.monotonic() - began < 10
            assert "says nothing" in capsys.readouterr().out


@pytest.mark.sockets
def test_an_engine_that_is_only_busy_is_waited_for(tmp_path, monkeypatch):
    with an_engine(tmp_path, monkeypatch, busy) as host:
        assert socket_lookup(host, silent_s=0.3).labelled("x") == []
        with pytest.raises(EngineError, match="says nothing"):
            socket_lookup(host, timeout_s=1.0, silent_s=0.3).labelled("x")


@pytest.mark.sockets
def test_a_daemon_that_is_only_just_starting_is_waited_for(tmp_path, monkeypatch):
    """systemd listens for it, and starts it at the first question."""
    monkeypatch.setattr(lookup, "SILENT_S", 0.2)
    began = time.monotonic()

    def starting(_line, send, ended):
        ended.wait(max(0.0, began + 1.0 - time.monotonic()))
        send(b"HTTP/1.0 200 OK\r\n\r\n[]")

    with an_engine(tmp_path, monkeypatch, starting) as host:
        assert socket_lookup(host).labelled("x") == []


@pytest.mark.sockets
def test_an_image_that_is_just_being_removed_is_not_there_and_other_faults_are_told(tmp_path, monkeypatch):
    """A prune takes the bytes before the name; what the engine then says is no fault of it."""
    said = {"message": "failed to read config content: rpc error: desc = content digest sha256:ab: not found"}

    def speak(_line, send, _ended):
        send(b"HTTP/1.0 500 Internal Server Error\r\n\r\n" + json.dumps(said).encode())

    with an_engine(tmp_path, monkeypatch, speak) as host:
        assert socket_lookup(host).images(["localhost/x:1"]) == {"localhost/x:1": None}
        said["message"] = "the disk is on fire"
        with pytest.raises(EngineError, match="status 500: the disk is on fire") as caught:
            socket_lookup(host).images(["localhost/x:1"])
    assert caught.value.slug == "engine-refused"


# -- podman: a program and no socket ---------------------------------------------------------


@pytest.fixture
def podman(tmp_path, monkeypatch):
    """Makes a podman that does what a shell script says."""

    def make(script: str) -> podman_cli.Podman:
        program = tmp_path / "podman"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("MLORCH_PODMAN", str(program))
        return podman_cli.Podman(str(program), silent_s=0.4)

    return make


@pytest.mark.processes
def test_a_plan_goes_on_without_a_podman_that_says_nothing(podman, monkeypatch, capsys):
    monkeypatch.setenv("MLORCH_ENGINE", "podman")
    podman("echo '[]'")
    assert run(["plan", "--target", "cpu", "--json"]) == 0, "what is imported and kept, before the clock runs"
    assert {layer["state"] for layer in json.loads(capsys.readouterr().out)["layers"]} == {"build"}
    podman("exec sleep 60")
    began = time.monotonic()
    assert run(["plan", "--target", "cpu", "--json"]) == 0
    assert time.monotonic() - began < 4
    told = capsys.readouterr()
    assert {layer["state"] for layer in json.loads(told.out)["layers"]} == {"unknown"}
    assert "podman did not answer" in told.err
    assert "the plan goes on without it" in told.err


@pytest.mark.processes
@pytest.mark.sockets
def test_who_needs_a_podman_that_says_nothing_is_told_within_seconds(podman, monkeypatch, capsys):
    monkeypatch.setattr(podman_cli, "_SILENT_S", 0.3)
    monkeypatch.setattr(podman_cli, "_THERE_S", 0.3)
    podman("exec sleep 60")
    for line in ["engine", "status", "--engine", "podman", "--json"], ["doctor", "--engine", "podman", "--json"]:
        began = time.monotonic()
        assert run(line) == 4
        assert time.monotonic() - began < 10
        assert "podman did not answer" in capsys.readouterr().out


@pytest.mark.processes
def test_a_podman_that_is_only_busy_is_waited_for(podman):
    busy = podman("""[ "$1" = --version ] || sleep 1.2; echo '[]'""")
    assert busy.containers("x") == []
    with pytest.raises(EngineError, match="did not end within 1 s"):
        busy.documents("info", timeout_s=0.8)


NONSENSE = [
    b"<html>no</html>", b"[" * 100_000, b"null", b"7", b'{"NCPU": "many", "MemTotal": []}', b'{"DriverStatus": 3}',
    b'[{"Id": 1, "Names": 7}]', b'{"Components": [1]}', b'{"Runtimes": 7, "Labels": 7}', b"\xff\xfe", b"",
]  # fmt: skip


@pytest.mark.sockets
@pytest.mark.parametrize("body", NONSENSE)
def test_what_is_no_answer_of_an_engine_is_the_engines_fault(tmp_path, monkeypatch, capsys, body):
    def speak(_line, send, _ended):
        send(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    monkeypatch.setattr("orchestrator.engines.docker.client.Client.buildx_version", lambda _self: "0.13.1")
    with an_engine(tmp_path, monkeypatch, speak):
        assert run(["engine", "status", "--json"]) == 4
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["slug"] in {"engine-answer", "engine-lost"}
        assert run(["plan", "--target", "cpu"]) == 0


@pytest.mark.parametrize("said", ["", "null", "[1]", "{", "[[" * 50_000, '[{"Id": 1, "Names": 7}]', "{}"])
def test_what_is_no_answer_of_podman_is_podmans_fault(monkeypatch, said):
    monkeypatch.setattr(podman_cli, "run_program", lambda *_, **__: Done(code=0, stdout=said, stderr=""))
    podman = podman_cli.Podman("/p")
    for ask in (lambda: podman.containers("x"), lambda: podman.images_by_reference(["a"])):
        try:
            ask()
        except EngineError as error:
            assert error.slug == "engine-answer"  # noqa: PT017 (some answers say that there is nothing)


# -- which engine is meant -----------------------------------------------------------------


@pytest.fixture
def contexts(tmp_path, monkeypatch):
    """A folder of docker's settings with contexts."""
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def make(name: str, meta: str, *, tls: tuple[str, ...] = ()) -> None:
        key = hashlib.sha256(name.encode()).hexdigest()
        (tmp_path / "contexts/meta" / key).mkdir(parents=True)
        (tmp_path / "contexts/meta" / key / "meta.json").write_text(meta)
        for file in tls:
            place = tmp_path / "contexts/tls" / key / "docker" / f"{file}.pem"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file)

    return make


LAB = json.dumps({"Name": "lab", "Endpoints": {"docker": {"Host": "tcp://lab.test:2376", "SkipTLSVerify": False}}})


def test_a_context_that_is_not_there_is_an_error_and_no_other_engine_is_taken(contexts, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_CONTEXT", "typo")
    assert run(["engine", "status"]) == 4
    assert "docker-context" in capsys.readouterr().err
    contexts("broken", "{")
    contexts("empty", '{"Endpoints": {}}')
    for name in ("broken", "empty"):
        monkeypatch.setenv("DOCKER_CONTEXT", name)
        with pytest.raises(EngineError, match=f"`{name}` cannot be used"):
            hosts.find_host()
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert hosts.find_host().startswith("unix://")
    assert hosts.find_host(env={**os.environ, "DOCKER_HOST": "unix:///x"}) == "unix:///x"


def test_a_config_that_is_no_json_is_an_error_where_it_decides(contexts, tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EngineError, match="is not JSON"):
        hosts.find_host()
    (tmp_path / "config.json").write_text('{"auths": {}}')
    assert hosts.find_host().startswith("unix://")


def test_the_tls_files_of_a_context_are_used_by_every_client(contexts, tmp_path, monkeypatch):
    contexts("lab", LAB, tls=("ca", "cert", "key"))
    (tmp_path / "config.json").write_text('{"currentContext": "lab"}')
    host = hosts.find_host()
    assert host == "tcp://lab.test:2376"
    given = {}
    monkeypatch.setattr("docker.APIClient", lambda **more: given.update(more) or type("Api", (), {})())
    docker_engine.DockerEngine(host).sdk  # noqa: B018
    secured = given["tls"]
    assert secured.verify is True
    assert secured.ca_cert.endswith("/docker/ca.pem")
    assert [path.rpartition("/")[2] for path in secured.cert] == ["cert.pem", "key.pem"]
    spec = ContainerSpec(name="x", command=(), user="1:1", image="i")
    words = argv(spec, host)
    assert words[:3] == ["docker", "--host", host]
    assert "--tlsverify" in words
    assert words[words.index("--tlscacert") + 1] == secured.ca_cert
    from orchestrator.engines.docker.client import Client, whales

    with whales(Client(command="/bin/true"), host, {}) as client:
        assert "--tlsverify" in client.client_config.client_call
    assert context_tls("tcp://another:2376", os.environ) is None
    assert context_tls(host, {**os.environ, "DOCKER_HOST": host}) is None, "DOCKER_TLS_VERIFY is for that"


def test_podmans_socket_is_pointed_to_podman(tmp_path):
    version = {"Components": [{"Name": "Podman Engine"}], "ApiVersion": "1.41"}
    with pytest.raises(EngineError) as caught:
        docker_facts.facts_of({}, version, "unix:///run/podman.sock", "0.13.1", private=False)
    assert caught.value.slug == "podman-socket"
    assert "--engine podman" in caught.value.hint


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.9.1", True), ("0.10.0", False), ("0.0.0+unknown", False), ("unknown", False), ("", False), ("v1-abc", False)],
)
def test_an_unknown_version_is_not_too_old(version, expected):
    assert older(version, (0, 10)) is expected
    facts = EngineFacts(
        name="docker", host="unix:///x", version="26", api_version="1.45", platform="linux/amd64", buildx=version,
        containerd_store=True, cdi=True,
    )  # fmt: skip
    assert bool(docker_facts.unmet_requirement(facts)) is expected
    assert not docker_facts.unmet_requirement(replace(facts, buildx="0.13.1", api_version="dev"))


@pytest.mark.sockets
def test_an_engine_of_an_old_api_is_told_as_too_old_and_not_as_lost(tmp_path, monkeypatch, capsys):
    """Docker 1.12 answers everything that a plan asks; a container would need what it does not know."""
    facts = {"/version": {"ApiVersion": "1.24", "Version": "1.12.6"}, "/info": {}}

    def speak(line, send, _ended):
        if not line:  # only whether somebody listens
            return
        body = json.dumps(facts.get(line.split()[1].removeprefix("/v1.24"), [])).encode()
        send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body)

    monkeypatch.setattr("orchestrator.engines.docker.client.Client.buildx_version", lambda _self: "0.13.1")
    spec = ContainerSpec(name="x", command=("true",), user="1:1", image="i")
    with an_engine(tmp_path, monkeypatch, speak) as host:
        with pytest.raises(EngineError, match="too old to run this container") as caught:
            docker_engine.DockerEngine(host).run(spec, print)
        assert caught.value.slug == "engine-unfit"
        assert "Docker 23" in caught.value.hint
        with pytest.raises(EngineError, match="too old to build"):
            docker_engine.DockerEngine(host).require_builder()
        assert run(["doctor", "--json"]) == 4
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert (checks["engine"]["state"], checks["builder"]["state"]) == ("ok", "bad")


@pytest.mark.sockets
def test_other_clients_of_this_process_keep_their_logins(tmp_path, monkeypatch):
    """mlorch's own reads none of them; a program that uses the Python API has clients of its own."""
    import docker.utils.config

    before = docker.utils.config.load_general_config
    with an_engine(tmp_path, monkeypatch, silent) as host:
        monkeypatch.setattr(docker_engine, "_FIRST_S", 0.2)
        with pytest.raises(EngineError):
            _ = docker_engine.DockerEngine(host).sdk
    assert docker.utils.config.load_general_config is before
