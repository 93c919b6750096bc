"""`mlorch run --endpoint`: what the options may say, what the container gets, and where the key does not stand."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from orchestrator.cli import run
from orchestrator.errors import UsageError
from orchestrator.facts.endpoints import Endpoint, EndpointFact
from orchestrator.operations.run.endpoint import planned_endpoint, ready_endpoint
from orchestrator.operations.run.request import RunRequest, checked
from orchestrator.plan.run.endpoint import endpoint_settings, is_loopback, network
from orchestrator.runs.record import with_server_facts

USER = f"{os.getuid()}:{os.getgid()}"


def asked(**options) -> RunRequest:
    given = {"endpoint": "http://127.0.0.1:8000", "endpoint_model": "small", "endpoint_dataset": "llm-chat"}
    return checked(RunRequest(**(given | options)))


def test_the_data_set_is_the_benchmark_that_is_run():
    assert asked().benchmarks == ("llm-chat",)
    assert asked(benchmarks=("llm-chat",)).benchmarks == ("llm-chat",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": ""}, "none is named"),
        ({"endpoint_model": ""}, "name of a model"),
        ({"endpoint_dataset": ""}, "questions to ask"),
        ({"endpoint": "ftp://there"}, "no address of HTTP"),
        ({"endpoint": "http://there:99999"}, "no address"),
        ({"endpoint": "http://user:pass@there"}, "user, password"),
        ({"endpoint": "http://there:8000/v1/chat/completions"}, "goes on to one call"),
        ({"endpoint": "https://there/v1/models/"}, "goes on to one call"),
        ({"endpoint": "http://there/v1?key=abc"}, "query"),
        ({"endpoint": "http://there?"}, "query"),
        ({"endpoint": "http://there/#"}, "fragment"),
        ({"endpoint": "http://@there"}, "user, password"),
        ({"endpoint": "http://there:8000\n"}, "no address of HTTP"),
        ({"endpoint": " http://there"}, "no address of HTTP"),
        ({"roles": "server,client"}, "exclude each other"),
        ({"suite": "reference"}, "exclude each other"),
        ({"endpoint_key_file": "a", "endpoint_key_env": "B"}, "not both"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words):
    with pytest.raises(UsageError, match=words) as caught:
        asked(**options)
    assert "pass" not in str(caught.value) or "password" in str(caught.value)


def test_a_benchmark_that_asks_for_no_text_is_refused_before_anything_is_made(capsys):
    words = ["run", "--endpoint", "http://127.0.0.1:1", "--model", "m", "--dataset", "image-fashion", "-t", "cpu"]
    assert run([*words, "--dry-run", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["slug"], error["hint"]) == ("endpoint", "--dataset: llm-chat")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", "host"),
        ("http://127.8.0.1", "host"),
        ("http://[::1]:8000", "host"),
        ("http://localhost:8000", "host"),
        ("http://localhost.:8000", "host"),
        ("http://0.0.0.0:8000", "host"),  # as servers print it
        ("http://[::]:8000", "host"),
        ("http://[::ffff:127.0.0.1]:8000", "host"),
        ("http://[2001:db8::1]:8000", "bridge"),
        ("http://llm.example", "bridge"),
        ("http://10.0.0.7:8000", "bridge"),
        ("http://127.0.0.1.example", "bridge"),
    ],
)
def test_the_network_is_the_least_that_reaches_the_server(url, expected):
    assert network(Endpoint(url=url, model="m")) == expected
    assert is_loopback(url) == (expected == "host")


def test_the_key_is_in_a_file_for_one_user_and_is_removed(tmp_path):
    file = tmp_path / "key.txt"
    file.write_text("sk-secret\n")
    request = asked(endpoint_key_file=str(file))
    with ready_endpoint(request, USER) as ready:
        source = Path(ready.endpoint.key_source)
        assert ready.key == source.read_text() == "sk-secret"
        assert stat.S_IMODE(source.stat().st_mode) == 0o400
        assert stat.S_IMODE(source.parent.stat().st_mode) == 0o700
        settings = json.dumps(endpoint_settings(ready.endpoint))
    assert not source.exists()
    assert not source.parent.exists()
    assert "sk-secret" not in settings + repr(request) + " ".join(request.to_argv())


@pytest.mark.parametrize("name", ["endpoint_key_file", "endpoint_ca_file"])
def test_a_file_that_is_a_pipe_holds_nothing_up(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    request = asked(**{name: str(tmp_path / "pipe")})
    with pytest.raises(UsageError, match="no plain file") as caught, ready_endpoint(request, USER):
        pass
    assert caught.value.slug == "endpoint"


def test_the_key_of_a_variable_stands_in_no_command_line(monkeypatch):
    monkeypatch.setenv("THE_KEY", "sk-secret")
    request = asked(endpoint_key_env="THE_KEY")
    with ready_endpoint(request, USER) as ready:
        assert Path(ready.endpoint.key_source).read_text() == "sk-secret"
    assert "sk-secret" not in " ".join(request.to_argv())


@pytest.mark.parametrize("text", ["", "two words", "umlaut-ä", "line\nline"])
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path, text):
    file = tmp_path / "key.txt"
    file.write_text(text)
    with (
        pytest.raises(UsageError, match="does not hold a key") as caught,
        ready_endpoint(asked(endpoint_key_file=str(file)), USER),
    ):
        pass
    assert not text or text not in str(caught.value)


def test_a_key_that_is_not_there_and_a_certificate_that_is_none_are_refused(tmp_path):
    with (
        pytest.raises(UsageError, match="cannot be read"),
        ready_endpoint(asked(endpoint_key_file=str(tmp_path / "none")), USER),
    ):
        pass
    (tmp_path / "ca.pem").write_text("hello")
    with (
        pytest.raises(UsageError, match="no certificate"),
        ready_endpoint(asked(endpoint_ca_file=str(tmp_path / "ca.pem")), USER),
    ):
        pass


def test_a_dry_run_reads_no_key():
    planned = planned_endpoint(asked(endpoint_key_env="NOT_SET", endpoint_ca_file="/not/there"))
    assert endpoint_settings(planned)["key_file"] == "/run/secrets/endpoint-key"
    assert endpoint_settings(planned)["ca_file"] == "/run/secrets/endpoint-ca.pem"
    assert endpoint_settings(planned_endpoint(asked()))["key_file"] is None


def test_what_a_server_says_of_itself_is_limited_and_neutral():
    fact = EndpointFact(url="http://there", model="small")
    server = {"server": "x\x1b[2J", "models": ["a", "b"], "said": {f"/p{at}": "y" * 5000 for at in range(20)}}
    said = with_server_facts(fact, {"backend": {"servers": [server]}}).said
    assert said["server"] == "x\\x1b[2J"
    assert said["models"] == "a, b"
    assert len(said) <= 8
    assert max(len(text) for text in said.values()) == 2000


@pytest.mark.parametrize(
    "harness", [{}, {"backend": None}, {"backend": {"servers": "no"}}, {"backend": {"servers": [1]}}]
)
def test_a_harness_document_of_another_shape_says_nothing(harness):
    fact = EndpointFact(url="http://there", model="small")
    assert with_server_facts(fact, harness).said == {}
    assert with_server_facts(None, harness) is None
