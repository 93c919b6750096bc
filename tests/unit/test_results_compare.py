"""Runs against each other: recorded LoadGen logs, changed where a test needs it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from results_parts import add_run, measure_again, record_of

from orchestrator.cli import run
from orchestrator.facts.endpoints import EndpointFact
from orchestrator.results.compare import ACCURACY_POINTS
from orchestrator.results.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def later(store, case: str, second: int, session: str, **changes):
    """A run of a recorded case in a session of its own, begun `second` seconds into the minute."""
    record, folder = add_run(store, case, second)
    store.finish(replace(record, session=session, **changes))
    return record, folder


def faster(folder, factor: float) -> None:
    """Change the rates that LoadGen wrote."""
    for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt"):
        path = folder / name
        text = re.sub(
            r'("key": "result_(?:samples|completed_samples)_per_sec[a-z_]*", "value": )([0-9.e+]+)',
            lambda match: f"{match[1]}{float(match[2]) * factor}",
            path.read_text(),
        )
        text = re.sub(
            r"^((?:Samples per second|Completed samples per second)\s*: )([0-9.e+]+)",
            lambda match: f"{match[1]}{float(match[2]) * factor}",
            text,
            flags=re.MULTILINE,
        )
        path.write_text(text)
    measure_again(folder)


def compare(store, *words: str):
    """Exit status and document of the command."""
    return run(["results", "compare", *words, "-o", str(store.root), "--json"])


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_same_twice_is_the_same_and_nothing_differed(store, capsys):
    later(store, "offline", 1, "first")
    later(store, "offline", 2, "second")
    assert compare(store) == 0
    (one,) = said(capsys)["comparisons"]
    assert (one["verdict"], one["regressed"], one["differences"]) == ("same", False, [])
    deciding = [figure for figure in one["figures"] if figure["decides"]]
    assert [(figure["change"], figure["unit"]) for figure in deciding] == [(0.0, "samples/s")]
    assert {figure["verdict"] for figure in one["figures"]} == {"same"}


@pytest.mark.parametrize(
    ("factor", "words", "status", "verdict"),
    [
        (0.90, (), 1, "worse"),
        (0.96, (), 0, "same"),
        (0.96, ("--tolerance", "2%"), 1, "worse"),
        (0.90, ("--tolerance", "0.2"), 0, "same"),
        (1.20, (), 0, "better"),
    ],
)
def test_a_rate_is_judged_by_its_direction_and_the_tolerance(store, capsys, factor, words, status, verdict):
    later(store, "offline", 1, "first")
    _, folder = later(store, "offline", 2, "second")
    faster(folder, factor)
    assert compare(store, *words) == status
    (one,) = said(capsys)["comparisons"]
    assert one["verdict"] == verdict
    figure = next(figure for figure in one["figures"] if figure["decides"])
    assert figure["change"] == pytest.approx((factor - 1) * 100, abs=0.01)


def test_a_latency_is_better_when_it_is_lower(store, capsys):
    later(store, "singlestream", 1, "first")
    _, folder = later(store, "singlestream", 2, "second")
    for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt"):
        path = folder / name
        path.write_text(
            re.sub(
                r"(early_stopping_latency_ss\", \"value\": )(\d+)",
                lambda m: f"{m[1]}{int(m[2]) // 2}",
                path.read_text(),
            )
        )
    measure_again(folder)
    assert compare(store) == 0
    (one,) = said(capsys)["comparisons"]
    assert one["verdict"] == "better"
    assert next(f for f in one["figures"] if f["decides"])["unit"] == "ns"


def test_an_invalid_run_is_never_equal_to_a_valid_one(store, capsys):
    later(store, "server", 1, "first")
    later(store, "server-invalid", 2, "second")
    assert compare(store) == 1
    (one,) = said(capsys)["comparisons"]
    assert (one["verdict"], one["regressed"], one["figures"]) == ("not comparable", True, [])
    assert "was VALID, is INVALID" in one["reason"]
    assert compare(store, "second", "first") == 0, "the other way round something was mended"
    (one,) = said(capsys)["comparisons"]
    assert (one["verdict"], one["regressed"]) == ("not comparable", False)
    later(store, "server-invalid", 3, "third")
    assert compare(store) == 1, "two INVALID runs have no figure between them"


def test_an_accuracy_may_fall_by_points_not_by_the_tolerance(store, capsys):
    later(store, "accuracy", 1, "first", accuracy_goal=None)
    _, folder = later(store, "accuracy", 2, "second", accuracy_goal=None)
    path = folder / "harness.json"
    harness = json.loads(path.read_text())
    harness["accuracy"]["value"] -= ACCURACY_POINTS + 0.1
    path.write_text(json.dumps(harness))
    measure_again(folder)
    assert compare(store, "--tolerance", "20%") == 1
    (one,) = said(capsys)["comparisons"]
    assert [f["name"] for f in one["figures"] if f["decides"]] == ["top1"]
    assert one["figures"][0]["change"] == pytest.approx(-0.4)


def test_what_differed_in_what_ran_is_named_with_the_data_first(store, capsys):
    first = record_of("offline")
    later(store, "offline", 1, "first")
    image = replace(first.image, digest=f"mlorch/image-fashion@sha256:{'99' * 32}")
    host = {**first.host, "memory_total": 1, "load": [9, 9, 9]}
    dataset = replace(first.dataset, files={**first.dataset.files, "labels.npy": "0c" * 32})
    settings = {**first.settings, "execution.batch": replace(first.settings["execution.batch"], value=32)}
    later(store, "offline", 2, "second", image=image, host=host, dataset=dataset, settings=settings)
    assert compare(store) == 0
    (one,) = said(capsys)["comparisons"]
    assert [each["what"] for each in one["differences"]] == [
        "dataset fashion-mnist/labels.npy", "image digest", "setting execution.batch", "host memory_total",
    ]  # fmt: skip
    assert (one["differences"][2]["was"], one["differences"][2]["is"]) == (16, 32)
    assert run(["results", "compare", "-o", str(store.root)]) == 0
    told = capsys.readouterr()
    assert "this is another piece of work" in told.err
    assert "execution.batch: 16 -> 32" in told.err


def test_a_server_elsewhere_is_compared_with_itself_unless_another_one_is_named(store, capsys):
    here = EndpointFact(url="http://here", model="m", said={"/version": "1"})
    there = EndpointFact(url="http://there", model="m", said={"/version": "2"})
    for number, (session, endpoint) in enumerate((("a", here), ("b", None), ("c", there), ("d", here)), 1):
        later(store, "offline", number, session, endpoint=endpoint)
    assert compare(store) == 0
    (one,) = said(capsys)["comparisons"]
    assert one["differences"] == []
    assert compare(store, "c", "d") == 0
    (one,) = said(capsys)["comparisons"]
    assert [(each["what"], each["was"], each["is"]) for each in one["differences"]] == [
        ("endpoint", "m at http://there", "m at http://here"),
        ("endpoint /version", "2", "1"),
    ]


def test_only_the_same_tests_are_compared(store, capsys):
    later(store, "offline", 1, "first")
    later(store, "server", 2, "first")
    later(store, "server", 3, "second")
    later(store, "singlestream", 4, "second")
    assert compare(store) == 0
    assert [one["scenario"] for one in said(capsys)["comparisons"]] == ["Server"]
    assert compare(store, store.entries()[-1].run_id, store.entries()[0].run_id) == 2
    error = said(capsys)["error"]
    assert error["slug"] == "nothing-to-compare"
    assert "Offline" in error["message"]
    assert "SingleStream" in error["message"]


def test_runs_come_by_id_folder_session_and_folder_of_results(store, tmp_path, capsys):
    first, folder = later(store, "offline", 1, "first")
    other = Store(tmp_path / "before")
    later(other, "offline", 1, "zero")
    later(store, "offline", 2, "second")
    for was in (first.run_id, str(folder), "first", str(other.root)):
        assert compare(store, was, "last") == 0
        assert said(capsys)["comparisons"][0]["was"] == first.run_id
    assert compare(store, "nowhere", "last") == 2
    assert said(capsys)["error"]["slug"] == "unknown-run"


def test_the_first_run_of_all_has_nothing_before_it(store, capsys):
    assert compare(store) == 5
    capsys.readouterr()
    later(store, "offline", 1, "first")
    assert compare(store) == 5
    assert said(capsys)["error"]["slug"] == "nothing-selected"
    assert compare(store, "--if-any") == 0
    assert said(capsys) == {"tolerance": 0.05, "regressed": False, "comparisons": []}


@pytest.mark.parametrize("text", ["five", "-1%", "100%", "1.5", ""])
def test_a_tolerance_that_is_none(store, capsys, text):
    assert compare(store, "--tolerance", text) == 2
    assert "no tolerance" in said(capsys)["error"]["message"]


def test_a_regression_annotates_the_job_and_fills_its_summary(store, tmp_path, monkeypatch, capsys):
    later(store, "offline", 1, "first")
    _, folder = later(store, "offline", 2, "second")
    faster(folder, 0.5)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert run(["results", "compare", "-o", str(store.root)]) == 1
    assert "::error title=mlorch%3A regression::image-fashion Offline performance: " in capsys.readouterr().err
    assert "| image\\-fashion Offline performance |" in summary.read_text()
    assert "worse" in summary.read_text()


def test_a_run_is_not_compared_with_itself(store, capsys):
    later(store, "offline", 1, "first")
    later(store, "offline", 2, "second")
    assert compare(store, "second", "second") == 2
    assert "with themselves" in capsys.readouterr().err
    assert compare(store, "latest", "previous") == 2
    assert "`previous` is what a run is compared with" in capsys.readouterr().err
