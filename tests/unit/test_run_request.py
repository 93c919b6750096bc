"""One request for the command line, the API and a scheduler: it says itself as the command line that asks for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from orchestrator.commands.run import command
from orchestrator.errors import UsageError
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.progress import Silent
from orchestrator.operations.pull_policy import PullPolicy
from orchestrator.operations.run.prepared import _with_images
from orchestrator.operations.run.request import API, RunRequest, checked

FULL = RunRequest(
    benchmarks=("image-fashion", "image-smoke"),
    suite="reference",
    target="cuda",
    arch="sm_90",
    scenarios=("Server", "Offline"),
    mode="performance",
    duration="10m",
    official=True,
    target_qps=12.5,
    devices="0,2",
    data=("imagenet=/mnt/imagenet", "model/mine=here"),
    base_source="bootstrap",
    locked=True,
    pull_policy=PullPolicy(pull=True, build=False, images="list.yaml"),
    engine="podman",
    recipes=("mine", "https://example.org/r@v1"),
    results=Path("out"),
)


def parsed(words: tuple[str, ...]) -> RunRequest:
    """What the command line makes of words, as `commands.run` hands it on."""
    found = command.make_context("run", list(words)).params
    policy = PullPolicy(pull=found.pop("pull"), build=not found.pop("no_build"), images=found.pop("images"))
    results = Path(found.pop("results_dir"))
    for other in ("dry_run", "as_json"):
        found.pop(other)
    return RunRequest(pull_policy=policy, results=results, **{**found, "locked": bool(found["locked"])})


@pytest.mark.parametrize("request_", [FULL, RunRequest(find=True), RunRequest()])
def test_a_request_read_back_from_its_own_command_line_is_the_same(request_):
    program, verb, *words = request_.to_argv()
    assert (program, verb) == ("mlorch", "run")
    assert parsed(tuple(words)) == request_


def test_every_option_of_the_command_is_a_field_of_the_request():
    options = {name for p in command.params if isinstance(p, click.Option) for name in p.opts if name.startswith("--")}
    fields = {f.metadata["option"] for f in RunRequest.__dataclass_fields__.values() if "option" in f.metadata}
    views_and_policy = {"--json", "--dry-run", "--no-build", "--pull", "--images"}
    assert options - views_and_policy == fields


def test_a_call_of_the_api_says_so():
    assert RunRequest(caller=API).to_argv()[0] == "api.run"


def test_words_are_taken_in_any_case_and_auto_means_detection():
    request = checked(RunRequest(target="auto", scenarios=("single-stream",), mode="ACCURACY"))
    assert (request.target, request.scenarios, request.mode) == (None, ("SingleStream",), "accuracy")


def test_a_word_that_means_nothing_is_refused():
    with pytest.raises(UsageError, match="no scenario `Sever`"):
        checked(RunRequest(scenarios=("Sever",)))


def test_a_run_that_must_pull_asks_for_registries_as_a_build_does():
    """Also where every image is in the engine already."""
    context = SimpleNamespace(
        settings=SimpleNamespace(images="", registries=()),
        look_up=lambda: dict.fromkeys,
        plans=lambda _selection: SimpleNamespace(plans=()),
    )
    request = RunRequest(pull_policy=PullPolicy(pull=True))
    with pytest.raises(UsageError) as caught:
        _with_images(context, request, Selection(), (), Silent())
    assert caught.value.slug == "no-registries"
