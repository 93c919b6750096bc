"""The store: whole or as it was, whatever is imported, by whomever it was written, however often."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from little_servers import Script, plain, serving
from results_parts import add_run
from submissions.submission_parts import good_tree

from orchestrator.errors import MlorchError, StepFailed, UsageError
from orchestrator.facts.power import PowerCheck, PowerFact
from orchestrator.operations.context import Context
from orchestrator.operations.results_import import ImportRequest, import_results, rebuild
from orchestrator.operations.results_store import compare_store, csv_text, list_store, top_results
from orchestrator.results.store import Store
from orchestrator.results.tables import database as database_module
from orchestrator.results.tables import engine, queries, worker
from orchestrator.results.tables.asking import ask
from orchestrator.results.tables.database import Database
from orchestrator.results.tables.queries import Answer, own_query
from orchestrator.results.tables.ranking import Ranking

TABLES = Path(__file__).parents[1] / "fixtures" / "tables"
CONTEXT = Context()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def put(store):
    """Imports files of the fixtures, or others by their path."""

    def put(*names, **more):
        sources = tuple(str(TABLES / name) for name in names)
        return import_results(CONTEXT, ImportRequest(sources=sources, store=store, **more))

    return put


def rows(store, sql):
    return own_query(Database(store), sql).rows


def state(store):
    """All that is in the folder of the store."""
    return {path.name: path.read_bytes() for path in store.iterdir() if path.name != ".lock"} if store.exists() else {}


# -- import ------------------------------------------------------------------------------


def test_all_forms_come_into_one_store_with_where_they_came_from(put, store):
    came = put("summary-v3.0.csv", "summary-v4.1.csv", "report-v5.1.json", "summary-v6.1.json", "cm-training.json")
    found = rows(store, "SELECT round, kind, count(*) FROM results GROUP BY ALL ORDER BY 1")
    assert [(name, kind) for name, kind, _ in found] == [
        ("1.0", "training"),
        ("v3.0", "summary"),
        ("v4.1", "summary"),
        ("v5.1", "report"),
        ("v6.1", "summary"),
    ]
    assert came.added.total == sum(number for *_, number in found)
    (sha,) = rows(store, "SELECT DISTINCT source_sha256 FROM results WHERE round = 'v5.1'")[0]
    assert sha == hashlib.sha256((TABLES / "report-v5.1.json").read_bytes()).hexdigest()
    source, line, location = rows(
        store, "SELECT source, source_row, location FROM results WHERE round = 'v4.1' ORDER BY source_row LIMIT 1"
    )[0]
    text = Path(source).read_text(encoding="utf-8").splitlines()
    assert location in text[line - 1], "the line of the file has the result"


def test_the_same_file_again_takes_its_own_place(put, store):
    put("report-v5.1.json")
    again = put("report-v5.1.json")
    assert (again.added.total, again.added.again) == (12, 0)
    assert rows(store, "SELECT count(*) FROM every_result") == ((12,),)
    assert len(Database(store).manifest().imports) == 1


def test_a_result_of_two_tables_counts_once_and_differences_are_told(put, store, tmp_path):
    put("summary-v5.1.csv")
    entries = json.loads((TABLES / "report-v5.1.json").read_text())
    entries[0]["Performance_Result"] *= 2
    (tmp_path / "other.json").write_text(json.dumps(entries))
    added = put(tmp_path / "other.json").added
    assert (added.total, added.again, added.differ) == (12, 12, 1)
    assert rows(store, "SELECT count(*), count(DISTINCT key) FROM results") == ((12, 12),)
    assert rows(store, "SELECT count(*) FROM every_result") == ((24,),), "what is not current is not lost"
    assert rows(store, "SELECT DISTINCT kind FROM results") == (("report",),)


def test_a_copy_of_cm_stands_back_behind_an_official_table(put, store, tmp_path):
    official = json.loads((TABLES / "cm-inference.json").read_text())[:1]
    names = ("uid", "git_url", "url", "Result_Power", "Result_Power_Units", "Result_Units", "Inference_per_Joule")
    plain = {name: value for name, value in official[0].items() if name not in names}
    (tmp_path / "official.json").write_text(json.dumps([plain]))
    folder = tmp_path / "cm" / "experiment" / "x"
    folder.mkdir(parents=True)
    (folder / "cm-result.json").write_text(json.dumps(official))
    put(tmp_path / "official.json")
    put(tmp_path / "cm")
    assert rows(store, "SELECT kind, power FROM results") == (("summary", None),)


def test_a_folder_of_experiments_is_one_import_with_a_source_for_each_row(put, store, tmp_path):
    for name in ("cm-inference.json", "cm-training.json", "cm-tiny.json"):
        folder = tmp_path / "cm" / "experiment" / name
        folder.mkdir(parents=True)
        (folder / "cm-result.json").write_bytes((TABLES / name).read_bytes())
    again = tmp_path / "cm" / "experiment" / "z-again"
    again.mkdir()
    (again / "cm-result.json").write_bytes((TABLES / "cm-inference.json").read_bytes())
    came = put(tmp_path / "cm")
    assert [suite for (suite,) in rows(store, "SELECT DISTINCT suite FROM results ORDER BY 1")] == [
        "inference",
        "tiny",
        "training",
    ]
    (source,) = came.sources
    assert source.doubled >= 3, "the copy says nothing new"
    assert rows(store, "SELECT count(DISTINCT source) FROM results") == ((3,),)


def test_a_label_keeps_apart_what_calls_itself_alike(put, store, tmp_path):
    put("summary-v5.1.csv")
    (tmp_path / "ours.csv").write_bytes((TABLES / "summary-v5.1.csv").read_bytes())
    put(tmp_path / "ours.csv", label="unofficial-v5.1")
    assert rows(store, "SELECT round, count(*) FROM results GROUP BY ALL ORDER BY 1") == (
        ("unofficial-v5.1", 12),
        ("v5.1", 12),
    )


def test_runs_of_ours_come_in_with_their_record_and_are_no_round(store, tmp_path):
    runs = Store(tmp_path / "results")
    for second, case in enumerate(("offline", "server-invalid", "accuracy", "singlestream")):
        add_run(runs, case, second)
    broken = runs.root / "20261124T014109Z-x"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    came = import_results(CONTEXT, ImportRequest(sources=(str(runs.root),), store=store))
    assert came.sources[0].left_out == (broken.name,)
    found = rows(store, "SELECT scenario, result IS NULL, unit, valid, round FROM results ORDER BY key")
    assert found == (
        ("Offline", False, "samples/s", True, "own"),
        ("Server", False, "samples/s", False, "own"),
        ("Offline", True, "", True, "own"),
        ("SingleStream", False, "ms", True, "own"),
    )
    assert all(Path(place).is_file() for (place,) in rows(store, "SELECT location FROM results"))


def test_power_of_a_run_of_ours_is_that_of_a_passed_session_only(store, tmp_path):
    runs = Store(tmp_path / "results")
    passed = PowerFact(server="p:4950", ntp="n:123", image="x", commit="y", watts=200.0, joules_per_query=0.5,
                       checks=(PowerCheck(name="check", passed=True),))  # fmt: skip
    cases = (
        ("offline", passed),
        ("singlestream", passed),
        ("offline", replace(passed, simulated=True)),
        ("offline", replace(passed, faults=("a clock",))),
    )
    for second, (case, power) in enumerate(cases):
        record, _ = add_run(runs, case, second)
        runs.finish(replace(record, power=power))
    import_results(CONTEXT, ImportRequest(sources=(str(runs.root),), store=store))
    found = rows(store, "SELECT power, power_unit, result, per_watt FROM results ORDER BY key")
    assert [row[:2] for row in found] == [(200.0, "W"), (500.0, "mJ"), (None, ""), (None, "")]
    assert found[0][3] == pytest.approx(found[0][2] / 200)
    assert found[1][3] == pytest.approx(2), "samples for each joule"


def test_nothing_is_imported_where_one_source_is_wrong(put, store, tmp_path):
    put("report-v5.1.json")
    before = state(store)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StepFailed, match="names no column of a summary"):
        put("summary-v3.0.csv", tmp_path / "bad.csv")
    assert state(store) == before


@pytest.mark.parametrize("step", ["atomic_write_text", "_count"])
def test_an_import_that_breaks_off_leaves_the_store_as_it_was(put, store, monkeypatch, step):
    put("report-v5.1.json")
    before = rows(store, "SELECT count(*) FROM results")

    def broken(*_arguments, **_more):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(database_module, step, broken)
        with pytest.raises(StepFailed, match="No space left on device"):
            put("summary-v3.0.csv")
    assert rows(store, "SELECT count(*) FROM results") == before
    (store / ".mlorch-import-killed").mkdir()
    (store / f".results-{'0' * 12}.parquet.{'0' * 16}").touch()
    put("summary-v3.0.csv")
    left = {path.name.rpartition("-")[0] for path in store.iterdir()}
    assert left == {"", "results"}, "what was left by those that broke off is gone"
    assert len(list(store.glob("results-*"))) == 2


def test_what_somebody_else_keeps_in_the_folder_stays(put, store):
    names = {"my-results-2024.parquet", "results-2023.parquet", ".import-mine", "results-.parquet.bak"}
    store.mkdir()
    for name in names:
        (store / name).write_text("mine")
    put("report-v5.1.json")
    put("summary-v3.0.csv")
    assert names <= {path.name for path in store.iterdir()}


def test_a_name_that_is_no_text_is_refused_as_the_store_could_not_be_read_again(put, store, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.json"
    Path(os.fsdecode(path)).write_bytes((TABLES / "report-v5.1.json").read_bytes())
    for sources, label in (((os.fsdecode(path),), ""), ((str(TABLES / "report-v5.1.json"),), "\udcff")):
        with pytest.raises(UsageError, match="is no UTF-8"):
            import_results(CONTEXT, ImportRequest(sources=sources, store=store, label=label))
    assert state(store) == {}


def test_a_folder_whose_names_are_no_text_comes_in_all_the_same(store, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cm/\xff"))
    folder.mkdir(parents=True)
    (folder / "cm-result.json").write_bytes((TABLES / "cm-inference.json").read_bytes())
    imported = import_results(CONTEXT, ImportRequest(sources=(str(tmp_path / "cm"),), store=store))
    assert imported.added.total
    assert rows(store, "SELECT DISTINCT source FROM results")[0][0].endswith("/cm/?/cm-result.json")


def test_a_store_can_be_made_again_from_its_sources(put, store, tmp_path):
    (tmp_path / "v3.csv").write_bytes((TABLES / "summary-v3.0.csv").read_bytes())
    put("report-v5.1.json")
    put(tmp_path / "v3.csv", label="mine")
    before = rows(store, "SELECT key, result, source FROM results ORDER BY key")
    next(store.glob(Database(store).manifest().rows_file)).unlink()
    with pytest.raises(StepFailed) as caught:
        rows(store, "SELECT 1")
    assert caught.value.slug == "broken-store"
    rebuild(CONTEXT, store)
    assert rows(store, "SELECT key, result, source FROM results ORDER BY key") == before


def test_a_store_of_a_newer_mlorch_is_neither_read_nor_written(put, store):
    put("report-v5.1.json")
    path = store / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2, "new": True}))
    before = state(store)
    for work in (lambda: put("summary-v3.0.csv"), lambda: rows(store, "SELECT 1"), lambda: rebuild(CONTEXT, store)):
        with pytest.raises(StepFailed) as caught:
            work()
        assert caught.value.slug == "newer-store"
        assert "version 2; this one reads 1" in caught.value.message
    assert state(store) == before


IMPORTED = '{"version": 1, "imports": [{"rounds": [], "skipped": [], %s}], "rows_file": ""}'


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1, "imports": [{}], "rows_file": "x"}',
                                  '{"version": 1, "imports": [], "rows_file": "../../etc/passwd"}',
                                  '{"version": 1, "imports": [], "rows_file": "mine.parquet"}',
                                  '{"version": true, "imports": [], "rows_file": ""}',
                                  '{"version": 0, "imports": [], "rows_file": ""}',
                                  IMPORTED % '"source": "x", "kind": "tree", "sha256": "", "number": "1"',
                                  IMPORTED % '"source": 7, "kind": "tree", "sha256": ""'])  # fmt: skip
def test_a_broken_store_is_told_and_not_overwritten(put, store, text):
    store.mkdir()
    (store / "store.json").write_text(text)
    with pytest.raises(StepFailed) as caught:
        put("report-v5.1.json")
    assert caught.value.slug == "broken-store"
    assert (store / "store.json").read_text() == text


def test_a_parquet_file_that_is_none_is_told(put, store):
    put("report-v5.1.json")
    (store / Database(store).manifest().rows_file).write_bytes(b"PAR1 and nothing")
    with pytest.raises(StepFailed) as caught:
        rows(store, "SELECT 1")
    assert caught.value.slug == "broken-store"


@pytest.mark.processes
def test_a_parquet_file_of_another_program_is_told(put, store):
    put("report-v5.1.json")
    path = Database(store).parquet()
    path.unlink()
    engine.duckdb().sql(f"COPY (SELECT 1 AS a) TO '{path}' (FORMAT parquet)")
    for work in (lambda: rows(store, "SELECT 1"), lambda: ask(Database(store), "SELECT 1")):
        with pytest.raises(StepFailed, match="names a file of results that cannot be read") as caught:
            work()
        assert caught.value.slug == "broken-store"


def test_a_submission_tree_comes_in_by_the_rules_of_its_round(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    tree = good_tree(tmp_path / "tree")
    came = import_results(CONTEXT, ImportRequest(sources=(str(tree),), store=store, round="v5.1"))
    found = rows(store, "SELECT benchmark, scenario, result, unit, valid, location FROM results ORDER BY location")
    assert ("resnet", "Offline", 1234.5, "samples/s", True, "closed/Acme/results/box/resnet/Offline") in found
    assert ("llama2-70b-99", "Offline", 5678.25, "tokens/s") in {row[:4] for row in found}
    assert (came.sources[0].imported.kind, came.added.total) == ("tree", len(found))
    rebuild(CONTEXT, store)
    assert rows(store, "SELECT count(*) FROM results") == ((len(found),),), "by the same round again"


@pytest.mark.sockets
def test_a_url_is_imported_and_kept_without_its_secrets(store):
    data = (TABLES / "report-v5.1.json").read_bytes()
    pages = {"/summary.json?token=hunter2": lambda _: [plain(200, data)]}
    with serving(Script(lambda _: [], pages=pages)) as address:
        url = f"{address.removesuffix('/v1')}/summary.json?token=hunter2"
        import_results(CONTEXT, ImportRequest(sources=(url,), store=store))
        with pytest.raises(StepFailed, match="the server answered 404"):
            import_results(CONTEXT, ImportRequest(sources=(f"{url}&x=1",), store=store))
    (source,) = rows(store, "SELECT DISTINCT source FROM results")[0]
    assert "/summary.json" in source
    assert not any(b"hunter2" in data for data in state(store).values())


@pytest.mark.parametrize(
    ("source", "slug"), [("nowhere.csv", "unknown-source"), (".", "unknown-source"), ("tree", "missing-round")]
)
def test_sources_that_are_none_are_told(store, tmp_path, monkeypatch, source, slug):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree" / "closed").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        import_results(CONTEXT, ImportRequest(sources=(source,), store=store))
    assert caught.value.slug == slug
    assert not store.exists()


def test_a_folder_with_marks_of_patterns_in_its_name_is_a_folder(tmp_path):
    store = tmp_path / "it's [a] store*?"
    import_results(CONTEXT, ImportRequest(sources=(str(TABLES / "report-v5.1.json"),), store=store))
    assert rows(store, "SELECT count(*) FROM results") == ((12,),)


# -- query -------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_query_reads_and_says_whether_there_is_more(put, store):
    put("report-v5.1.json")
    answer = ask(Database(store), "SELECT benchmark, result, accuracies FROM results ORDER BY result DESC", limit=2)
    assert answer.columns == ("benchmark", "result", "accuracies")
    assert answer.rows[0][:2] == ("llama2-70b-99.9", 169197.0)
    assert answer.rows[0][2]["ROUGE1"] == pytest.approx(44.4, abs=0.5)
    assert answer.more
    assert not ask(Database(store), "FROM results", limit=12).more


def test_a_query_can_do_nothing_but_read_the_store(put, store, tmp_path):
    put("report-v5.1.json")
    before, out = state(store), tmp_path / "out"
    request = {"parquet": str(Database(store).parquet()), "limit": 10, "memory_mb": 256}
    for sql in (
        f"COPY results TO '{out}'",
        f"ATTACH '{out}'",
        f"EXPORT DATABASE '{out}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '9GB'",
        "PRAGMA database_list",
        "DROP VIEW results",
        "CREATE TABLE x AS FROM results",
        f"SELECT 1; COPY results TO '{out}'",
        "",
    ):
        assert "refused" in worker.answer(request | {"sql": sql}), sql
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x')",
        f"SELECT * FROM read_parquet('{out}')",
        "SELECT * FROM request",
        "SELECT getenv('HOME')",
        "SELECT nothing FROM results",
        "SELEC",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    ):
        assert "error" in worker.answer(request | {"sql": sql}), sql
    assert not out.exists()
    assert state(store) == before


@pytest.mark.processes
def test_a_query_that_writes_or_grows_is_told_in_one_line(put, store):
    put("report-v5.1.json")
    for sql, slug in (
        ("COPY results TO 'x'", "query-not-reading"),
        ("SELECT nothing FROM results", "bad-query"),
        ("SELECT repeat('x', 1500000000)", "bad-query"),
    ):
        with pytest.raises(MlorchError) as caught:
            ask(Database(store), sql, memory_mb=256)
        assert (caught.value.slug, "\n" in caught.value.message) == (slug, False)


@pytest.mark.processes
def test_an_answer_that_would_fill_the_memory_of_whoever_asked_is_told(put, store):
    put("report-v5.1.json")
    with pytest.raises(UsageError, match="characters, more than 67,108,864"):
        ask(Database(store), "SELECT repeat(chr(1), 3000000) FROM range(5)")


def test_ctrl_c_in_a_query_is_no_fault_of_ours(put, store, monkeypatch):
    put("report-v5.1.json")
    monkeypatch.setattr(queries, "TIMEOUT_S", 1)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            rows(store, "SELECT count(*) FROM range(1000000000000)")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.processes
def test_a_query_that_does_not_end_is_ended(put, store):
    put("report-v5.1.json")
    with pytest.raises(StepFailed) as caught:
        ask(Database(store), "SELECT count(*) FROM range(1000000000000)", timeout_s=1)
    assert caught.value.slug == "query-time"


@pytest.mark.processes
def test_no_module_of_the_working_folder_is_run_by_a_query(put, store, tmp_path, monkeypatch):
    put("report-v5.1.json")
    (tmp_path / "duckdb.py").write_text("raise SystemExit('run')\n")
    (tmp_path / "json.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(tmp_path)
    assert ask(Database(store), "SELECT 1").rows == ((1,),)


def test_cells_that_a_spreadsheet_would_take_for_formulas_are_texts_on_export():
    cells = ("=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx", "plain", -1.5, None)
    text = csv_text(Answer(columns=tuple("abcdefghi"), rows=(cells,)))
    _, line = csv.reader(io.StringIO(text, newline=""))
    assert line == [*("'=HYPERLINK(1)", "'+1", "'-1", "'@x", "\\tx", "\\x0dx", "plain", "-1.5", "")]


# -- list, top, compare ------------------------------------------------------------------


def test_a_condition_lists_and_says_of_which_rounds(put, store):
    put("summary-v3.0.csv", "report-v5.1.json")
    listed = list_store("power IS NOT NULL", store, last=2)
    assert (len(listed.results), listed.total) == (2, rows(store, "SELECT count(power) FROM results")[0][0])
    assert listed.rounds == ("v5.1",), "the newest first"
    assert list_store("benchmark = 'none' -- and no more", store, last=None).total == 0
    for where in ("1) FROM results; COPY results TO 'x'; SELECT (1", "nothing = 1", "1 +"):
        with pytest.raises(UsageError):
            list_store(where, store, last=2)


def test_top_is_the_published_row(put, store):
    """MLCommons' table of v5.1, closed, llama2-70b-99.9 Offline: its six highest."""
    put("report-v5.1.json")
    top = top_results(Ranking(benchmark="llama2-70b-99.9", scenario="offline", number=6), store)
    published = [
        one for one in json.loads((TABLES / "report-v5.1.json").read_text()) if one["Model"] == "llama2-70b-99.9"
    ]
    published.sort(key=lambda one: -one["Performance_Result"])
    assert [(one["rank"], one["organization"], one["system"], one["result"]) for one in top.results] == [
        (rank, one["Submitter"], one["System"], one["Performance_Result"]) for rank, one in enumerate(published, 1)
    ]
    first = top.results[0]
    assert (first["organization"], first["result"], first["unit"]) == ("MangoBoost", 169197.0, "tokens/s")
    assert (first["nodes"], first["accelerators"], first["accuracy"]) == (6, 48, 44.4439)


