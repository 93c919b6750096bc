"""`mlorch results …` as a person and a program use it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from results_parts import add_run, record_of

from orchestrator import cli
from orchestrator.host.process import this_process
from orchestrator.results.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    for second, case in enumerate(("offline", "server-invalid", "accuracy")):
        add_run(store, case, second)
    return store


@pytest.fixture
def mlorch(capsys, store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))

    def run(*arguments):
        code = cli.run(["results", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_list_shows_every_run_with_verdict_and_units(mlorch, store):
    (store.root / "20261124T014109Z-x").mkdir()
    (store.root / "20261124T014109Z-x" / "run.json").write_text("{")
    code, out, err = mlorch("list")
    assert code == 0
    lines = [line for line in out.splitlines() if "Z-" in line]
    assert [line.split()[-1] for line in lines] == ["UNREADABLE", "PASSED", "INVALID", "VALID"]
    assert "5,601 samples/s" in out
    assert "warning" in err


def test_a_run_by_hand_is_listed_as_that_and_verified_with_its_path_once(mlorch, store):
    folder = store.root / "20261124T014109Z-x"
    folder.mkdir()
    (folder / "run.json").touch()
    _, out, err = mlorch("list")
    assert next(line for line in out.splitlines() if "014109Z" in line).rstrip().endswith("BY HAND")
    assert "started by hand" in err
    assert "warning" not in err
    code, out, _ = mlorch("verify", folder.name)
    assert code == 1
    assert out.count(f"{folder.name}/run.json") == 1


def test_list_json_is_one_document_newest_first(mlorch):
    code, out, _ = mlorch("list", "--json")
    results = json.loads(out)["results"]
    assert code == 0
    assert [one["scenario"] for one in results] == ["Offline", "Server", "Offline"]
    assert [one["valid"] for one in results] == [None, False, True]


def test_list_shows_the_newest_twenty_and_says_how_to_see_all(mlorch, store):
    for second in range(3, 25):
        add_run(store, "offline", second)
    newest = "20261124T014124Z"
    _, out, err = mlorch("list")
    rows = [line for line in out.splitlines() if "Z-image" in line]
    assert len(rows) == 20
    assert newest in rows[0]
    assert "the newest 20 of 25 runs; --all shows them all" in err
    _, out, err = mlorch("list", "--all")
    assert len([line for line in out.splitlines() if "Z-image" in line]) == 25
    assert "of 25" not in err
    assert len(json.loads(mlorch("list", "--json")[1])["results"]) == 25
    (one,) = json.loads(mlorch("list", "--json", "--last", "1")[1])["results"]
    assert one["run_id"].startswith(newest)
    assert mlorch("list", "--last", "0")[0] == 2
    assert mlorch("list", "--last", "1", "--all")[0] == 2


def test_list_keeps_to_a_benchmark_and_to_results_that_count(mlorch, store):
    def verdicts(*options):
        return [one["verdict"] for one in json.loads(mlorch("list", "--json", *options)[1])["results"]]

    assert verdicts() == ["PASSED", "INVALID", "VALID"]
    assert verdicts("--valid") == ["PASSED", "VALID"]
    assert verdicts("--valid", "--last", "1") == ["PASSED"]
    assert verdicts("--benchmark", "image-fashion") == ["PASSED", "INVALID", "VALID"]
    assert verdicts("-b", "image-smoke") == []
    _, out, err = mlorch("list", "--valid", "--last", "1")
    assert "INVALID" not in out
    assert "the newest 1 of 2 runs" in err


def test_list_of_nothing_is_no_failure(mlorch, tmp_path):
    assert mlorch("list", "-o", str(tmp_path / "none"), "--json")[:2] == (0, '{\n  "results": []\n}\n')


def test_an_empty_list_says_whether_the_folder_or_a_filter_is_the_cause(mlorch, store, tmp_path):
    (tmp_path / "empty").mkdir()
    for options, words in (
        (("-o", "nowhere"), "no results in nowhere, which does not exist"),
        (("-o", "empty"), "no results in empty; `mlorch run` makes some"),
        (("--benchmark", "nope"), "no run of `nope` in results; there are runs of image-fashion"),
    ):
        code, out, err = mlorch("list", *options)
        assert (code, out) == (0, "")
        assert words in err
    for entry in store.entries():
        if entry.record.mode == "accuracy" or entry.record.valid:
            edited(entry.folder, status="failed", valid=None)
    assert "counts (--valid)" in mlorch("list", "--valid")[2]
    assert "nowhere, which does not exist" in mlorch("verify", "-o", "nowhere")[2]


def test_a_dead_run_is_found_by_listing(mlorch, store):
    store.begin(replace(record_of("offline", 9), owner=replace(this_process(), start_ticks=1)))
    _, out, err = mlorch("list")
    assert "INTERRUPTED" in out
    assert "counts as interrupted" in err


def test_show_tells_why_an_invalid_result_is_invalid(mlorch):
    code, out, _ = mlorch("show", "0001")
    assert code == 0
    assert "INVALID" in out
    assert "Reduce target QPS to improve latency." in out
    assert "command line" in out
    assert "not an MLPerf submission" in out


def test_show_is_the_id_and_a_line_for_each_fact_that_fits_a_narrow_pipe(mlorch, store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run_id = next(entry.run_id for entry in store.entries() if "server" in entry.run_id)
    lines = mlorch("show", run_id)[1].splitlines()
    assert lines[0] == run_id
    facts = dict(line.strip().split("  ", 1) for line in lines[1:-1] if line[2] != " ")
    assert facts["verdict"].strip() == "INVALID"
    assert facts["execution.batch"].strip() == "16 (recipe)"
    assert facts["latency p99"].strip().endswith("ms")
    words = [line for line in lines[1:-1] if " " in line.strip()[40:]]
    assert all(len(line) <= 80 for line in words)


def test_show_json_has_the_settings_with_their_sources(mlorch):
    document = json.loads(mlorch("show", "--json")[1])
    assert document["results"][0]["settings"]["execution.batch"] == {"value": 16, "source": "recipe"}


def test_an_unknown_run_is_exit_2_with_a_document(mlorch):
    code, out, _ = mlorch("show", "nonsense", "--json")
    assert code == 2
    assert json.loads(out)["error"]["slug"] == "unknown-run"


def test_verify_passes_and_then_names_the_tampered_file(mlorch, store):
    code, out, _ = mlorch("verify")
    assert code == 0
    assert out.count(": ok: ") == 3
    folder = store.entries()[0].folder
    (folder / "mlperf_log_accuracy.json").write_text("[]")
    code, out, _ = mlorch("verify", "--json")
    assert code == 1
    first = json.loads(out)["results"][0]
    assert first["ok"] is False
    assert first["faults"][0]["file"] == "mlperf_log_accuracy.json"


@pytest.mark.parametrize("alive", [True, False])
def test_verify_of_all_steps_over_a_run_under_way(mlorch, store, alive):
    owner = this_process() if alive else replace(this_process(), pid=2**22 - 1, start_ticks=1)
    record = replace(record_of("offline", 9), owner=owner)
    store.begin(record)
    code, out, err = mlorch("verify", "--json")
    verified = [one["run_id"] for one in json.loads(out)["results"]]
    if not alive:
        assert "its mlorch is gone" in " ".join(err.split())
        assert record.run_id in verified
        return
    assert f"{record.run_id}: it is under way, and is verified when it has ended" in " ".join(err.split())
    assert (code, len(verified), record.run_id in verified) == (0, 3, False)
    code, out, _ = mlorch("verify", record.run_id)
    assert (code, "the run has not ended" in out) == (1, True)


def test_a_run_under_way_whose_record_was_touched_is_a_fault(mlorch, store):
    folder = store.begin(replace(record_of("offline", 9), owner=this_process()))
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"target": "cpu"', '"target": "gpu"'))
    code, out, _ = mlorch("verify")
    assert (code, "the record was changed after mlorch wrote it" in out) == (1, True)


def test_verify_of_nothing_is_exit_5(mlorch, tmp_path):
    assert mlorch("verify", "-o", str(tmp_path / "none"))[0] == 5


def test_report_writes_one_file_and_does_not_overwrite_what_was_named(mlorch, store, tmp_path):
    code, out, _ = mlorch("report", "-o", "r.html")
    assert (code, out) == (0, "r.html\n")
    assert (tmp_path / "r.html").read_text().count("<article>") == 3
    assert mlorch("report", "-o", "r.html")[0] == 1
    assert mlorch("report", "latest", "-o", "r.html", "--force")[0] == 0
    assert (tmp_path / "r.html").read_text().count("<article>") == 1
    code, out, _ = mlorch("report", "--json")
    assert code == 0
    assert json.loads(out)["report"].startswith("results/report-")
    assert mlorch("report")[0] == 0


def edited(folder, **changes):
    """The record of a run, changed by hand."""
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(document | changes))


def test_an_invalid_result_is_not_made_valid_by_editing_its_record(mlorch, store):
    folder = next(path for path in store.root.iterdir() if "server" in path.name)
    edited(folder, valid=True)
    code, out, _ = mlorch("show", folder.name, "--json")
    assert code == 0
    (found,) = json.loads(out)["results"]
    assert found["verdict"] == "CHANGED"
    assert found["valid"] is None
    assert "results verify" in found["reasons"][0]


def test_an_old_record_without_loadgen_s_summary_shows_no_verdict(mlorch, store):
    _, folder = add_run(store, "offline", 7, old=True)
    (folder / "mlperf_log_summary.txt").unlink()
    _, out, _ = mlorch("show", folder.name, "--json")
    (found,) = json.loads(out)["results"]
    assert (found["verdict"], found["valid"]) == ("NO RESULT", None)


def test_an_old_record_is_listed_with_the_figures_of_its_logs(mlorch, store):
    """Records of mlorch 0.1 hold no figures."""
    new, _ = add_run(store, "server", 6)
    old, folder = add_run(store, "server", 7, old=True)
    assert "measured" not in json.loads((folder / "run.json").read_text())
    first, second = json.loads(mlorch("list", "--json")[1])["results"][:2]
    assert (first["run_id"], second["run_id"]) == (old.run_id, new.run_id)
    assert first["metrics"] == second["metrics"]
    assert (first["verdict"], first["valid"], first["reasons"]) == (second["verdict"], True, [])


def test_a_listing_reads_no_log_of_a_run_whose_record_has_its_figures(mlorch, store):
    for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt", "harness.json"):
        for path in store.root.glob(f"*/{name}"):
            path.unlink()
    results = json.loads(mlorch("list", "--json")[1])["results"]
    assert [one["verdict"] for one in results] == ["PASSED", "INVALID", "VALID"]
    assert results[2]["metrics"]["result"]["value"] > 0
    assert mlorch("verify")[0] == 1


def test_an_interrupted_run_has_no_metrics_even_where_loadgen_s_files_are_whole(mlorch, store):
    folder = next(path for path in store.root.iterdir() if "offline-performance" in path.name)
    edited(folder, status="interrupted", valid=None)
    _, out, _ = mlorch("show", folder.name, "--json")
    (found,) = json.loads(out)["results"]
    assert found["verdict"] == "INTERRUPTED"
    assert found["metrics"] == {"accuracy": None, "result": None, "latency_ns": None}


def test_verify_names_the_folder_that_it_checked(mlorch, store):
    folder = next(path for path in store.root.iterdir() if "server" in path.name)
    copy = folder.with_name(folder.name[:-4] + "ffff")
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    code, out, _ = mlorch("verify", copy.name, "--json")
    assert code == 1
    assert json.loads(out)["results"][0]["run_id"] == copy.name
