"""`mlorch results import`, `query`, `top`, `list --where` and `compare store:…`, as a person and a program use them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import cli

TABLES = Path(__file__).parents[1] / "fixtures" / "tables"


@pytest.fixture
def mlorch(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))

    def run(*arguments):
        code = cli.run(["results", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store of two rounds, imported once."""
    home = tmp_path_factory.mktemp("home")
    sources = [str(TABLES / name) for name in ("summary-v4.1.csv", "report-v5.1.json")]
    store = home / "data" / "results-store"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLORCH_HOME", str(home))
        assert cli.run(["results", "import", "--store", str(store), *sources]) == 0
    return home


@pytest.fixture
def filled(mlorch, home, tmp_path):
    shutil.copytree(home, tmp_path / "home")
    return mlorch


def test_import_says_what_came_in_and_what_was_joined(mlorch):
    code, out, err = mlorch("import", TABLES / "summary-v3.0.csv")
    assert code == 0
    assert "summary-v3.0.csv: 10 results (summary; v3.0)" in out
    assert out.splitlines()[-1].endswith("results-store: 10 results")
    assert "power joined to 4 results" in err
    code, out, _ = mlorch("import", "--json", TABLES / "summary-v5.1.csv")
    (one,) = json.loads(out)["imports"]
    assert (one["kind"], one["rows"], one["results"], one["power_joined"]) == ("summary", 14, 12, 2)


def test_a_wrong_table_is_told_with_file_and_line(mlorch, tmp_path):
    text = (TABLES / "summary-v5.1.csv").read_text(encoding="utf-8")
    (tmp_path / "t.csv").write_text(text + "short,row\n")
    code, _, err = mlorch("import", "t.csv")
    assert code == 1
    assert f"{tmp_path}/t.csv:16:1: error: row 16: it has 2 cells" in err
    assert "[table-row]" in err
    code, out, _ = mlorch("import", "--json", "t.csv")
    assert json.loads(out)["error"]["line"] == 16


def test_top_has_a_table_for_each_scenario_and_names_its_round(filled):
    code, out, err = filled("top", "-b", "llama2-70b-99.9", "-n", "2")
    assert code == 0
    assert "llama2-70b-99.9 Offline, by result (tokens/s)" in out
    lines = [line.split() for line in out.splitlines() if "v5.1" in line]
    assert [line[:3] for line in lines] == [["1", "v5.1", "MangoBoost"], ["2", "v5.1", "Cisco"]]
    assert "169,197.00" in out
    assert "of round v5.1; --round names another (v4.1), `--round all` mixes them" in err
    assert "of the division closed" in err
    document = json.loads(filled("top", "-b", "llama2-70b-99.9", "--json")[1])
    assert (document["round"], document["results"][0]["result"]) == ("v5.1", 169197.0)
    mixed = filled("top", "-b", "llama2-70b-99.9", "--round", "all", "--division", "all")[2]
    assert "of 2 rounds, whose rules differ: v4.1, v5.1" in mixed


def test_top_tells_what_is_not_as_it_was_published(filled):
    _, out, err = filled("top", "-b", "llama3.1-8b")
    assert "by result (tokens/s)" in out
    assert "not as it was published, for 1 of these: Queries/s over a rate of tokens" in err


def test_list_with_a_condition_has_the_round_of_each(filled):
    code, out, err = filled("list", "--where", "unit = 'tokens/s' AND accelerators > 8", "--last", "3")
    assert code == 0
    assert "169,197.00 tokens/s" in out
    assert err == ""
    code, _, err = filled("list", "--where", "has_power")
    assert (code, "[bad-query]" in err) == (2, True)
    assert filled("list", "--where", "true", "--valid")[0] == 2


def test_compare_of_the_store_warns_of_rounds(filled):
    code, out, err = filled("compare", "store:v5.1/closed/MangoBoost", "store:v5.1/closed/Cisco")
    assert code == 0
    assert "169,197.00 tokens/s" in out
    assert "-26.19 %" in out
    assert "worse" in out
    assert "rounds" not in err
    keys = json.loads(filled("list", "--where", "benchmark = 'llama2-70b-99.9' AND scenario = 'Offline'", "--json")[1])
    old = next(one["key"] for one in keys["results"] if one["round"] == "v4.1")
    code, out, err = filled("compare", "store:v5.1/closed/MangoBoost", f"store:{old}")
    assert "they are of different rounds (v4.1, v5.1), whose rules differ" in err
    assert filled("compare", "store:v5.1/closed/MangoBoost", "last")[0] == 2


@pytest.mark.processes
def test_a_query_is_a_table_a_document_or_a_file(filled, tmp_path):
    sql = "SELECT round, '=1+1' AS formula, count(*) AS results FROM results GROUP BY ALL ORDER BY round"
    code, out, _ = filled("query", sql)
    assert code == 0
    assert [line.split() for line in out.splitlines() if "=1+1" in line] == [
        ["v4.1", "=1+1", "7"],
        ["v5.1", "=1+1", "12"],
    ]
    document = json.loads(filled("query", sql, "--json")[1])
    assert document == {
        "columns": ["round", "formula", "results"],
        "rows": [["v4.1", "=1+1", 7], ["v5.1", "=1+1", 12]],
        "more": False,
    }
    assert filled("query", sql, "--csv", "out.csv", "--limit", "1")[2].startswith("warning: there are more than 1 rows")
    assert (tmp_path / "out.csv").read_text() == "round,formula,results\nv4.1,'=1+1,7\n"
    assert filled("query", sql, "--csv", "out.csv")[0] == 1, "what is there is not overwritten"


def test_a_scenario_that_nobody_has_is_answered_with_those_that_are_there(filled):
    for asked in (("-s", "Offlne"), ("--division", "opn")):
        code, _, err = filled("top", "-b", "llama2-70b-99.9", *asked)
        assert code == 5
        assert "there are closed: Offline" in err
    assert "the submitter is `organization`" in filled("list", "--where", "submitter = 'Dell'")[2]


def test_an_empty_store_says_how_to_fill_it(mlorch):
    code, _, err = mlorch("top", "-b", "resnet")
    assert code == 5
    assert "`mlorch results import FILE|URL|TREE|FOLDER`" in err
    assert mlorch("import")[0] == 2


@pytest.mark.processes
def test_neither_help_nor_a_listing_of_runs_imports_duckdb():
    program = (
        "import sys\nfrom orchestrator import cli\n"
        "cli.run(['--help']); cli.run(['results', '--help']); cli.run(['results', 'list', '-o', '/nowhere'])\n"
        "sys.exit('duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