def test_top_for_each_accelerator_and_watt(put, store):
    put("report-v5.1.json")
    best = top_results(Ranking(benchmark="llama2-70b-99.9", per="accelerator"), store).results
    assert best[0]["value"] == pytest.approx(102909 / 8), "MangoBoost has 48 accelerators, Lenovo 8"
    (watt,) = top_results(Ranking(benchmark="llama2-70b-99.9", per="watt"), store).results
    assert watt["value"] == pytest.approx(102909.0 / 10400.9988793425)
    with pytest.raises(MlorchError) as caught:
        top_results(Ranking(benchmark="llama3.1-8b", per="watt"), store)
    assert caught.value.slug == "no-store-results"


def test_top_of_latencies_has_the_lowest_first(put, store):
    put("report-v5.1.json")
    found = top_results(Ranking(benchmark="resnet", scenario="SingleStream"), store).results
    assert [one["result"] for one in found] == [7.627156, 7.723911, 8.79726, 11.589301]


def test_top_mixes_no_rounds_and_no_units_unless_it_is_told_to(put, store):
    put("summary-v4.1.csv", "report-v5.1.json")
    top = top_results(Ranking(benchmark="llama2-70b-99.9", division="all"), store)
    assert (top.round, top.rounds) == ("v5.1", ("v4.1", "v5.1"))
    assert {one["round"] for one in top.results} == {"v5.1"}
    mixed = top_results(Ranking(benchmark="llama2-70b-99.9", division="all", round="all"), store)
    assert {one["round"] for one in mixed.results} == {"v4.1", "v5.1"}
    assert {one["unit"] for one in mixed.results if one["rank"] == 1} == {"tokens/s"}
    with pytest.raises(UsageError, match="in the round `v9"):
        top_results(Ranking(benchmark="llama2-70b-99.9", round="v9.9"), store)
    with pytest.raises(UsageError) as caught:
        top_results(Ranking(benchmark="lama2-70b-99.9"), store)
    assert "llama2-70b-99.9" in caught.value.hint


