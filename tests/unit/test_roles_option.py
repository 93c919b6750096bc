"""`--roles`: which choice of a recipe it is, and what `--set` says beside it."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.operations.context import Context
from orchestrator.operations.run.request import RunRequest
from orchestrator.operations.run.roles import changes_of
from orchestrator.plan.build.frameworks import framework_of


def changes(roles: str, *said: str, names=("llm-chat",), target="cpu") -> tuple[str, ...]:
    return changes_of(Context(), RunRequest(benchmarks=names, roles=roles, changes=said), names, target)


def test_the_roles_are_a_choice_of_the_recipe():
    assert changes("server,client") == ("serving=llamacpp",)
    assert changes("client,server") == ("serving=llamacpp",)


def test_of_choices_with_the_same_roles_it_is_the_one_whose_server_has_an_image_for_the_target():
    assert changes("server,client", target="openvino") == ("serving=openvino",)
    assert changes("server,client", "serving=openvino", target="cpu") == ("serving=openvino",), "what was chosen stays"


def test_a_server_without_an_image_for_the_target_is_told_with_the_choice_that_has_one():
    catalog = Context().catalog_for(["llm-chat"], ("serving=llamacpp",))
    with pytest.raises(UsageError) as caught:
        framework_of(catalog, target="openvino", benchmark="llm-chat")
    assert caught.value.slug == "unsupported-target"
    assert "its server `llamacpp` has no image" in caught.value.message
    assert "on `openvino` it runs with `--set serving=openvino`;" in caught.value.hint


def test_a_target_that_no_server_has_an_image_for_is_told_with_all_that_one_has():
    catalog = Context().catalog_for(["llm-chat"], changes("server,client", target="cuda"))
    with pytest.raises(UsageError) as caught:
        framework_of(catalog, target="cuda", benchmark="llm-chat")
    assert "it runs on: cpu, on openvino with `--set serving=openvino`;" in caught.value.hint


def test_the_harness_alone_is_a_client():
    assert changes("client") == ()


def test_what_is_set_of_a_role_goes_with_the_choice_that_gives_it():
    said = "roles.server.restart=run"
    found = changes("server,client", said)
    benchmark = Context().catalog_for(["llm-chat"], found).benchmark("llm-chat").definition
    assert benchmark.roles["server"].restart == "run"


def test_roles_that_a_recipe_does_not_offer_are_refused_with_those_that_it_does():
    with pytest.raises(UsageError) as caught:
        changes("server,router,client")
    assert caught.value.slug == "unknown-roles"
    assert "it can be run as: server,client; client" in caught.value.hint
