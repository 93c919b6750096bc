"""What the checkers of other rounds do otherwise than v5.1's, each alone: data of the round, followed by the rules."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from submission_parts import LLAMA, RESNET, change_log, found, good_tree, row, rules, write, write_result

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.facts.checker_rules import EqualIssue
from orchestrator.facts.round_form import form_of, rules_from
from orchestrator.operations.submissions import kept_rules
from orchestrator.submissions.accuracy_text import parse_accuracy
from orchestrator.submissions.check import check_tree
from orchestrator.submissions.findings import Rulebook
from orchestrator.submissions.loadgen_conf import conf_name, number_set
from orchestrator.submissions.rows import summary_text
from orchestrator.submissions.rules.accuracy import judge_last

ROUNDS = ("v3.0", "v4.1", "v5.0", "v5.1", "v6.0", "v6.1")
OFFLINE = f"{RESNET}/Offline"
USER_CONF = "open/Acme/measurements/rack/llama2-70b-99/Offline/user.conf"


@pytest.fixture
def tree(tmp_path):
    return good_tree(tmp_path / "tree")


def check(root, *, official: bool = True, checks: dict[str, str] | None = None, **changes):
    """By v5.1's rules with other data."""
    whole = rules("v5.1")
    changes["checks"] = {**whole.checker.checks, **(checks or {})}
    return check_tree(root, Rulebook(replace(whole, checker=replace(whole.checker, **changes)), as_official=official))


def locations(checked) -> set[str]:
    return {each[checked.columns.index("Location")] for each in checked.rows}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("llama2-70b.Offline.sample_concatenate_permutation = 1", 1),
        ("  * . * . sample_concatenate_permutation = 0\n*.*.sample_concatenate_permutation = 1", 0),
        ("#*.*.sample_concatenate_permutation = 1", None),
        ("llama2-70b.Server.sample_concatenate_permutation = 1", None),
        ("bert.*.sample_concatenate_permutation = 1", None),
        ("*.*.sample_concatenate_permutation = yes\n*.*.sample_concatenate_permutation = 1", 1),
        ("a = b = c\nno form\n*.*.min_duration = 5", None),
        ("", None),
    ],
)
def test_a_line_of_a_configuration_holds_for_its_model_and_scenario(text, value):
    name = conf_name("llama2-70b-99.9")
    assert number_set(text, name, "Offline", "sample_concatenate_permutation") == value


def test_equal_issue_may_be_asked_of_a_file_in_place_of_the_log(tree):
    asked = EqualIssue(divisions=("open",), conf_files=("user.conf",))
    assert f"{LLAMA}/Offline" not in locations(check(tree, equal_issue=asked))
    assert f"{LLAMA}/Offline" in locations(check(tree, equal_issue=asked, official=False))
    write(tree / USER_CONF, "llama2-70b.*.sample_concatenate_permutation = 1\n")
    change_log(
        tree, f"{LLAMA}/Offline", effective_sample_concatenate_permutation=False, requested_use_token_latencies=True
    )
    assert f"{LLAMA}/Offline" in locations(check(tree, equal_issue=asked))


def test_equal_issue_is_asked_in_the_divisions_of_the_round(tree):
    change_log(
        tree, f"{LLAMA}/Offline", effective_sample_concatenate_permutation=False, requested_use_token_latencies=True
    )
    assert f"{LLAMA}/Offline" not in locations(check(tree))
    assert f"{LLAMA}/Offline" in locations(check(tree, equal_issue=EqualIssue(divisions=("closed",))))


def test_a_verdict_that_a_round_does_not_look_at_refuses_only_without_its_defects(tree):
    change_log(tree, f"{LLAMA}/Offline", result_validity="INVALID", requested_use_token_latencies=True)
    change_log(tree, f"{RESNET}/SingleStream", result_validity="INVALID")
    kept = check(tree, checks={"validity-tokens": "skip"})
    assert f"{LLAMA}/Offline" in locations(kept)
    assert f"{RESNET}/SingleStream" not in locations(kept)
    assert f"{LLAMA}/Offline" not in locations(check(tree, checks={"validity-tokens": "skip"}, official=False))


def test_units_go_by_the_name_of_the_folder_where_they_did(tree):
    for part in ("results", "measurements"):
        (tree / f"open/Acme/{part}/rack/llama2-70b-99").rename(tree / f"open/Acme/{part}/rack/mine")
    write(tree / "open/Acme/code/mine/README.md", "x")
    write(tree / "open/Acme/model_mapping.json", '{"mine": "llama2-70b-99"}')
    place = "open/Acme/results/rack/mine/Offline"
    assert row(check(tree), place).Units == "Tokens/s"
    assert row(check(tree, units_by="folder"), place).Units == "Samples/s"
    assert row(check(tree, units_by="folder", official=False), place).Units == "Tokens/s"


def test_the_accuracy_may_stand_alone_in_its_column(tree):
    assert row(check(tree, accuracy_column="number"), OFFLINE).Accuracy == "76.46"


