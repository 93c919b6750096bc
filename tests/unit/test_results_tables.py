"""Published tables → results of one form: each trap that a published table holds, on rows cut from it."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.errors import StepFailed
from orchestrator.operations.results_import import token_rates
from orchestrator.results.tables.merge import merged
from orchestrator.results.tables.ranking import newest
from orchestrator.results.tables.reading import read_table
from orchestrator.results.tables.values import accuracies, whole

TABLES = Path(__file__).parents[1] / "fixtures" / "tables"


@pytest.fixture(scope="module")
def in_tokens():
    """By the rules of the rounds that ship."""
    return token_rates(load([builtin_root()]))


@pytest.fixture
def table(in_tokens):
    def read(name):
        return read_table((TABLES / name).read_bytes(), name, in_tokens)

    return read


def results_of(table):
    return {row.key: row for row in merged(table.rows).rows}


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def row():
    with (TABLES / "summary-v5.1.csv").open(encoding="utf-8", newline="") as stream:
        return next(csv.DictReader(stream))


def one(data, in_tokens):
    (found,) = merged(read_table(data, "t.csv", in_tokens).rows).rows
    return found


# -- power -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["summary-v3.0.csv", "summary-v4.1.csv", "summary-v5.1.csv"])
def test_a_power_row_is_joined_to_its_performance(table, name):
    read = table(name)
    found = merged(read.rows)
    with (TABLES / name).open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    power = [line for line in lines if line["Units"] in {"Watts", "millijoules"}]
    assert power, "the fixture has what it is for"
    assert found.joined == len(power)
    assert len(found.rows) == len(lines) - len(power)
    by_location = {row.location: row for row in found.rows}
    for line in power:
        row = by_location[line["Location"]]
        assert row.power == float(line["Result"])
        assert row.power_unit == {"Watts": "W", "millijoules": "mJ"}[line["Units"]]
        assert row.unit not in {"W", "mJ"}


def test_power_in_columns_and_in_rows_gives_the_same_results(table):
    report, summary = results_of(table("report-v5.1.json")), results_of(table("summary-v5.1.csv"))
    assert report.keys() == summary.keys()
    for key, ours in summary.items():
        theirs = report[key]
        assert (ours.result, ours.unit, ours.higher_is_better) == (theirs.result, theirs.unit, theirs.higher_is_better)
        assert ours.power == pytest.approx(theirs.power, rel=1e-12) if ours.power else theirs.power is None
        assert (ours.accuracies, ours.nodes, ours.benchmark) == (theirs.accuracies, theirs.nodes, theirs.benchmark)


def test_energy_counts_the_samples_of_a_query(table):
    rows = merged(table("summary-v3.0.csv").rows).rows
    single = next(row for row in rows if row.power and row.scenario == "SingleStream")
    multi = next(row for row in rows if row.power and row.scenario == "MultiStream")
    offline = next(row for row in rows if row.power and row.scenario == "Offline")
    assert single.per_watt == pytest.approx(1000 / single.power)
    assert multi.per_watt == pytest.approx(8000 / multi.power)
    assert offline.per_watt == pytest.approx(offline.result / offline.power)
    assert single.per_accelerator is None, "a latency is not shared among accelerators"


def test_rows_that_cm_doubled_are_one_result_and_its_lone_power_row_is_joined(table):
    found = merged(table("cm-inference.json").rows)
    assert (found.doubled, found.joined, found.conflicts) == (1, 1, [])
    krai, nvidia = found.rows
    assert (krai.result, krai.power, krai.power_unit) == (150.117411, 899.2784886065504, "mJ")
    assert krai.per_watt == pytest.approx(1.1120025805904905), "as CM counts Inference_per_Joule"
    assert (nvidia.result, nvidia.unit, nvidia.power, nvidia.power_unit) == (
        556234,
        "samples/s",
        4954.031546707506,
        "W",
    )


def test_two_different_figures_of_one_result_are_both_kept_and_told(row, in_tokens):
    found = merged(read_table(as_csv([row, row | {"Result": "1.0"}]), "t.csv", in_tokens).rows)
    assert len(found.conflicts) == 1
    assert [one.result for one in found.rows] == [float(row["Result"]), 1.0]
    assert found.rows[1].key == f"{found.rows[0].key}#2"


# -- units -------------------------------------------------------------------------------


def test_a_rate_of_tokens_that_the_table_calls_queries_is_one_of_tokens(table):
    row = next(row for row in table("summary-v5.1.csv").rows if row.benchmark == "llama3.1-8b")
    assert row.scenario == "Interactive"
    assert (row.result, row.unit) == (102907.0, "tokens/s")
    assert row.changed == "Queries/s over a rate of tokens"
    assert row.published["Units"] == "Queries/s"
    named = {(row.scenario, row.changed) for row in table("summary-v4.1.csv").rows if row.benchmark.startswith("llama")}
    assert named == {
        ("Offline", "Samples/s over a rate of tokens"),
        ("Server", "Queries/s over a rate of tokens"),
    }


def test_a_rate_of_tokens_of_a_round_without_rules_is_as_the_table_says(row, in_tokens):
    line = row | {"version": "v4.0", "MlperfModel": "llama2-70b-99", "Scenario": "Server", "Units": "Queries/s"}
    assert one(as_csv([line]), in_tokens).unit == "queries/s"


def test_latencies_are_milliseconds_whatever_unit_they_are_published_in(table):
    single = next(row for row in table("summary-v6.1.json").rows if row.scenario == "SingleStream")
    assert (single.result, single.unit, single.higher_is_better) == (pytest.approx(20603.024726), "ms", False)
    assert single.changed == "20.603024726 Latency (s) is in ms"


# -- names and counts --------------------------------------------------------------------


def test_a_system_of_both_categories_is_one_result_in_both(table):
    rows = [row for row in merged(table("summary-v3.0.csv").rows).rows if row.datacenter and row.edge]
    assert rows
    assert all(row.published["SystemType"] == "datacenter,edge" for row in rows)


def test_entries_of_each_category_become_one_result_in_both(table, in_tokens):
    entry = json.loads((TABLES / "report-v5.1.json").read_text())[0]
    both = json.dumps([entry | {"Suite": "datacenter"}, entry | {"Suite": "edge"}]).encode()
    row = one(both, in_tokens)
    assert (row.datacenter, row.edge) == (True, True)


def test_counts_that_are_no_numbers_are_none_and_stay_readable(table):
    rows = table("summary-v4.1.csv").rows
    without = next(row for row in rows if row.published["accelerators_per_node"] == "N/A")
    assert (without.accelerators_per_node, without.accelerators, without.per_accelerator) == (None, None, None)
    little = next(row for row in table("summary-v3.0.csv").rows if row.cores_per_processor is None)
    assert little.published["host_processor_core_count"] == "4 (big); 4 (LITTLE)"
    assert [whole(text) for text in ("8", 8.0, "56.0", "N/A", "", None, "2.5", "-1", True)] == [
        *(8, 8, 56),
        *[None] * 6,
    ]


def test_accelerators_are_those_of_all_nodes(table):
    v3 = next(row for row in table("summary-v3.0.csv").rows if row.nodes == 2)
    assert v3.accelerators == 2 * v3.accelerators_per_node
    v61 = next(row for row in merged(table("summary-v6.1.json").rows).rows if row.nodes == 2)
    assert v61.accelerators == 16
    assert v61.per_accelerator == pytest.approx(121557.0 / 16)


def test_accuracies_are_numbers_whatever_form_they_have():
    assert accuracies("76.156") == {"": 76.156}
    assert accuracies(76.156) == {"": 76.156}
    assert accuracies("ROUGE1: 44.45  ROUGE2: 22.04  TOKENS_PER_SAMPLE: 301.1") == {
        "ROUGE1": 44.45,
        "ROUGE2": 22.04,
        "TOKENS_PER_SAMPLE": 301.1,
    }
    assert accuracies("GEN_LEN: 8148492") == {"GEN_LEN": 8148492}
    assert accuracies("") == accuracies(None) == accuracies("N/A") == {}


def test_a_cell_of_a_hundred_thousand_letters_is_read_in_time():
    began = time.process_time()
    assert accuracies("a" * 100_000 + " " * 100_000) == {}
    assert time.process_time() - began < 5


def test_a_round_whose_number_has_thousands_of_digits_is_one():
    assert newest([("inference", "v" + "9" * 5000), ("inference", "v5.1")])[1] != "v5.1"


def test_what_the_newest_checker_writes_reads_as_what_older_ones_wrote(table):
    wan, single, interactive = table("summary-v6.1.json").rows
    assert wan.benchmark == single.benchmark == "wan-2.2-t2v-a14b", "its MlperfModel is a task, and no model"
    assert wan.location == "closed/AMD/results/8xMI350X_2xEPYC_9655/wan-2.2-t2v-a14b/Offline"
    assert wan.valid, "its compliance column holds the division"
    assert (interactive.inferred, interactive.changed) == (False, "no scenario stands for Interactive")
    assert table("summary-v6.1.json").unknown == ()


@pytest.mark.parametrize(
    ("official", "model", "name"),
    [("VLM", "qwen3-vl-235b-a22b", "qwen3-vl-235b-a22b"), ("agentic edge", "qwen3.6-27b", "qwen3.6-27b")],
)
def test_tasks_in_the_place_of_a_model_are_their_model(row, in_tokens, official, model, name):
    found = one(as_csv([row | {"MlperfModel": official, "Model": model, "version": "v6.1"}]), in_tokens)
    assert found.benchmark == name


@pytest.mark.parametrize("spelled", ["offline", "OFFLINE", "Offline"])
def test_scenarios_of_lower_case_folders_are_mlperfs(row, in_tokens, spelled):
    found = one(as_csv([row | {"Scenario": spelled}]), in_tokens)
    assert found.scenario == "Offline"
    assert found.key.endswith("/Offline")


def test_columns_of_a_round_to_come_are_kept_and_told(row, in_tokens):
    read = read_table(as_csv([row | {"carbon_grams": "12"}]), "t.csv", in_tokens)
    assert read.unknown == ("carbon_grams",)
    assert read.rows[0].published["carbon_grams"] == "12"


# -- other suites ------------------------------------------------------------------------


def test_training_is_minutes_and_fewer_are_better(table):
    first = table("cm-training.json").rows[0]
    assert (first.suite, first.unit, first.higher_is_better) == ("training", "min", False)
    assert first.result == pytest.approx(20.979444444444443)
    assert (first.accuracy, first.accuracy_metric, first.accelerators) == (75.9, "% classification", 16)


def test_tiny_is_inferences_a_second_and_energy_for_one(table):
    first = table("cm-tiny.json").rows[0]
    assert (first.suite, first.unit, first.result) == ("tiny", "inferences/s", 547.234)
    assert first.power == pytest.approx(0.235833), "microjoules, in mJ"
    assert first.per_watt == pytest.approx(1e6 / 235.833)


# -- hostile files -----------------------------------------------------------------------


def refused(data, in_tokens, name="t.csv"):
    with pytest.raises(StepFailed) as caught:
        read_table(data, name, in_tokens)
    error = caught.value
    return error.slug, (error.span.line if error.span else 0), error.message


def test_a_wrong_row_is_told_with_its_line(row, in_tokens):
    good = as_csv([row, row | {"Platform": "other"}])
    assert refused(good + b"a,b\n", in_tokens) == (
        "table-row",
        4,
        "row 4: it has 2 cells, and the head names 28 columns",
    )
    slug, line, message = refused(as_csv([row, row | {"Result": "fast"}]), in_tokens)
    assert (slug, line) == ("table-row", 3)
    assert "Result is `fast`, which is no figure" in message
    slug, _, message = refused(as_csv([row | {"Units": "Furlongs"}]), in_tokens)
    assert "its unit is `Furlongs`, which is none of samples/s" in message
    for figure in ("nan", "inf", "-3"):
        text = as_csv([row | {"Result": figure}])
        if figure == "nan":
            assert one(text, in_tokens).result is None, "tables write nan where there is nothing"
        else:
            assert refused(text, in_tokens)[0] == "table-row"


def test_a_line_end_in_a_cell_does_not_move_the_lines_that_follow(row, in_tokens):
    text = as_csv([row | {"notes": "two\nlines"}, row | {"Result": "fast"}])
    assert refused(text, in_tokens)[1] == 4


def test_wrong_columns_are_told_by_name(row, in_tokens):
    without = {name: value for name, value in row.items() if name not in {"Units", "version"}}
    assert refused(as_csv([without]), in_tokens) == ("table-columns", 1, "there is no column `Units`, `version`")
    assert refused(b"a,b\n1,2\n", in_tokens)[2] == "the first line names no column of a summary"
    assert refused(b"", in_tokens)[0] == "table-columns"
    head = ",".join([*row, "Result"]).encode()
    assert refused(head, in_tokens)[2] == "the column `Result` stands there twice"


def test_a_head_of_a_hundred_thousand_columns_takes_no_time(in_tokens):
    head = ",".join(f"c{number}" for number in range(100_000)).encode()
    began = time.process_time()
    assert refused(head, in_tokens)[0] == "table-columns"
    assert time.process_time() - began < 5, "looking up each in all of them takes a minute"


def test_what_is_no_utf8_is_told_with_its_line(row, in_tokens):
    text = as_csv([row, row | {"SystemName": "GRÜN"}])
    data = text.decode().encode("latin-1")
    assert refused(data, in_tokens) == ("not-utf8", 3, "byte 0xdc is no UTF-8")
    assert read_table(b"\xef\xbb\xbf" + as_csv([row]), "t.csv", in_tokens).entries == 1, "a mark of UTF-8 is none"


def test_a_cell_without_an_end_is_told_and_not_read_for_ever(row, in_tokens):
    data = as_csv([row]) + b'"' + b"x" * 3_000_000
    slug, line, message = refused(data, in_tokens)
    assert (slug, line) == ("table-row", 3)
    assert "field larger than field limit" in message


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("[1, 2]", "bad-table"),
        ('{"a": ', "bad-table"),
        ('[{"a": 1}]', "table-columns"),
        ("[]", "table-columns"),
        ("[" * 100_000, "bad-table"),
        ('[{"a": NaN}]', "bad-table"),
        ('[{"a": 1, "a": 2}]', "bad-table"),
    ],
)
def test_json_that_is_no_table_is_told(in_tokens, text, slug):
    assert refused(text.encode(), in_tokens, "t.json")[0] == slug


def test_an_entry_that_lacks_a_name_is_told_with_its_number(in_tokens):
    entries = json.loads((TABLES / "cm-training.json").read_text())
    del entries[1]["system"]
    assert refused(json.dumps(entries).encode(), in_tokens, "t.json")[2] == "row 2: it has no `system`"
