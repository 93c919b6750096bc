"""The API's documents are those of `--json`, and it has every verb that prints facts."""

from __future__ import annotations

import json

import pytest

from orchestrator import api, cli
from orchestrator.errors import UsageError


@pytest.fixture(autouse=True)
def _no_engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")


def printed(capsys, *words: str):
    assert cli.run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (api.targets, ["targets"]),
        (lambda: api.targets("tpu"), ["targets", "show", "tpu"]),
        (api.benchmarks, ["benchmarks"]),
        (lambda: api.benchmarks("image-smoke"), ["benchmarks", "show", "image-smoke"]),
        (api.recipes.list, ["recipes", "list"]),
        (lambda: api.recipes.list("target"), ["recipes", "list", "target"]),
        (lambda: api.recipes.show("cpu"), ["recipes", "show", "cpu"]),
        (api.recipes.lint, ["recipes", "lint"]),
        (api.assets.list, ["assets", "list"]),
        (lambda: api.plan(target="cuda"), ["plan", "--target", "cuda"]),
        (lambda: api.plan(target="auto", benchmarks=["image-smoke"]), ["plan", "--benchmark", "image-smoke"]),
    ],
)
def test_a_call_gives_what_json_prints(capsys, call, words):
    given, shown = call(), printed(capsys, *words)
    for check in (*given.get("checks", ()), *shown.get("checks", ())):
        check.pop("found")  # what is free on a machine changes from one call to the next
    assert given == shown


def test_a_word_for_detection_means_detection_everywhere():
    with pytest.raises(UsageError) as caught:
        api.run(["image-fashon"], target="auto")
    assert "image-fashion" in caught.value.hint


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="benchmark"):
        api.plan(target="cpu", benchmark="image-smoke")
