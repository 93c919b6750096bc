"""`submission explain`: where each column of a row comes from, and what was looked at."""

from __future__ import annotations

import json

import pytest
from submission_parts import LLAMA, RESNET, change_log, check, good_tree, row, system_json, values_of, write, write_log

from orchestrator import api
from orchestrator.cli import run
from orchestrator.errors import UsageError

OFFLINE = f"{RESNET}/Offline"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One for all tests, so that recipes are read once; what is kept of a tree goes by its path."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tree(tmp_path, monkeypatch, home):
    monkeypatch.setenv("MLORCH_HOME", str(home))
    return good_tree(tmp_path / "tree")


def explained(tree, name, **options):
    return api.submission.explain(tree, name, round="v5.1", **options)


def columns(document, number: int = 0) -> dict:
    return {each["column"]: each for each in document["rows"][number]}


def stands_there(tree, origin) -> bool:
    """Whether the line that is named has the key and the value that are named."""
    line = (tree / origin["path"]).read_text().splitlines()[origin["line"] - 1]
    return origin["key"] in line and origin["raw"] in line


def test_every_column_is_that_of_the_summary_and_every_line_holds_what_is_said(tree):
    document = explained(tree, OFFLINE)
    found = columns(document)
    assert document["taken"]
    assert {name: each["value"] for name, each in found.items()} == vars(row(check(tree), OFFLINE))
    named = {name: each["from"] for name, each in found.items()}
    for name in ("Result", "inferred", "Availability", "SystemType", "framework", "weight_data_types"):
        assert [stands_there(tree, origin) for origin in named[name]] == [True], name
    assert named["Result"][0]["path"] == f"{OFFLINE}/performance/run_1/mlperf_log_detail.txt"
    assert (named["Result"][0]["key"], named["Result"][0]["raw"]) == ("result_samples_per_second", "1234.5")
    assert [(each["key"], each["raw"], each["line"]) for each in named["Accuracy"]] == [("acc", "76.46", 1)]
    assert "acc at least 75.6954" in found["Accuracy"]["how"]
    assert {each["path"].rpartition("/")[2] for each in named["compliance"]} == {
        "verify_performance.txt",
        "verify_accuracy.txt",
    }


@pytest.mark.parametrize(
    ("scenario", "ran", "how", "keys"),
    [
        ("SingleStream", "SingleStream", "2500000 ns / 1,000,000 = 2.5 ms", ["early_stopping_latency_ss"]),
        (
            "MultiStream",
            "SingleStream",
            "computed of SingleStream: 16000000 ns × 8 samples / 1,000,000 = 128.0 ms",
            ["early_stopping_latency_ms", "effective_scenario"],
        ),
        (
            "Offline",
            "MultiStream",
            "computed of MultiStream: 8 samples × 1,000 / (16000000 ns / 1,000,000) = 500.0 samples a second",
            ["result_mean_query_latency_ns", "effective_samples_per_query", "effective_scenario"],
        ),
        (
            "Offline",
            "SingleStream",
            "computed of SingleStream: the rate of its queries, as LoadGen counts it",
            ["result_qps_without_loadgen_overhead", "effective_scenario"],
        ),
    ],
)
def test_a_figure_says_how_it_is_computed_and_of_what(tree, scenario, ran, how, keys):
    changes = {"effective_scenario": ran, "effective_samples_per_query": 8 if ran == "MultiStream" else 1}
    change_log(tree, f"{RESNET}/{scenario}", **changes)
    document = explained(tree, f"{RESNET}/{scenario}")
    result = columns(document)["Result"]
    assert document["taken"]
    assert result["how"] == how
    assert [origin["key"] for origin in result["from"]] == keys
    assert all(stands_there(tree, origin) for origin in result["from"])


def test_what_is_named_is_what_stands_there_and_not_how_a_program_would_write_it(tree):
    system = tree / "closed" / "Acme" / "systems" / "box.json"
    text = system.read_text().replace('"The box"', r'"The \"box\", \u00e9"')
    system.write_text(text)
    log = tree / OFFLINE / "performance" / "run_1" / "mlperf_log_detail.txt"
    log.write_text(log.read_text().replace('"value": 1234.5', '"value": 1.2345e+03'))
    found = columns(explained(tree, OFFLINE))
    assert found["SystemName"]["value"] == 'The "box", é'
    assert found["SystemName"]["from"][0]["raw"] == r'"The \"box\", \u00e9"'
    assert found["Result"]["value"] == "1234.5"
    assert found["Result"]["from"][0]["raw"] == "1.2345e+03"


@pytest.mark.parametrize("official", [False, True])
def test_the_count_of_errors_is_that_of_the_summary(tree, official):
    change_log(tree, f"{RESNET}/MultiStream", effective_min_duration_ms=1)
    for scenario in ("Offline", "SingleStream"):
        name = f"{RESNET}/{scenario}"
        shown = columns(explained(tree, name, as_official=official))["errors"]["value"]
        assert shown == row(check(tree, official=official), name).errors


