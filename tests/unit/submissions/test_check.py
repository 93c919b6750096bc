"""A submission by the rules of v5.1: what is good gives its rows, and each fault is told where it is."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace

import pytest
from submission_parts import (
    LLAMA,
    RESNET,
    change_log,
    check,
    found,
    good_tree,
    line,
    row,
    rules,
    system_json,
    values_of,
    write,
    write_log,
    write_result,
)

from orchestrator.submissions.check import check_tree
from orchestrator.submissions.findings import Rulebook
from orchestrator.submissions.rows import summary_text
from orchestrator.submissions.rules import ALL_RULES

BOX = "closed/Acme/systems/box.json"
OFFLINE = f"{RESNET}/Offline"
DETAIL = "performance/run_1/mlperf_log_detail.txt"
ACCURACY = f"{OFFLINE}/accuracy/accuracy.txt"
MEASURED = "closed/Acme/measurements/box/resnet/Offline"
TEST01 = "closed/Acme/compliance/box/resnet/Offline/TEST01"


@pytest.fixture
def tree(tmp_path):
    return good_tree(tmp_path / "tree")


def test_a_good_tree_gives_a_row_a_result_and_no_finding(tree):
    checked = check(tree)
    assert (checked.findings, checked.refused, checked.good) == ((), (), True)
    assert (checked.results, len(checked.rows)) == (4, 4)


def test_rows_have_the_official_columns_and_values(tree):
    checked = check(tree)
    assert checked.columns[0] == "Organization"
    assert len(checked.columns) == 28
    offline = row(checked, OFFLINE)
    assert (offline.Result, offline.Units, offline.Accuracy) == ("1234.5", "Samples/s", "acc: 76.46")
    assert (offline.Division, offline.SystemType, offline.MlperfModel) == ("closed", "edge", "resnet")
    assert (offline.compliance, offline.errors, offline.inferred, offline.has_power) == ("1", "0", "0", "False")
    assert (offline.notes, offline.weight_data_types) == ("tuned", "int8")
    assert row(checked, f"{RESNET}/SingleStream").Result == "2.5"
    tokens = row(checked, f"{LLAMA}/Offline")
    assert (tokens.Result, tokens.Units) == ("5678.25", "Tokens/s")
    assert tokens.Accuracy == "ROUGE1: 44.5  ROUGE2: 22.1  ROUGEL: 28.7  TOKENS_PER_SAMPLE: 294.4"


@pytest.mark.parametrize(
    ("scenario", "run", "result"),
    [
        ("MultiStream", "SingleStream", "128.0"),
        ("Offline", "SingleStream", "321.5"),
        ("Offline", "MultiStream", "500.0"),
    ],
)
def test_a_result_may_be_computed_from_another_scenario(tree, scenario, run, result):
    change_log(tree, f"{RESNET}/{scenario}", effective_scenario=run, effective_samples_per_query=8)
    one = row(check(tree), f"{RESNET}/{scenario}")
    assert (one.Result, one.inferred, one.Units) == (result, "1", rules().checker.units[scenario])


CHANGED_LOGS = [
    ({"result_validity": "INVALID"}, "validity"),
    ({"result_validity": None}, "validity"),
    ({"effective_qsl_rng_seed": 1}, "seeds"),
    ({"effective_schedule_rng_seed": None}, "seeds"),
    ({"effective_min_duration_ms": 60000}, "min-duration"),
    ({"effective_performance_sample_count": 100}, "performance-samples"),
    ({"effective_performance_sample_count": "many"}, "performance-samples"),
    ({"effective_samples_per_query": 24575}, "offline-samples"),
    ({"result_samples_per_second": None}, "result"),
    ({"result_samples_per_second": 0}, "result"),
    ({"num_errors": 2}, "loadgen-errors"),
    ({"effective_min_query_count": 0}, "min-queries"),
]


@pytest.mark.parametrize(("changes", "rule"), CHANGED_LOGS)
def test_a_test_that_breaks_a_rule_is_refused_alone(tree, changes, rule):
    change_log(tree, OFFLINE, **changes)
    checked = check(tree)
    assert (rule, f"{OFFLINE}/{DETAIL}") in found(checked)
    assert {each.rule for each in checked.findings} == {rule, "complete"}
    assert checked.refused == (OFFLINE, RESNET)
    assert len(checked.rows) == 3


@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"early_stopping_met": False}, "early-stopping"), ({"effective_scenario": "Server"}, "scenario-run")],
)
def test_what_the_official_checker_takes_is_taken_only_as_the_official_one(tree, changes, rule):
    change_log(tree, f"{RESNET}/SingleStream", **changes)
    honest, official = check(tree), check(tree, official=True)
    assert rule in {each.rule for each in honest.findings}
    assert (len(honest.rows), len(official.rows)) == (3, 4)


def test_an_accuracy_over_a_part_of_the_data_is_refused(tree):
    path = tree / OFFLINE / "accuracy" / "mlperf_log_detail.txt"
    path.write_text(
        path.read_text().replace('"qsl_reported_total_count", "value": 50000', '"qsl_reported_total_count", "value": 9')
    )
    assert ("accuracy-samples", f"{OFFLINE}/accuracy/mlperf_log_detail.txt") in found(check(tree))
    assert len(check(tree).rows) == 3
    assert len(check(tree, official=True).rows) == 4


def test_latencies_of_tokens_are_held_to_the_models_limits(tree):
    write_result(tree, LLAMA, "Server", "{'rouge1': 44.5}")
    ttft, tpot = "result_first_token_99.00_percentile_latency_ns", "result_time_per_output_token_99.00_percentile_ns"
    at = f"{LLAMA}/Server/{DETAIL}"
    good = {"requested_use_token_latencies": True, ttft: 1999999999, tpot: 199999999}
    change_log(tree, f"{LLAMA}/Server", **good)
    assert row(check(tree), f"{LLAMA}/Server").Result == "4321.5"
    change_log(tree, f"{LLAMA}/Server", **{**good, ttft: 2000000000})
    assert ("token-latency", at) in found(check(tree))
    change_log(tree, f"{LLAMA}/Server", **{**good, "requested_use_token_latencies": False})
    assert ("token-latencies", at) in found(check(tree))
    change_log(tree, f"{LLAMA}/Server", **{**good, "effective_sample_concatenate_permutation": False})
    assert ("equal-issue", at) in found(check(tree))


TEXTS = [
    (ACCURACY, "accuracy=70.0%\nhash=0\n", "accuracy", ACCURACY),
    (ACCURACY, "accuracy=76.46%\n", "accuracy-hash", ACCURACY),
    (ACCURACY, "accuracy=7.6.4%\nhash=0\n", "accuracy", ACCURACY),
    (ACCURACY, "hash=0\n", "accuracy", ACCURACY),
    (f"{OFFLINE}/accuracy/mlperf_log_accuracy.json", "x" * 10241, "accuracy-log-size",
     f"{OFFLINE}/accuracy/mlperf_log_accuracy.json"),
    (f"{OFFLINE}/accuracy/notes.txt", "x", "accuracy-files", f"{OFFLINE}/accuracy"),
    (f"{OFFLINE}/performance/run_1/core", "x", "performance-files", f"{OFFLINE}/performance/run_1"),
    (f"{MEASURED}/user.conf", "", "measurements-filled", f"{MEASURED}/user.conf"),
    (f"{MEASURED}/box_ours_Offline.json", "{", "measurements-json", f"{MEASURED}/box_ours_Offline.json"),
    (f"{MEASURED}/box_ours_Offline.json", "{}", "measurements-fields", f"{MEASURED}/box_ours_Offline.json"),
    (f"{TEST01}/verify_performance.txt", "TEST FAIL\n", "compliance-verdict", f"{TEST01}/verify_performance.txt"),
    (f"{TEST01}/verify_accuracy.txt", "TEST FAIL\n", "compliance-accuracy-files", f"{TEST01}/accuracy"),
    (f"{OFFLINE}/accuracy/mlperf_log_detail.txt", line("error_x", "y", error=True), "accuracy-errors",
     f"{OFFLINE}/accuracy/mlperf_log_detail.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "rule", "where"), TEXTS)
def test_a_file_that_breaks_a_rule_refuses_its_result(tree, path, text, rule, where):
    write(tree / path, text)
    for official in (False, True):
        checked = check(tree, official=official)
        assert (rule, where) in found(checked)
        assert OFFLINE in checked.refused
        assert len(checked.rows) == 3


GONE = [
    (f"{OFFLINE}/performance", "performance-files", f"{OFFLINE}/performance/run_1"),
    (f"{OFFLINE}/accuracy", "accuracy-files", f"{OFFLINE}/accuracy"),
    (f"{OFFLINE}/accuracy/accuracy.txt", "accuracy-files", f"{OFFLINE}/accuracy"),
    (f"{OFFLINE}/{DETAIL}", "performance-files", f"{OFFLINE}/performance/run_1"),
    (MEASURED, "measurements", MEASURED),
    (f"{MEASURED}/box_ours_Offline.json", "measurements-json", MEASURED),
    ("closed/Acme/code/resnet", "code", MEASURED),
    (TEST01, "compliance", TEST01),
    ("closed/Acme/compliance", "compliance", "closed/Acme/compliance/box/resnet/Offline"),
    (f"{TEST01}/verify_accuracy.txt", "compliance-verdict", f"{TEST01}/verify_accuracy.txt"),
    (f"{TEST01}/performance", "compliance-files", f"{TEST01}/performance/run_1"),
    ("closed/Acme/systems/box.json", "system-json", BOX),
    (OFFLINE, "complete", RESNET),
    ("closed/Acme/calibration.md", "calibration", "closed/Acme"),
]


@pytest.mark.parametrize(("path", "rule", "where"), GONE)
def test_what_is_missing_is_told_with_its_place(tree, path, rule, where):
    gone = tree / path
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    checked = check(tree)
    assert (rule, where) in found(checked)
    assert not checked.good


def test_outputs_of_test01_may_differ_a_little(tree):
    write(tree / TEST01 / "verify_accuracy.txt", "TEST FAIL\n")
    for name, value in (("baseline_accuracy.txt", "76.40"), ("compliance_accuracy.txt", "75.90")):
        write(tree / TEST01 / "accuracy" / name, f"accuracy={value}%\n")
    assert check(tree).good
    write(tree / TEST01 / "accuracy" / "compliance_accuracy.txt", "accuracy=75.00%\n")
    assert found(check(tree)) == {("compliance-accuracy", f"{TEST01}/accuracy")}


def test_a_compliance_run_is_judged_as_any_run(tree):
    change_log(tree, OFFLINE)
    path = tree / TEST01 / "performance" / "run_1" / "mlperf_log_detail.txt"
    path.write_text(path.read_text().replace('"VALID"', '"INVALID"'))
    checked = check(tree)
    assert found(checked) == {("validity", f"{TEST01}/performance/run_1/mlperf_log_detail.txt")}
    assert checked.refused == (OFFLINE,)


SYSTEMS = [
    ({"status": "soon"}, "system-status"),
    ({"status": None}, "system-status"),
    ({"system_type": "laptop"}, "system-type"),
    ({"submitter": "Other"}, "system-submitter"),
    ({"division": "open"}, "system-division"),
    ({"accelerators_per_node": 0}, "system-filled"),
    ({"is_network": "true"}, "network-mode"),
    ({"is_network": True}, "network-mode"),
]


@pytest.mark.parametrize(("changes", "rule"), SYSTEMS)
def test_a_system_that_breaks_a_rule_has_no_rows(tree, changes, rule):
    write(tree / BOX, json.dumps(system_json("closed", "box", "edge", **changes)))
    checked = check(tree)
    assert (rule, BOX) in found(checked)
    assert "closed/Acme/results/box" in checked.refused
    assert len(checked.rows) == 1


def test_in_the_open_division_any_accuracy_is_taken(tree):
    write(tree / LLAMA / "Offline" / "accuracy" / "accuracy.txt", "{'rouge1': 1.5}\n")
    checked = check(tree)
    assert row(checked, f"{LLAMA}/Offline").Accuracy == "ROUGE1: 1.5"
    assert {(each.rule, each.level) for each in checked.findings} == {
        ("accuracy", "warning"),
        ("accuracy-hash", "warning"),
    }
    write(tree / LLAMA / "Offline" / "accuracy" / "accuracy.txt", "nothing\n")
    assert f"{LLAMA}/Offline" in check(tree).refused


def test_a_round_may_hold_the_open_division_to_all_but_the_figure(tree):
    write(tree / LLAMA / "Offline" / "accuracy" / "accuracy.txt", "{'rouge1': 1.5}\n")
    write_log(tree / LLAMA / "Offline" / "accuracy", values_of("Offline", qsl_reported_total_count=7))
    known = rules("v5.1")
    checker = replace(known.checker, open_forgives=("accuracy", "accuracy-hash"), checks={"accuracy-samples": "refuse"})
    for official in (False, True):
        checked = check_tree(tree, Rulebook(replace(known, checker=checker), as_official=official))
        assert f"{LLAMA}/Offline" in checked.refused
        assert {each.rule for each in checked.findings if each.level == "error"} == {"accuracy-samples"}
    assert rules("v6.1").checker.open_forgives == ("accuracy", "accuracy-hash")
    assert not check(tree).refused


def test_models_of_other_names_are_mapped(tree):
    (tree / RESNET).rename(tree / RESNET.replace("resnet", "resnet50"))
    for kind in ("measurements", "compliance"):
        (tree / f"closed/Acme/{kind}/box/resnet").rename(tree / f"closed/Acme/{kind}/box/resnet50")
    (tree / "closed/Acme/code/resnet").rename(tree / "closed/Acme/code/resnet50")
    one = row(check(tree), f"{RESNET}50/Offline")
    assert (one.Model, one.MlperfModel) == ("resnet50", "resnet")


def test_an_open_submitter_maps_names_of_models(tree):
    for kind in ("results/rack", "measurements/rack", "code"):
        (tree / f"open/Acme/{kind}/llama2-70b-99").rename(tree / f"open/Acme/{kind}/mine")
    assert ("model", "open/Acme/results/rack/mine") in found(check(tree))
    write(tree / "open/Acme/model_mapping.json", '{"mine": "llama2-70b-99"}')
    assert row(check(tree), "open/Acme/results/rack/mine/Offline").MlperfModel == "llama2-70b-99"
    write(tree / "open/Acme/model_mapping.json", "[")
    assert ("model-mapping", "open/Acme/model_mapping.json") in found(check(tree))


NAMES = [
    ("closed/Acme/.hidden", "hidden-names"),
    ("closed/Acme/a b.txt", "spaces"),
    ("closed/Acme/code/__pycache__/x.pyc", "pycache"),
    ("closed/stray.txt", "division-files"),
    ("stray.txt", "root-files"),
    ("other/Acme/x", "divisions"),
]


@pytest.mark.parametrize(("path", "rule"), NAMES)
def test_names_that_do_not_belong_are_told(tree, path, rule):
    write(tree / path, "x")
    assert rule in {each.rule for each in check(tree).findings}


def test_a_rule_may_be_left_out(tree):
    write(tree / "stray.txt", "x")
    assert check(tree, skip=("root-files",)).good


def test_root_files_stop_the_official_checker_and_not_ours(tree):
    write(tree / "stray.txt", "x")
    assert len(check(tree).rows) == 4
    assert check(tree, official=True).rows == ()


def test_errors_are_counted_in_the_order_of_the_names(tree):
    change_log(tree, f"{RESNET}/MultiStream", result_validity="INVALID")
    checked = check(tree)
    assert row(checked, f"{RESNET}/Offline").errors == "1"
    assert row(checked, f"{LLAMA}/Offline").errors == "0"


def test_one_submitter_alone_is_checked(tree):
    shutil.copytree(tree / "closed" / "Acme", tree / "closed" / "Other")
    assert len(check(tree).rows) == 4
    assert len(check(tree, submitter="Acme").rows) == 4
    assert "closed/Other/results/box" in check(tree, submitter="Other").refused


def test_systems_without_results_are_told(tree):
    write(tree / "closed/Acme/systems/spare.json", "{}")
    checked = check(tree)
    assert found(checked) == {("unused-systems", "closed/Acme/systems/spare.json")}
    assert len(checked.rows) == 4


def test_a_summary_is_csv_whatever_stands_in_a_note(tree):
    write(tree / BOX, json.dumps(system_json("closed", "box", "edge", hw_notes='the "fast" one, mostly')))
    checked = check(tree)
    text = summary_text(checked.columns, checked.rows)
    assert [tuple(each) for each in csv.reader(io.StringIO(text))] == [checked.columns, *checked.rows]
    official = summary_text(checked.columns, checked.rows, as_official=checked.form)
    assert ',"the "fast" one, mostly. tuned",' in official


@pytest.mark.processes
def test_processes_side_by_side_find_the_same(tree):
    for number in range(10):
        shutil.copytree(tree / "closed/Acme", tree / f"closed/Acme{number}")
    assert check(tree, processes=2) == check(tree, processes=1)


def test_every_rule_says_what_it_asks_its_source_and_what_to_do():
    assert len({rule.id for rule in ALL_RULES}) > 50
    for rule in ALL_RULES:
        assert rule.asks.endswith(".")
        assert rule.hint
        assert rule.source
    ids = [rule.id for rule in ALL_RULES]
    assert len(ids) == len(set(ids))
