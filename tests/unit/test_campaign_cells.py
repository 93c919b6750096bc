"""From the axes of a campaign to its cells, its keys and its tables."""

from __future__ import annotations

import csv
import io
import itertools

import pytest
from campaign_parts import SCENARIOS, a_campaign

from orchestrator.campaigns.expand import expand, shard, subject_of
from orchestrator.campaigns.journal import NAME, Journal, JournalLine, parse_journal, read_journal
from orchestrator.campaigns.keys import differences
from orchestrator.campaigns.states import Pace, histories, state_of
from orchestrator.campaigns.table import pareto, to_csv
from orchestrator.definitions.catalog import builtin_root
from orchestrator.definitions.catalog.load import gather, load_file
from orchestrator.errors import DefinitionError, UsageError


def titles(text: str, **more: object) -> list[str]:
    return [cell.title for cell in expand(a_campaign(text, **more), SCENARIOS)]


# -- expansion ---------------------------------------------------------------------------------


def test_the_first_axis_changes_last_and_the_accuracy_stands_before_what_it_is_of():
    assert titles("{benchmark: [one, two], scenario: [Offline, Server], duration: 1s}") == [
        "one Offline accuracy",
        "one Offline performance duration=1s",
        "one Server performance duration=1s",
        "two Offline accuracy",
        "two Offline performance duration=1s",
        "two Server performance duration=1s",
    ]


def test_another_parameter_has_an_accuracy_of_its_own_and_another_rate_has_not():
    found = titles("{benchmark: one, scenario: Server, batch: [1, 2], target_qps: [5, 6]}")
    assert [each for each in found if "accuracy" in each] == [
        "one Server accuracy batch=1",
        "one Server accuracy batch=2",
    ]
    assert len(found) == 6


@pytest.mark.parametrize(("accuracy", "count"), [("once", 1), ("each", 2), ("none", 0)])
def test_how_many_accuracies_there_are(accuracy, count):
    found = titles("{benchmark: one, scenario: [Offline, Server]}", accuracy=accuracy)
    assert sum("accuracy" in each for each in found) == count


def test_without_a_scenario_all_of_the_benchmark_are_meant_and_a_mode_may_be_named():
    assert len(titles("{benchmark: one}")) == 5
    assert titles("{benchmark: one, scenario: Server, mode: accuracy}") == ["one Server accuracy"]


def test_axes_that_step_together_and_combinations_that_are_left_out():
    found = titles(
        "{benchmark: [one, two], duration: [1s, 2s], scenario: [Offline, Server]}",
        zip=[["benchmark", "duration"]],
        exclude=[{"when": {"benchmark": "two", "scenario": ["Server"]}, "because": "it takes a day"}],
        accuracy="none",
    )
    assert found == [
        "one Offline performance duration=1s",
        "one Server performance duration=1s",
        "two Offline performance duration=2s",
    ]


def test_repetitions_are_rounds_over_the_whole_matrix_and_measure_the_accuracy_once():
    assert titles("{benchmark: one, scenario: [Offline, Server]}", repetitions=2) == [
        "one Offline accuracy",
        "one Offline performance",
        "one Server performance",
        "one Offline performance #2",
        "one Server performance #2",
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{from: 1, to: 8, times: 2}", ["1", "2", "4", "8"]),
        ("{from: 0.1, to: 0.35, step: 0.1}", ["0.1", "0.2", "0.3"]),
        ("{from: 5, to: 5, step: 1}", ["5"]),
    ],
)
def test_a_range_has_both_ends_and_no_faults_of_binary_fractions(text, values):
    cells = expand(a_campaign(f"{{benchmark: one, scenario: Server, x: {text}}}", accuracy="none"), SCENARIOS)
    assert [cell.value("x") for cell in cells] == values


