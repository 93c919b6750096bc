"""What a benchmark that generates has to say in its recipe, and what its settings and scenarios come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.definitions.catalog.check_harness import check_interface
from orchestrator.definitions.kinds.benchmarks import Generation, ScenarioSettings
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.context import Context
from orchestrator.plan.run.loadgen_settings import expected_settings, user_conf


@pytest.fixture(scope="module")
def catalog():
    return Context().catalog


def faults(catalog, **changes: object) -> list[tuple[str, str]]:
    entry = catalog.by_key["benchmark", "llm-chat"]
    benchmark = entry.definition.model_copy(update=changes)
    changed = replace(entry, definition=benchmark)
    return [(problem.slug, problem.message) for problem in check_interface(catalog, changed, benchmark)]


def test_the_shipped_one_says_all_that_is_needed(catalog):
    assert faults(catalog) == []


def test_a_limit_of_tokens_is_needed_and_belongs_to_a_task_that_generates(catalog):
    ((slug, message),) = faults(catalog, generation=None)
    assert (slug, "how many tokens" in message) == ("missing-key", True)
    fashion = catalog.by_key["benchmark", "image-fashion"]
    benchmark = fashion.definition.model_copy(update={"generation": Generation(limit=8)})
    (problem,) = check_interface(catalog, replace(fashion, definition=benchmark), benchmark)
    assert (problem.slug, "generates nothing" in problem.message) == ("generation", True)


@pytest.mark.parametrize("name", ["Server", "Interactive"])
def test_queries_at_a_rate_need_limits_of_the_first_and_of_later_tokens(catalog, name):
    half = ScenarioSettings(ttft_latency_ns=1_000_000)
    ((slug, message),) = faults(catalog, scenarios={name: half})
    assert slug == "missing-key"
    assert name in message


def test_interactive_is_what_loadgen_calls_server():
    assert [one.name for one in SCENARIOS.values() if one.loadgen_name != one.name] == ["Interactive"]
    assert user_conf("Interactive", {"min_duration_ms": 5}) == "*.Server.min_duration = 5\n"
    assert expected_settings("Interactive", "accuracy", {})["scenario"] == "Server"