def test_invalid_runs_are_in_no_ranking(store, tmp_path):
    runs = Store(tmp_path / "results")
    add_run(runs, "server-invalid", 0)
    add_run(runs, "server", 1)
    import_results(CONTEXT, ImportRequest(sources=(str(runs.root),), store=store))
    (only,) = top_results(Ranking(benchmark="image-fashion", division=""), store).results
    assert only["key"].startswith("run/20261124T0141")
    assert rows(store, "SELECT count(*) FROM results WHERE scenario = 'Server'") == ((2,),)


def test_two_systems_are_compared_by_direction_and_their_rounds_are_told(put, store):
    put("report-v5.1.json", "summary-v4.1.csv")
    platforms = [
        key for (key,) in rows(store, "SELECT key FROM results WHERE scenario = 'SingleStream' AND round = 'v5.1' "
                               "ORDER BY result")
    ]  # fmt: skip
    fast, slow = platforms[0], platforms[-1]
    compared = compare_store(f"store:{fast}", f"store:{slow}", store, tolerance=0.05)
    figure = compared.pairs[0].figures[0]
    assert (figure.verdict, figure.was, figure.now) == ("worse", 7.627156, 11.589301)
    assert (
        compare_store(f"store:{slow}", f"store:{fast}", store, tolerance=0.05).pairs[0].figures[0].verdict == "better"
    )
    assert compared.rounds == ("v5.1",)
    with pytest.raises(UsageError) as caught:
        compare_store("store:v5.1/closed", f"store:{slow}", store, tolerance=0.05)
    assert caught.value.slug == "ambiguous-store-name"


def test_the_store_without_its_library_says_what_to_install(put, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(StepFailed) as caught:
        put("report-v5.1.json")
    assert caught.value.slug == "missing-package"
    assert "mlorch[store]" in caught.value.hint
    assert not store.exists()