def test_a_sample_is_the_same_for_its_seed_and_a_larger_one_keeps_it():
    matrix = "{benchmark: one, scenario: Server, x: {from: 1, to: 60000, step: 1}, y: [a, b, c]}"

    def drawn(cells: int, seed: int = 1) -> list[str]:
        return titles(matrix, sample={"cells": cells, "seed": seed}, accuracy="none")

    few, more = drawn(20), drawn(50)
    assert len(few) == len(set(few)) == 20
    assert set(few) < set(more)
    assert more == sorted(more, key=lambda title: int(title.rpartition("x=")[2].partition(" ")[0]))
    assert drawn(20, seed=2) != few
    assert len(titles("{benchmark: one, scenario: Server, y: [a, b]}", sample={"cells": 9}, accuracy="none")) == 2


def test_shards_have_each_performance_once_and_the_accuracy_wherever_it_is_needed():
    cells = expand(a_campaign("{benchmark: [one, two], batch: [1, 2, 3]}"), SCENARIOS)
    parts = [shard(cells, number, 3) for number in (1, 2, 3)]
    performance = [cell for part in parts for cell in part if cell.mode == "performance"]
    assert sorted(performance, key=cells.index) == [cell for cell in cells if cell.mode == "performance"]
    assert max(map(len, parts)) - min(map(len, parts)) <= 3
    for part in parts:
        assert {subject_of(c.axes) for c in part if c.mode == "accuracy"} == {subject_of(c.axes) for c in part}
        assert list(part) == sorted(part, key=cells.index)


# -- faults of a recipe ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog():
    return gather([builtin_root()]).catalog


TWO = "matrix:\n  benchmark: [image-smoke, image-fashion]\n"
START = "kind: campaign\nname: c\ntitle: A campaign\n"


