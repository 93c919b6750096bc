"""What a campaign would run: keys of cells by what decides their results, and what is said of those that changed."""

from __future__ import annotations

import json

import pytest

from orchestrator import api
from orchestrator.campaigns.folder import kept, write_cell, write_plan
from orchestrator.campaigns.journal import Journal, JournalLine
from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root
from orchestrator.errors import DefinitionError, NothingSelectedError, UsageError
from orchestrator.operations.campaign.places import folder_of
from orchestrator.operations.campaign.plan import campaign_plan
from orchestrator.operations.campaign.request import CampaignRequest
from orchestrator.operations.campaign.run import campaign_run
from orchestrator.operations.context import Context
from orchestrator.operations.run.request import RunRequest

CAMPAIGN = """\
kind: campaign
name: c
title: A campaign
matrix:
  benchmark: image-smoke
  scenario: [Offline, SingleStream]
  target: cpu
  duration: 1s
"""


@pytest.fixture(scope="module")
def context():
    return Context()


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CAMPAIGN)
    return path


def plan(context, path, **more):
    request = CampaignRequest(campaign=str(path), run=RunRequest(results=path.parent / "results"), **more)
    return campaign_plan(context, request, why=True)


def keys(found) -> dict[tuple[str, str], str]:
    return {(each.planned.cell.value("scenario"), each.planned.cell.mode): each.planned.key for each in found.cells}


def measured(found) -> None:
    """As if every cell had been run, whose results nobody looks for."""
    journal = Journal(found.folder)
    write_plan(found.folder, found.campaign.name, [kept(each.planned) for each in found.cells])
    for each in found.cells:
        write_cell(found.folder, each.planned)
        journal.append(JournalLine(each.planned.cell.place, each.planned.folder, "done"))


@pytest.fixture
def changed(tmp_path):
    """A function that gives a context in which a text of the recipe image-smoke is another one."""

    def overlay(old: str, new: str) -> Context:
        folder = tmp_path / "mine"
        folder.mkdir()
        text = (builtin_root().path / "recipes/benchmarks/image-smoke.yaml").read_text()
        assert old in text
        (folder / "image-smoke.yaml").write_text(text.replace(old, new))
        return Context((str(folder),))

    return overlay


def test_a_title_changes_no_key(context, changed, place):
    assert keys(plan(changed("20 ImageNet photos", "twenty photos"), place)) == keys(plan(context, place))


def test_a_setting_of_one_scenario_changes_its_cells_and_is_named(context, changed, place):
    measured(plan(context, place))
    found = plan(changed("SingleStream: {}", "SingleStream: {min_query_count: 100}"), place)
    assert {each.planned.cell.value("scenario"): (each.state, each.why) for each in found.cells[1:]} == {
        "Offline": ("done", ()),
        "SingleStream": ("left", ("min_query_count was 64, is 100",)),
    }


def test_another_model_or_goal_changes_what_it_concerns(context, changed, place):
    before, after = keys(plan(context, place)), keys(plan(changed("factor: 0.99", "factor: 0.9"), place))
    assert {cell for cell in before if before[cell] != after[cell]} == {("Offline", "accuracy")}


def test_another_duration_is_another_test_of_performance_and_the_same_accuracy(context, place):
    before = keys(plan(context, place))
    place.write_text(CAMPAIGN.replace("duration: 1s", "duration: 2s"))
    after = keys(plan(context, place))
    assert {cell for cell in before if before[cell] == after[cell]} == {("Offline", "accuracy")}
    place.write_text(CAMPAIGN.replace("duration: 1s", "duration: 1000ms"))
    assert keys(plan(context, place)) == before


def test_another_host_of_the_same_hardware_has_the_same_keys_and_another_machine_has_not(context, place, monkeypatch):
    from dataclasses import replace

    from orchestrator.host import facts

    here, before = facts.host_facts(), keys(plan(context, place))
    monkeypatch.setattr(facts, "host_facts", lambda: replace(here, hostname="other", load=(9.0, 9.0, 9.0)))
    assert keys(plan(context, place)) == before
    monkeypatch.setattr(facts, "host_facts", lambda: replace(here, system_id="another"))
    assert not {*keys(plan(context, place)).values()} & {*before.values()}


def test_memory_that_others_have_now_makes_no_cell_impossible(context, place, monkeypatch):
    from dataclasses import replace

    from orchestrator.host import facts

    here = facts.host_facts()
    monkeypatch.setattr(facts, "host_facts", lambda: replace(here, memory_available=2**20))
    assert plan(context, place).counts()["left"] == 3


def test_cells_that_come_to_the_same_test_are_run_once(context, place):
    place.write_text(CAMPAIGN.replace("duration: 1s", "target_qps: [5, 6]"))
    found = [each for each in plan(context, place).cells if each.planned.cell.value("scenario") == "SingleStream"]
    assert [each.state for each in found] == ["left", "same"]
    assert found[1].why == ("the same test as image-smoke SingleStream performance target=cpu target_qps=5",)


