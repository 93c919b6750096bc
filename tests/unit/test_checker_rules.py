"""What a round's file says of the submission checker is what that checker holds.

`tests/fixtures/rounds/` has the figures of each round's own checker, read from it by the program beside them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.rounds import round_names
from orchestrator.facts.checker_rules import CHECKS
from orchestrator.facts.patterns import compiled

FIXTURES = Path(__file__).parents[1] / "fixtures" / "rounds"
ROUNDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FIXTURES.glob("*.json"))}
MODELS = [(name, model) for name, figures in ROUNDS.items() for model in figures["models"]]
SCENARIOS = ("SingleStream", "MultiStream", "Server", "Interactive", "Offline")
FILES = {
    "performance": "performance_files",
    "performance_optional": "optional_performance_files",
    "power_run": "power_run_files",
    "power": "power_files",
    "accuracy": "accuracy_files",
    "measurements": "measurement_files",
    "compliance_performance": "compliance_performance_files",
    "compliance_accuracy": "compliance_accuracy_files",
}
LINES = (
    "accuracy=76.401%, good=38200, total=50000",
    '{"accuracy": 76.401}',
    "acc=76",
    "mAP=37.432%",
    "Average mAP=0.5432, 'Total': 54.25, mAP=12.5",
    '{"exact_match": 83.67, "f1": 90.881}',
    "{'exact_match': 82.1, 'f1': 89.9}",
    "AUC=80.31%, accuracy=96.2%",
    "Accuracy: mean = 0.86170, kidney = 0.9347, tumor = 0.7887",
    "Accuracy: 97.5",
    "{'rouge1': 44.4312, 'rouge2': '22.0352', 'rougeL': 28.6162, 'rougeLsum': 42.0, 'gen_len': 4016878}",
    "{'tokens_per_sample': 294.45, 'gsm8k': 73.78, 'mbxp': 60.12, 'exact_match': 90.1335}",
    "x {'rouge1': 1.5} {'rouge1':  '2.5', 'rougeLsum': '3.5'}",
    "{'rouge1': 1.25, 'rouge2': 0.5, 'rougeL': 3.75}",
    "{'CLIP_SCORE': 31.7, 'FID_SCORE': 23.4, 'vbench_score': 70.5}",
    "{'CLIP_SCORE': '31.7', 'FID_SCORE':   '23.4'}",
    "Word Error Rate: 2.0671%, accuracy=97.9329%",
    "WER, Word Error Rate: 2.0671%, accuracy=97.9329%",
    "metric/lifetime_ne/rating: 0.86687 metric/lifetime_accuracy/rating: 0.69651 metric/lifetime_gauc/rating: 0.78663",
    '{"category": "a", "f1": 0.7903, "n": 3}',
    "hash=0123456789abcdef",
    "",
)


@pytest.fixture(scope="module")
def catalog():
    return load([builtin_root()])


def test_every_round_is_compared(catalog):
    assert set(ROUNDS) == set(round_names(catalog))


@pytest.mark.parametrize("name", ROUNDS)
def test_the_tree_has_the_folders_and_files_of_the_checker(catalog, name):
    checker, figures = catalog.round_rules(name).checker, ROUNDS[name]
    assert checker.program is not None
    assert figures["program"] == f"mlcommons/inference@{checker.program.commit}: {checker.program.path}"
    assert set(checker.divisions) == set(figures["divisions"])
    assert set(checker.statuses) == set(figures["statuses"])
    assert set(checker.system_types) == set(figures["system_types"])
    assert {scenario.lower(): scenario for scenario in checker.scenarios} == figures["scenario_names"]
    for field, key in FILES.items():
        assert set(getattr(checker.files, field)) == set(figures[key]), field
    differs = {*checker.files.compliance_accuracy, *checker.files.compliance_accuracy_differs}
    assert differs == set(figures["compliance_accuracy_files_without_a_pass"])
    assert {f"{name}.*" for name in checker.files.power_settings} == set(figures.get("power_measurement_files", ()))
    assert checker.limits.file_bytes == figures["file_mib"] * 2**20
    assert checker.limits.accuracy_log_bytes == figures["accuracy_log_bytes"]


@pytest.mark.parametrize("name", ROUNDS)
def test_json_files_have_the_fields_of_the_checker(catalog, name):
    fields, figures = catalog.round_rules(name).checker.fields, ROUNDS[name]
    assert set(fields.system) == {*figures["system_fields"], *figures.get("system_fields_since_v1", ())}
    assert set(fields.system_filled) == set(figures.get("filled_system_fields", ()))
    assert set(fields.system_network) == set(figures["network_system_fields"])
    assert set(fields.system_power) == set(figures["power_system_fields"])
    assert set(fields.measurements) == set(figures["measurement_fields"])
    assert catalog.round_rules(name).checker.network_sut == figures["network_sut"]


@pytest.mark.parametrize("name", ROUNDS)
def test_the_summary_has_the_columns_and_units_of_the_checker(catalog, name):
    checker, figures = catalog.round_rules(name).checker, ROUNDS[name]
    assert list(checker.columns) == figures["columns"]
    assert checker.units == _known(figures["units"])
    assert checker.power_units == _known(figures["power_units"])
    assert checker.result_keys == _known(figures["result_keys"])


def _known(by_scenario: dict[str, str]) -> dict[str, str]:
    """Without the names in lower case and the one of rounds before v2.0, which some checkers have besides."""
    return {scenario: value for scenario, value in by_scenario.items() if scenario in SCENARIOS}


@pytest.mark.parametrize("name", ROUNDS)
def test_a_line_of_accuracy_is_read_as_the_checker_reads_it(catalog, name):
    ours, theirs = catalog.round_rules(name).checker.accuracy_lines, ROUNDS[name]["accuracy_lines"]
    metrics = {target.metric for model in catalog.round_rules(name).models.values() for target in model.accuracy}
    assert metrics <= set(ours), "each metric of the round has a line"
    for metric in ours:
        found = [match.group(1) if (match := compiled(ours[metric]).match(line)) else None for line in LINES]
        wanted = [match.group(1) if (match := re.match(theirs[metric], line)) else None for line in LINES]
        assert found == wanted, metric
        assert any(found), f"no sample line has {metric}, so nothing was compared"


@pytest.mark.parametrize("name", ROUNDS)
def test_other_names_of_models_and_errors_are_those_of_the_checker(catalog, name):
    rules, figures = catalog.round_rules(name), ROUNDS[name]
    assert rules.checker.aliases == figures["model_mapping"]
    assert rules.seeds == figures["seeds"]
    assert figures["ignored_errors"] == [], "no round lets one pass"
    if "test05_seeds" in figures:
        assert rules.checker.test05_seeds == figures["test05_seeds"]
    for tests in figures["compliance"].values():
        assert set(tests) <= set(rules.checker.tests), "each test of the round has its files"
    assert set(rules.checker.checks) <= set(CHECKS)


def test_models_without_loadgen_are_those_of_the_checker(catalog):
    endpoints, figures = catalog.round_rules("v6.1").checker.endpoints, ROUNDS["v6.1"]
    assert set(endpoints.models) == set(figures["endpoints_models"])
    assert endpoints.tests == figures["endpoints_tests"]
    assert {scenario.lower(): key for scenario, key in endpoints.result_keys.items()} == figures["endpoints_keys"]
    assert list(endpoints.output_tokens) == figures["output_tokens"]
    assert catalog.round_rules("v6.0").checker.endpoints.models == (), "of v6.1 on"


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_a_model_is_submitted_as_the_checker_wants(catalog, name, model):
    rules, figures = catalog.round_rules(name).models[model], ROUNDS[name]
    what, checker = rules.submission, catalog.round_rules(name).checker
    if checker.answer("equal-issue") != "skip":
        assert what.equal_issue == (model in figures["equal_issue"])
    assert what.token_latencies == (model in figures["token_models"])
    assert what.result_keys == checker.result_keys | figures["model_result_keys"].get(model, {})
    assert what.units == checker.units | _known(figures["model_units"].get(model, {}))
    extras = figures["accuracy_extras"].get(model, {})
    assert {folder: set(names) for folder, names in what.accuracy_extras.items()} == {
        folder: set(names) for folder, names in extras.items()
    }
    deltas = dict.fromkeys((target.metric for target in rules.accuracy), 0.1 if "99.9" in model else 1)
    assert what.delta_percent == deltas | figures["by_model"]["accuracy_delta_percent"].get(model, {})


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_a_model_has_the_figures_of_its_own_rounds_checker(catalog, name, model):
    rules, figures = catalog.round_rules(name).models[model], ROUNDS[name]
    by_model = figures["by_model"]
    assert set(rules.compliance) == set(figures["compliance"][model])
    for category, scenarios in rules.scenarios.items():
        assert set(scenarios.required) == set(figures["scenarios"][f"required {category}"].get(model, ())), category
        assert set(scenarios.optional) == set(figures["scenarios"][f"optional {category}"].get(model, ())), category
    low = {target.metric: target.minimum for target in rules.accuracy if target.minimum is not None}
    high = {target.metric: target.maximum for target in rules.accuracy if target.maximum is not None}
    wanted = by_model["accuracy"][model]
    wanted = wanted if isinstance(wanted, list) else wanted["Offline"]
    assert low == pytest.approx(_pairs(wanted), rel=1e-9)
    assert list(low) == list(_pairs(wanted)), "in the order in which the summary has them"
    assert high == pytest.approx(_pairs(by_model["accuracy_max"].get(model, [])), rel=1e-9)
    assert rules.performance_samples == by_model["performance_samples"][model]
    if by_model["dataset_samples"]:  # v5.0's own has none yet; the newest one has them for v5.0 too
        assert rules.dataset_samples == by_model["dataset_samples"][model]
    limits = {name: limit.latency_ms for name, limit in rules.limits.items() if limit.latency_ms is not None}
    assert limits == {name: limit / 1e6 for name, limit in by_model["latency_ns"].get(model, {}).items()}
    if model in figures["model_offline_samples"]:
        assert rules.offline_samples == figures["model_offline_samples"][model]
    assert rules.min_duration_ms in {0, figures["min_duration_ms"]}


def _pairs(flat: list) -> dict[str, float]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