@pytest.mark.parametrize(
    ("text", "figure", "faults"),
    [
        ("accuracy=70\naccuracy=76.5\nhash=1\n", "76.5", 0),
        ("accuracy=76.5\nhash=1\naccuracy=70\n", "76.5", 0),
        ("hash=1\naccuracy=70\naccuracy=76.5\n", "70", 1),
        ("hash=1\n", None, 1),
    ],
)
def test_the_last_figure_counts_until_the_hash_has_stood(text, figure, faults):
    found = judge_last(parse_accuracy(text, {"acc": r"accuracy=([\d.]+)"}), rules("v3.0").models["resnet"].accuracy)
    assert (found.figures.get("acc"), len(found.faults)) == (figure, faults)
    assert found.column("number") == (figure or "None")


def test_a_round_may_take_no_link_to_a_file(tree):
    (tree / "closed/Acme/code/resnet/LINK.md").symlink_to("README.md")
    (tree / "closed/Acme/documents").symlink_to("code")
    taken = check(tree, official=False)
    assert found(taken) == set()
    refused = check(tree, checks={"links": "refuse"}, official=False)
    assert found(refused) == {("links", "closed/Acme/code/resnet/LINK.md")}
    assert not any(place.startswith("closed/") for place in locations(refused))


def test_the_open_division_is_forgiven_what_the_round_says(tree):
    folder = tree / LLAMA / "Offline" / "accuracy"
    write(folder / "mlperf_log_accuracy.json", "x" * 20_000)
    assert f"{LLAMA}/Offline" in locations(check(tree))
    assert f"{LLAMA}/Offline" not in locations(check(tree, open_forgives=("accuracy", "accuracy-hash")))
    write(folder / "mlperf_log_accuracy.json", "[]")
    write(folder / "accuracy.txt", "nothing\nhash=0\n")
    assert f"{LLAMA}/Offline" not in locations(check(tree))
    assert f"{LLAMA}/Offline" in locations(check(tree, checks={"open-accuracy": "skip"}))


def test_a_model_that_is_not_whole_may_show_nothing(tree):
    (tree / OFFLINE).rename(tree / "closed/Acme/documents")
    assert f"{RESNET}/SingleStream" in locations(check(tree))
    assert not any(place.startswith(RESNET) for place in locations(check(tree, whole_models=True)))


def test_a_scenario_too_many_may_refuse_its_model(tree):
    write_result(tree, RESNET, "Server", "accuracy=76.46%, good=38230")
    assert f"{RESNET}/Offline" in locations(check(tree))
    assert not any(place.startswith(RESNET) for place in locations(check(tree, whole_models=True)))


def test_test01_may_need_its_accuracy_only_where_outputs_differ(tree):
    test = tree / "closed/Acme/compliance/box/resnet/Offline/TEST01"
    for path in sorted((test / "accuracy").iterdir()):
        path.unlink()
    (test / "accuracy").rmdir()
    assert OFFLINE not in locations(check(tree))
    assert OFFLINE in locations(check(tree, compliance_accuracy="differs"))
    write(test / "verify_accuracy.txt", "TEST FAIL\n")
    assert OFFLINE not in locations(check(tree, compliance_accuracy="differs"))


def test_the_summary_of_the_package_is_the_official_one_only_where_that_is_asked_for(tree):
    columns = rules("v6.1").checker.columns
    kept = check(tree, summary_form="package", columns=columns)
    one = row(kept, f"{OFFLINE}/performance/run_1")
    assert (one.compliance, one.errors, one.inferred, one.Scenario) == ("closed", "0", "0", "Offline")
    lines = summary_text(kept.columns, kept.rows, as_official=kept.form).splitlines()
    assert lines[0] == ",".join(columns)
    assert lines[1].startswith('"Acme","available","closed","edge",')
    ours = check(tree, summary_form="package", columns=columns, official=False)
    assert row(ours, OFFLINE).compliance == "1"


def test_a_folder_in_lower_case_is_inferred_to_the_package(tree):
    for part in ("results", "measurements", "compliance"):
        (tree / f"closed/Acme/{part}/box/resnet/Offline").rename(tree / f"closed/Acme/{part}/box/resnet/offline")
    kept = check(tree, summary_form="package")
    one = row(kept, f"{RESNET}/offline/performance/run_1")
    assert (one.Scenario, one.inferred) == ("offline", "1")
    assert row(check(tree, official=False), f"{RESNET}/offline").inferred == "0"


# -- rules that are kept -------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog():
    return load([builtin_root()])


@pytest.mark.parametrize("name", ROUNDS)
def test_the_rules_of_a_round_come_back_from_their_form(catalog, name):
    whole = catalog.round_rules(name)
    back = rules_from(json.loads(json.dumps(form_of(whole))))
    assert back == whole
    assert list(back.checker.guesses) == list(whole.checker.guesses)


@pytest.mark.parametrize("form", [{}, {"": "RoundRules"}, {"": "Nothing"}, {"": "Limits"}, {"a": 1}])
def test_a_form_that_somebody_changed_is_not_believed(catalog, form):
    context = SimpleNamespace(kept_document=lambda asked, make: form, catalog=catalog)
    assert kept_rules(context, "v5.1") == catalog.round_rules("v5.1")