def test_the_figure_of_power_names_the_samples_of_the_test(tree):
    folder = tree / RESNET / "SingleStream" / "performance"
    times = {"power_begin": "07-31-2025 09:00:00.000", "power_end": "07-31-2025 09:00:10.000"}
    write_log(folder / "run_1", values_of("SingleStream", **times))
    samples = [
        f"Time,07-31-2025 09:00:{at:02}.500,Watts,{100 + at},Volts,230,Amps,1,PF,0.9,x" for at in range(0, 13, 4)
    ]
    write(folder / "run_1" / "spl.txt", "\n".join(("Time,07-31-2025 08:59:00.000,Watts,7,V,1,A,1,PF,1,x", *samples)))
    write(folder / "power" / "client.log", "x")
    document = explained(tree, f"{RESNET}/SingleStream")
    assert not document["taken"], "the session is not whole"
    result = columns(document, 1)["Result"]
    assert float(result["value"]) == 104 * 10 * 1000 / 1000
    assert result["how"] == (
        "104.0 W, the mean of 3 samples between power_begin and power_end, above 0 × 10.0 s × 1,000 / 1000 queries "
        "= millijoules a query"
    )
    spl, *others = result["from"]
    assert (spl["path"].rpartition("/")[2], spl["line"], spl["last_line"]) == ("spl.txt", 2, 4)
    assert [origin["key"] for origin in others] == ["power_begin", "power_end", "result_query_count"]
    assert set(columns(document, 1)) == {"Result", "Units"}


def test_a_result_that_would_be_refused_is_explained_with_the_rules_that_it_breaks(tree, capsys):
    change_log(tree, OFFLINE, effective_min_duration_ms=60000, effective_qsl_rng_seed=1)
    assert run(["submission", "explain", str(tree), OFFLINE, "--round", "v5.1"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{OFFLINE} (v5.1): would be refused, and has no row")
    assert "Result = 1234.5\n    as LoadGen counts it\n" in out
    assert "    min-duration: error: `effective_min_duration_ms` is 60,000; 600,000 is the least" in out
    assert "the official checker (stops-at-the-first): " in out
    document = explained(tree, OFFLINE)
    broken = {(each["part"], each["rule"]) for each in document["rules"] if not each["good"]}
    assert broken == {("performance test", "min-duration"), ("performance test", "seeds"), ("model", "complete")}
    assert {"system", "measurements", "accuracy test", "compliance", "performance test of TEST01"} <= {
        each["part"] for each in document["rules"]
    }


def test_what_another_scenario_breaks_is_not_told(tree):
    change_log(tree, f"{RESNET}/SingleStream", num_errors=3)
    broken = [each["rule"] for each in explained(tree, OFFLINE)["rules"] if not each["good"]]
    assert broken == ["complete"]


def test_the_defects_of_the_official_checker_that_touch_a_result_are_told(tree):
    assert explained(tree, OFFLINE)["defects"] == []
    system = system_json("closed", "box", "edge", sw_notes='a "quick" run, tuned', hw_notes="1,2")
    write(tree / "closed" / "Acme" / "systems" / "box.json", json.dumps(system))
    assert [each["id"] for each in explained(tree, OFFLINE)["defects"]] == ["summary-not-quoted"]
    change_log(tree, f"{RESNET}/SingleStream", early_stopping_met=False)
    found = explained(tree, f"{RESNET}/SingleStream")
    assert "early-stopping-told" in [each["id"] for each in found["defects"]]
    assert not found["taken"]
    assert explained(tree, f"{RESNET}/SingleStream", as_official=True)["taken"]


def test_a_model_of_the_submitters_own_name_is_traced_to_its_mapping(tree):
    write(tree / "open" / "Acme" / "model_mapping.json", '{\n  "other": "x",\n  "mine": "llama2-70b-99"\n}\n')
    for part in ("results", "measurements", "code"):
        folder = tree / "open" / "Acme" / part / ("" if part == "code" else "rack")
        (folder / "llama2-70b-99").rename(folder / "mine")
    model = columns(explained(tree, "mine/Offline"))["MlperfModel"]
    assert model["value"] == "llama2-70b-99"
    assert (model["from"][1]["path"], model["from"][1]["line"]) == ("open/Acme/model_mapping.json", 3)


@pytest.mark.parametrize(
    ("part", "location"),
    [
        (OFFLINE, OFFLINE),
        (f"./{OFFLINE}/", OFFLINE),
        ("Acme/resnet/Offline", OFFLINE),
        ("box/offline", OFFLINE),
        ("llama", f"{LLAMA}/Offline"),
    ],
)
def test_a_row_is_found_by_names_on_the_way_to_it(tree, part, location):
    assert explained(tree, part)["location"] == location


UNCLEAR = [
    ("Offline", "ambiguous-row"),
    ("resnet", "ambiguous-row"),
    ("resnet/Server", "unknown-row"),
    ("", "unknown-row"),
]


@pytest.mark.parametrize(("part", "said"), UNCLEAR)
def test_a_row_that_is_none_or_may_be_several_is_refused(tree, part, said):
    with pytest.raises(UsageError) as raised:
        explained(tree, part)
    assert raised.value.slug == said


def test_no_file_steers_the_terminal(tree, capsys):
    write(
        tree / "closed" / "Acme" / "systems" / "box.json",
        json.dumps(system_json("closed", "box\x1b[2J\nx = 1", "edge")),
    )
    assert run(["submission", "explain", str(tree), OFFLINE, "--round", "v5.1"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "SystemName = The box\\x1b[2J\\nx = 1\n" in out
