"""The API's documents are those of `--json`, and it has every verb that prints facts."""

from __future__ import annotations

import json

import pytest
from results_parts import add_run

from orchestrator import api, cli
from orchestrator.errors import StepFailed, UsageError
from orchestrator.results.store import Store


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
        (lambda: api.benchmarks(round="v5.1"), ["benchmarks", "list", "--round", "v5.1"]),
        (lambda: api.benchmarks("rgat", round="v6.0"), ["benchmarks", "show", "rgat", "--round", "v6.0"]),
        (api.recipes.list, ["recipes", "list"]),
        (lambda: api.recipes.list("target"), ["recipes", "list", "target"]),
        (lambda: api.recipes.show("cpu"), ["recipes", "show", "cpu"]),
        (api.recipes.lint, ["recipes", "lint"]),
        (lambda: api.campaign.plan("reference", why=True), ["campaign", "plan", "reference", "--why"]),
        (api.assets.list, ["assets", "list"]),
        (lambda: api.plan(target="cuda"), ["plan", "--target", "cuda"]),
        (lambda: api.render(target="rocm"), ["render", "--target", "rocm"]),
        (lambda: api.render(target="cpu", folder="out"), ["render", "--target", "cpu", "-o", "out"]),
        (lambda: api.plan(target="auto", benchmarks=["image-smoke"]), ["plan", "--benchmark", "image-smoke"]),
    ],
)
def test_a_call_gives_what_json_prints(capsys, call, words):
    given, shown = call(), printed(capsys, *words)
    for check in (*given.get("checks", ()), *shown.get("checks", ())):
        check.pop("found")  # what is free on a machine changes from one call to the next
    assert given == shown


def test_runs_are_shown_signed_verified_and_reported_as_by_the_command_line(tmp_path, capsys):
    from orchestrator.images.attest.signatures import generate

    record, folder = add_run(Store(tmp_path / "results"), "offline")
    for name, data in zip(("a.key", "a.pub"), generate("secret"), strict=True):
        (tmp_path / name).write_bytes(data)
    assert api.show_result() == printed(capsys, "results", "show", "-o", str(tmp_path / "results"))
    assert api.verify_results(key="a.pub")["results"][0]["ok"] is False
    with pytest.raises(UsageError) as caught:
        api.sign_results(key="a.key")
    assert caught.value.slug == "key-password"
    (signed,) = api.sign_results([record.run_id], key=tmp_path / "a.key", password=lambda: "secret")["results"]
    assert (signed["run_id"], (folder / "run.json.sig").exists()) == (record.run_id, True)
    assert api.verify_results(key="a.pub") == printed(capsys, "results", "verify", "--key", "a.pub")
    assert api.verify_results(key="a.pub")["results"][0]["signed"] is True
    written = api.report_results(output="mine.html")
    assert written == {"report": "mine.html", "runs": [record.run_id]}
    assert record.run_id in (tmp_path / "mine.html").read_text()
    (folder / "harness.json").write_text("{}")
    with pytest.raises(StepFailed) as refused:
        api.sign_results(key="a.key", password=lambda: "secret")
    assert refused.value.slug == "verify"


def test_a_word_for_detection_means_detection_everywhere():
    with pytest.raises(UsageError) as caught:
        api.run(["image-fashon"], target="auto")
    assert "image-fashion" in caught.value.hint


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: api.plan(target="cpu", benchmark="image-smoke"), "no option `benchmark`; did you mean `benchmarks`"),
        (lambda: api.run(["image-smoke"], scenario="Offline"), "no option `scenario`; did you mean `scenarios`"),
        (lambda: api.tune(["image-smoke"], dry_run=True), "no option `dry_run`; there are: .*duration"),
        (lambda: api.targets(target="cpu"), "no option `target`; there are: recipes, locked, engine"),
        (lambda: api.assets.get(targets="cpu"), "no option `targets`"),
        (lambda: api.recipes.list(recipe=["."]), "did you mean `recipes`"),
        (lambda: api.images.prune(dry_run=True), "no option `dry_run`"),
        (lambda: api.engine_ensure(confirm=True), "no option `confirm`"),
        (lambda: api.campaign.plan("reference", target_cpu="x"), "no option `target_cpu`"),
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_the_one_that_may_be_meant(call, said):
    with pytest.raises(TypeError, match=said):
        call()


@pytest.mark.parametrize("given", ["1k", "100", True, float("nan")])
def test_a_rate_that_is_no_number_is_told(given):
    with pytest.raises(UsageError, match="is no rate") as caught:
        api.run(["image-smoke"], target_qps=given)
    assert caught.value.slug == "target-qps"


@pytest.mark.parametrize(
    "call",
    [
        lambda: api.plan(target="cpu", benchmarks="image-smoke"),
        lambda: api.plan(target="cpu", recipes="/none"),
        lambda: api.run("image-smoke"),
        lambda: api.verify_results("latest"),
        lambda: api.run(["image-smoke"], scenarios="Offline"),
        lambda: api.run(["image-smoke"], data="photos=/data"),
        lambda: api.plan(target="cpu", registries="registry.example/team"),
        lambda: api.assets.get("imagenet-20"),
        lambda: api.recipes.lint("mine.yaml"),
        lambda: api.images.lock("loadgen"),
    ],
)
def test_a_text_is_not_taken_for_a_list_of_its_letters(call):
    with pytest.raises(TypeError, match="is a list"):
        call()


def test_recipes_may_be_paths_and_a_duration_a_number(tmp_path):
    with pytest.raises(UsageError, match="with recipes"):
        api.plan(target="cpu", recipes=[tmp_path / "none"])
    with pytest.raises(UsageError, match="`-5` is not a duration"):
        api.run(["image-smoke"], duration=-5)


def test_an_engine_host_that_is_no_address_is_an_engine_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("MLORCH_ENGINE_HOST", "::::")
    assert {layer["state"] for layer in api.plan(target="cpu")["layers"]} == {"unknown"}