@pytest.mark.parametrize(
    ("text", "where", "slug", "message"),
    [
        ("matrix:\n  benchmark: image-smoke\n  precison: [a]\n", (6, 3), "unknown-axis", "names nothing"),
        ("matrix:\n  benchmark: [image-smoke, image-smok]\n", (5, 28), "unknown-benchmark", "image-smok"),
        ("matrix:\n  scenario: [Offline]\n", (5, 3), "missing-key", "the axis `benchmark` is missing"),
        ("matrix:\n  benchmark: llm-chat\n  scenario: [MultiStream]\n", (6, 14), "unknown-scenario", "no benchmark"),
        ("matrix:\n  benchmark: image-smoke\n  mode: compliance\n", (6, 9), "unknown-mode", "compliance"),
        ("matrix:\n  benchmark: image-smoke\n  target: [cpu, gpu]\n", (6, 17), "unknown-target", "gpu"),
        ("matrix:\n  benchmark: image-smoke\n  duration: [1s, 1s]\n", (6, 18), "bad-axis", "twice"),
        ("matrix:\n  benchmark: image-smoke\n  x.y: {from: 2, to: 1, step: 1}\n", (6, 8), "bad-value", "below"),
        ("matrix:\n  benchmark: image-smoke\n  x: {from: 1, to: 2}\n", (6, 6), "bad-value", "either `step` or `times`"),
        ("matrix:\n  benchmark: image-smoke\n  x: {from: a, to: 1, step: 1}\n", (6, 13), "bad-value", "not a number"),
        ("matrix:\n  benchmark: image-smoke\n  x: {from: 1, to: 1e9999999, step: 1}\n", (6, 20), "bad-value", "range"),
        ("matrix:\n  benchmark: image-smoke\n  x: {from: 1, to: inf, step: 1}\n", (6, 20), "bad-value", "finite"),
        ("matrix:\n  benchmark: image-smoke\n  x: {from: 1, to: 9999999, step: 0.1}\n", (6, 6), "bad-value", "more"),
        ("matrix:\n  benchmark: image-smoke\n  Batch: [1]\n", (6, 3), "bad-value", "is not the name of an axis"),
        ("matrix:\n  benchmark: image-smoke\npolicy: {timeout: 5}\n", (6, 19), "bad-value", "`5` is not a time"),
        ("matrix:\n  benchmark: image-smoke\nzip: [[benchmark, x]]\n", (6, 19), "unknown-axis", "no axis `x`"),
        (
            "matrix:\n  benchmark: [image-smoke, image-fashion]\n  duration: [1s]\nzip: [[benchmark, duration]]\n",
            (7, 7), "bad-zip", "`benchmark` 2, `duration` 1",
        ),
        ("matrix:\n  benchmark: image-smoke\nexclude: [{when: {target: x}}]\n", (6, 19), "unknown-axis", "exclude"),
        ("matrix:\n  benchmark: image-smoke\nexclude: [{when: {benchmark: x}}]\n", (6, 30), "unknown-choice", "`x`"),
        (
            TWO + "  target_qps: {from: 1, to: 1000, step: 1}\n  performance_samples: {from: 1, to: 500, step: 1}\n",
            (4, 1), "campaign-size", "has 1,000,000 cells (benchmark 2 × target_qps 1,000 × performance_samples 500)",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_where_it_stands(catalog, tmp_path, text, where, slug, message):
    path = tmp_path / "c.yaml"
    path.write_text(START + text)
    with pytest.raises(DefinitionError) as caught:
        load_file(catalog, path, "campaign")
    (problem,) = caught.value.problems()
    assert (problem.span.line, problem.span.column) == where
    assert problem.slug == slug
    assert message in problem.message


def test_a_campaign_that_is_too_large_is_told_how_to_cut_it(catalog, tmp_path):
    path = tmp_path / "c.yaml"
    matrix = "matrix:\n  benchmark: image-smoke\n  target_qps: {from: 1, to: 90000, step: 1}\n  duration: [1s, 2s]\n"
    path.write_text(START + matrix)
    with pytest.raises(DefinitionError) as caught:
        load_file(catalog, path, "campaign")
    assert "`sample: {cells: 1000}`" in caught.value.hint
    assert "cut `target_qps`" in caught.value.hint
    path.write_text(START + matrix + "sample: {cells: 50}\n")
    assert load_file(catalog, path, "campaign").definition.sample.cells == 50


def test_a_campaign_of_more_cells_than_a_number_has_digits_for_is_told(catalog, tmp_path):
    path = tmp_path / "c.yaml"
    axes = "".join(f"  performance_samples.a{number}: {{from: 1, to: 10, step: 1}}\n" for number in range(4400))
    path.write_text(START + f"matrix:\n  benchmark: image-smoke\n{axes}")
    with pytest.raises(DefinitionError) as caught:
        load_file(catalog, path, "campaign")
    assert "has 10^4400 cells" in caught.value.message
    assert len(caught.value.message) < 1000


def test_another_kind_is_no_campaign(catalog):
    with pytest.raises(DefinitionError) as caught:
        load_file(catalog, builtin_root().path / "recipes/targets/cpu.yaml", "campaign")
    assert caught.value.slug == "wrong-kind"


# -- the journal -------------------------------------------------------------------------------


def a_line(number: int, outcome: str = "") -> JournalLine:
    return JournalLine(place=f"p{number}", folder=f"f{number}", outcome=outcome, runs=("r",) if outcome else ())


def test_a_journal_is_read_as_it_was_written_and_goes_on(tmp_path):
    journal = Journal(tmp_path)
    journal.append(a_line(1))
    journal.append(a_line(1, "done"))
    again = Journal(tmp_path)
    again.append(a_line(2))
    assert read_journal(tmp_path).lines == (a_line(1), a_line(1, "done"), a_line(2))


def test_a_line_that_is_lost_swapped_or_written_by_hand_is_seen(tmp_path):
    journal = Journal(tmp_path)
    for number in range(3):
        journal.append(a_line(number))
    lines = (tmp_path / NAME).read_bytes().splitlines(keepends=True)
    for damaged in ([lines[0], lines[2]], [lines[1], lines[0], lines[2]], [lines[0], b"x\n", lines[1]]):
        found = parse_journal(b"".join(damaged))
        assert found.lines in {(), (a_line(0),)}
        assert found.whole_rest


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"place": 1, "folder": "f"}', b"\xff", b'{"place": "p"', b"1,2"])
def test_a_body_that_no_mlorch_writes_ends_what_is_believed(body):
    from orchestrator.campaigns.journal import _START, _sum

    assert parse_journal(_sum(_START, body).encode() + b" " + body + b"\n").lines == ()


def test_a_cell_that_ended_well_stays_so_whatever_began_after_it():
    lines = [a_line(1), a_line(1, "done"), a_line(1), a_line(2), a_line(2, "failed"), a_line(2), a_line(3)]
    known = histories(lines)
    assert [state_of(known.get(f"f{number}"), is_there=True) for number in (1, 2, 3, 4)] == [
        "done", "interrupted", "interrupted", "left",
    ]  # fmt: skip
    assert state_of(known["f1"], is_there=False) == "left"


# -- words -------------------------------------------------------------------------------------


def test_what_changed_is_told_in_words():
    was, now = {"batch": "8", "program": "a", "qps": "1"}, {"batch": "16", "program": "b", "new": "x"}
    assert differences(was, now) == (
        "batch was 8, is 16",
        "new is x, and was not said",
        "the program in the image: harness, framework, base or their locks changed",
        "qps was 1, and is not said",
    )


def test_the_time_left_is_that_of_cells_like_those_that_are_left():
    pace, slow, fast, new = Pace(), ("b", "Server", "p"), ("b", "Offline", "p"), ("c", "Offline", "p")
    assert pace.left({slow: 1}) is None
    for seconds in (100, 200):
        pace.add(slow, seconds)
    pace.add(fast, 3)
    assert pace.left({slow: 2, fast: 1}) == 303
    assert pace.left({new: 1}) == 101


# -- tables ------------------------------------------------------------------------------------


def a_row(value: float, accuracy: float | None = None, **more: object) -> dict[str, object]:
    row = {"benchmark": "b", "scenario": "Offline", "mode": "performance", "state": "done"}
    return {**row, "metric": "samples_per_second", "value": value, "accuracy": accuracy, "p99_ns": None, **more}


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay_numbers():
    rows = [{"note": text, "value": -1.5} for text in ("=1+1", "+x", "-x", "@x", "a\nb", "\t=1", "ok")]
    read = list(csv.reader(io.StringIO(to_csv(rows))))
    assert read[0] == ["note", "value"]
    assert [row[0] for row in read[1:]] == ["'=1+1", "'+x", "'-x", "'@x", "a\\nb", "\\t=1", "ok"]
    assert {row[1] for row in read[1:]} == {"-1.5"}


def test_what_nothing_else_beats_is_kept_and_directions_are_those_of_the_metric():
    rows = [
        a_row(10, 0.9),
        a_row(20, 0.8),
        a_row(15, 0.7),
        a_row(20, 0.8),
        a_row(9, None),
        a_row(99, 1, state="invalid"),
    ]
    assert [row["value"] for row in pareto(rows, ("value", "accuracy"))] == [10, 20, 20]
    slow = [a_row(value, metric="latency_p90") for value in (5, 3, 4)]
    assert [row["value"] for row in pareto(slow, ("value",))] == [3]
    with pytest.raises(UsageError, match="`speed`"):
        pareto(rows, ("speed",))


def test_what_nothing_else_beats_is_what_comparing_all_with_all_finds():
    points = list(itertools.product((1, 2, 3), (1, 2, 3)))
    rows = [a_row(x, y) for x, y in points if x + y <= 4]
    assert sorted((row["value"], row["accuracy"]) for row in pareto(rows, ("value", "accuracy"))) == [
        (1, 3), (2, 2), (3, 1),
    ]  # fmt: skip
