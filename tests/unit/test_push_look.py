"""`build --push` looks at its registry before anything is built for it."""

from __future__ import annotations

import json
import socket

import pytest
from fake_registry import asked, serving_registry

from orchestrator import api
from orchestrator.cli import run
from orchestrator.errors import RegistryError

pytestmark = pytest.mark.sockets
REPOSITORY = "team/mlorch/image-fashion-cpu"


def test_an_upload_is_begun_and_given_up():
    with serving_registry() as fake:
        asked(fake).require_push("a")
    assert fake.asked == ["POST /v2/a/blobs/uploads/", "DELETE /v2/a/blobs/uploads/id?state=1"]


def test_an_upload_that_cannot_be_given_up_is_no_fault():
    with serving_registry() as fake:
        fake.location = "http://127.0.0.1:9/elsewhere"
        asked(fake).require_push("a")


@pytest.mark.parametrize(
    ("status", "slug", "words"),
    [
        (401, "registry-auth", "wants a login for images at"),
        (403, "registry-auth", "wants a login for images at"),
        (404, "registry-refused", "has no place for images at"),
        (405, "registry-refused", "refuses images at"),
    ],
)
def test_one_that_takes_nothing_says_why(status, slug, words):
    with serving_registry() as fake:
        fake.trouble = [status]
        with pytest.raises(RegistryError) as caught:
            asked(fake).require_push("a")
        assert (caught.value.slug, words in caught.value.message) == (slug, True)


def _refuse_to_build(monkeypatch):
    def build(*_, **__):
        raise AssertionError("something was built")

    monkeypatch.setattr("orchestrator.operations.build.build_images", build)
    monkeypatch.setattr("orchestrator.operations.engine.sweep_containers", build)


@pytest.fixture
def nowhere() -> str:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_nothing_is_built_for_a_registry_that_is_not_there(monkeypatch, capsys, nowhere):
    _refuse_to_build(monkeypatch)
    assert run(["build", "-t", "cpu", "--push", f"{nowhere}/team", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["slug"], nowhere in error["message"]) == ("registry-down", True)
    with pytest.raises(RegistryError, match="cannot be reached"):
        api.build(target="cpu", push=f"{nowhere}/team")


def test_nothing_is_built_for_one_that_refuses_us(monkeypatch, capsys):
    _refuse_to_build(monkeypatch)
    with serving_registry() as fake:
        fake.guard = "Basic nobody"
        assert run(["build", "-t", "cpu", "--benchmark", "image-fashion", "--push", f"{fake.host}/team", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == "registry-auth"
    assert [one.split("?")[0] for one in fake.asked] == [f"POST /v2/{REPOSITORY}/blobs/uploads/"]