def test_what_no_host_here_can_run_is_told_and_stops_no_other_cell(context, place):
    place.write_text(CAMPAIGN.replace("target: cpu", "target: [cpu, gaudi]"))
    found = plan(context, place)
    assert found.counts()["impossible"] == 3
    (why,) = {each.why for each in found.cells if each.state == "impossible"}
    assert "target `gaudi` is not on this host" in why[0]
    place.write_text(CAMPAIGN.replace("target: cpu", "target: gaudi"))
    with pytest.raises(NothingSelectedError, match="no cell of campaign `c` can be run"):
        campaign_run(context, CampaignRequest(campaign=str(place), run=RunRequest(results=place.parent)))


def test_a_scenario_that_only_some_benchmarks_have_is_impossible_for_the_others(context, place):
    text = CAMPAIGN.replace("benchmark: image-smoke", "benchmark: [image-smoke, speech-command]")
    place.write_text(text.replace("[Offline, SingleStream]", "[MultiStream]"))
    found = [each for each in plan(context, place).cells if each.state == "impossible"]
    assert {each.planned.cell.value("benchmark") for each in found} == {"speech-command"}
    assert "has no scenario MultiStream" in found[0].why[0]


@pytest.mark.parametrize(
    ("old", "new", "where", "slug"),
    [
        ("duration: 1s", "duration: [1s, 10]", (8, 18), "duration"),
        ("duration: 1s", "target_qps: [1, fast]", (8, 19), "target-qps"),
        ("duration: 1s", "target_qps: 0", (8, 15), "target-qps"),
        ("duration: 1s", "cpus: 3-1", (8, 9), "cpus-syntax"),
        ("duration: 1s", "timeout: 5", (8, 12), "timeout-syntax"),
        ("duration: 1s", "devices: every", (8, 12), "devices-syntax"),
    ],
)
def test_a_word_that_a_run_would_not_take_is_told_where_it_stands(context, place, old, new, where, slug):
    place.write_text(CAMPAIGN.replace(old, new))
    with pytest.raises(DefinitionError) as caught:
        plan(context, place)
    assert (caught.value.span.line, caught.value.span.column) == where
    assert caught.value.slug == slug


@pytest.mark.parametrize("text", ["4/3", "0/2", "x", "1/0"])
def test_a_shard_that_is_none_is_refused(context, place, text):
    with pytest.raises(UsageError) as caught:
        plan(context, place, shard=text)
    assert caught.value.slug == "shard"


def test_a_name_that_is_no_campaign_is_answered_with_those_that_there_are(context):
    with pytest.raises(UsageError, match="no campaign `referenc`") as caught:
        campaign_plan(context, CampaignRequest(campaign="referenc"))
    assert "did you mean `reference`?" in caught.value.hint


def test_a_campaign_is_found_by_its_name_its_file_and_its_folder(place, context):
    found = plan(context, place)
    measured(found)
    for word in ("c", str(place), str(found.folder)):
        assert folder_of(place.parent / "results", word) == found.folder


# -- as it is typed ----------------------------------------------------------------------------


def test_the_command_line_plans_and_says_what_never_began(place, capsys, monkeypatch):
    monkeypatch.chdir(place.parent)
    assert run(["campaign", "plan", "c.yaml", "--why", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"total": 3, "left": 3} | dict.fromkeys(
        ("done", "invalid", "failed", "interrupted", "impossible", "same"), 0
    )
    assert [cell["why"] for cell in document["cells"]] == [["not measured yet"]] * 3
    assert not (place.parent / "results").exists()
    for words in (["status", "c"], ["resume", "c.yaml"], ["export", "c"]):
        assert run(["campaign", *words]) == 2
        assert "[no-campaign]" in capsys.readouterr().err


def test_the_api_gives_what_json_prints(place, capsys, context, monkeypatch):
    monkeypatch.chdir(place.parent)
    measured(plan(context, place))
    calls = {"plan": api.campaign.plan, "status": api.campaign.status, "export": api.campaign.export}
    for verb, call in calls.items():
        run(["campaign", verb, "c.yaml", "--json"])
        assert call("c.yaml") == json.loads(capsys.readouterr().out), verb


def test_a_plan_for_people_has_a_row_a_cell_and_one_line_for_one_reason(place, capsys, monkeypatch):
    monkeypatch.chdir(place.parent)
    assert run(["campaign", "plan", "c.yaml", "--why"]) == 0
    out = capsys.readouterr().out
    assert out.count("to run") == 4
    assert "3 cells: 3 to run" in out
    assert "image-smoke Offline accuracy target=cpu and 2 more: not measured yet" in out
