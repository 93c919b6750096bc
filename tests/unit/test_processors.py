"""`--cpus`: what may be said, what the plan makes of it, and what is advised."""

from __future__ import annotations

import pytest
from run_parts import a_host, a_run_environment, a_workload

from orchestrator.errors import UsageError
from orchestrator.facts.processors import cpu_list
from orchestrator.operations.run.request import RunRequest, checked
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.processors import core_advice, cpu_set, parse_cpus, require_allowed, whole_cores
from orchestrator.plan.run.settings import Choices


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("", ()), ("  ", ()), ("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), ("8, 2 - 3,2", (2, 3, 8)), ("5-5", (5,))],
)
def test_processors_are_read_as_the_kernel_lists_them(text, cpus):
    assert parse_cpus(text) == cpus
    assert parse_cpus(cpu_list(cpus)) == cpus


@pytest.mark.parametrize("text", ["a", "1,", ",", "-1", "1-", "3-1", "0-4294967295", "1.5", "²", "0:1", "0-1-2", "0x1"])
def test_what_is_no_list_is_refused_with_how_to_write_one(text):
    with pytest.raises(UsageError) as caught:
        parse_cpus(text)
    assert (caught.value.slug, caught.value.exit_code) == ("cpus-syntax", 2)
    assert "--cpus 0-3,8" in caught.value.hint


def test_what_the_host_lacks_is_told_from_what_may_not_be_used():
    host = a_host(allowed_cpus=(0, 1))
    require_allowed(host, (0, 1))
    with pytest.raises(UsageError) as caught:
        require_allowed(host, (0, 2, 3, 9))
    assert caught.value.slug == "cpus-not-allowed"
    assert "no processor 9 (it has 0-3)" in caught.value.message
    assert "2-3 may not be used from here" in caught.value.message
    assert caught.value.hint == "choose from 0-1"


def test_the_plan_takes_those_that_were_asked_for_and_says_who_asked():
    environment = a_run_environment(cpus=(2, 3))
    step = plan_run(a_workload(), environment, Cell(scenario="Offline", mode="performance"), "r", Choices())
    assert step.container.cpus == (2, 3)
    assert step.settings["execution"]["cpus"] == [2, 3]
    assert step.provenance["execution.cpus"] == "command line"
    plain = plan_run(a_workload(), a_run_environment(), Cell(scenario="Offline", mode="performance"), "r", Choices())
    assert (plain.container.cpus, plain.provenance["execution.cpus"]) == ((0, 1), "system")


def test_asked_processors_are_never_exchanged_for_others():
    with pytest.raises(UsageError, match="no processor 7"):
        cpu_set(a_host(), (), (7,))


def test_threads_of_one_core_are_advised_against_and_taken_all_the_same():
    host = a_host()  # siblings are 0,2 and 1,3
    advice = core_advice(host, (0, 1, 2))
    assert "several threads of one core (0,2)" in advice
    assert advice.endswith("--cpus 0-1")
    assert core_advice(host, (0, 1)) == core_advice(host, (2,)) == core_advice(host, ()) == ""
    assert cpu_set(host, (), (0, 2)) == (0, 2)


def test_a_core_is_reserved_whole_so_that_nobody_gets_its_other_thread():
    assert whole_cores(a_host(), (0,)) == (0, 2)
    assert whole_cores(a_host(), (0, 3)) == (0, 1, 2, 3)


def test_the_request_keeps_them_in_one_spelling_and_in_the_command_line():
    request = checked(RunRequest(cpus=" 3, 0-1 ", wait=False))
    assert request.cpus == "0-1,3"
    argv = request.to_argv()
    assert argv[argv.index("--cpus") + 1] == "0-1,3"
    assert "--no-wait" in argv
    assert not {"--cpus", "--wait", "--no-wait"} & set(checked(RunRequest()).to_argv())
