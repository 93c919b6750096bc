"""`mlorch submission` and `api.submission`: what they print, write and return."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from submission_parts import RESNET, change_log, good_tree, write

from orchestrator import api
from orchestrator.cli import run
from orchestrator.errors import UsageError
from orchestrator.submissions.defects import DEFECTS


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    return good_tree(tmp_path / "tree")


def test_a_good_tree_exits_with_0(tree, capsys):
    assert run(["submission", "check", str(tree), "--round", "v5.1"]) == 0
    captured = capsys.readouterr()
    assert "4 results, 4 rows, 0 errors, 0 warnings: nothing would be refused" in captured.out
    assert captured.err.endswith(f"next: mlorch submission pack {tree} --round v5.1 -o submission.tar.gz\n")


def test_a_finding_is_a_line_with_its_place_its_rule_and_what_to_do(tree, capsys):
    change_log(tree, f"{RESNET}/Offline", effective_min_duration_ms=60000)
    assert run(["submission", "check", str(tree), "--round", "v5.1"]) == 1
    out = capsys.readouterr().out
    assert "mlorch submission pack" not in out
    where = f"{RESNET}/Offline/performance/run_1/mlperf_log_detail.txt"
    assert f"{where}: error: `effective_min_duration_ms` is 60,000; 600,000 is the least [min-duration]\n" in out
    assert "  = help: Set min_duration.\n" in out
    assert f"would be refused:\n  {RESNET}/Offline\n" in out


@pytest.mark.parametrize("form", [["--json"], ["--format", "json"]])
def test_json_is_one_document(tree, capsys, form):
    write(tree / "stray.txt", "x")
    assert run(["submission", "check", str(tree), "--round", "v5.1", *form]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["good"], document["results"], document["rows"]) == (False, 4, 4)
    assert document["rules"] == {"root-files": 1}
    (found,) = document["findings"]
    assert set(found) == {"rule", "level", "official", "path", "message", "hint"}
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--skip", "root-files", *form]) == 0


def test_the_summary_is_written(tree, tmp_path):
    path = tmp_path / "out" / "summary.csv"
    assert run(["submission", "summary", str(tree), "--round", "v5.1", "--csv", str(path)]) == 0
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["Location"] for row in rows} >= {f"{RESNET}/Offline", f"{RESNET}/SingleStream"}
    other = tmp_path / "other.csv"
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--csv", str(other)]) == 0
    assert other.read_text() == path.read_text()


REFUSED = [
    (["--round", "v9"], 2, "unknown-round"),
    (["--round", "v5.1", "--skip", "root-file"], 2, "unknown-rule"),
    (["--round", "v5.1", "--submitter", "../Acme"], 2, "no-submitter"),
]


@pytest.mark.parametrize(("options", "status", "slug"), REFUSED)
def test_what_cannot_be_meant_is_refused(tree, capsys, options, status, slug):
    assert run(["submission", "check", str(tree), *options]) == status
    assert f"[{slug}]" in capsys.readouterr().err


def test_a_folder_without_a_submission_is_told(tmp_path, tree, capsys):
    assert run(["submission", "check", str(tmp_path / "nowhere"), "--round", "v5.1"]) == 2
    (tmp_path / "empty").mkdir()
    assert run(["submission", "check", str(tmp_path / "empty"), "--round", "v5.1"]) == 5
    err = capsys.readouterr().err
    assert "[no-tree]" in err
    assert "[no-results]" in err


def test_the_api_gives_the_same_document(tree, capsys):
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--json"]) == 0
    assert api.submission.check(tree, round="v5.1") == json.loads(capsys.readouterr().out)
    assert api.submission.summary(tree, round="v5.1", submitter="Acme").count("\n") == 5
    with pytest.raises(UsageError):
        api.submission.check(tree, round="v5.1", skip=["nothing"])
    with pytest.raises(TypeError):
        api.submission.check(tree, round="v5.1", sumbitter="Acme")


def test_the_docs_list_every_defect():
    page = (Path(__file__).parents[3] / "docs" / "submission.md").read_text()
    for defect in DEFECTS:
        assert f"| `{defect.id}` | {defect.official} | {defect.here}" in page


def test_the_summary_is_a_page_too_that_needs_nothing_and_runs_nothing(tree, tmp_path, capsys):
    change_log(tree, f"{RESNET}/Offline", effective_min_duration_ms=60000)
    write(tree / "closed/Acme/results/box/resnet/Offline/measurements.json", "{}")
    evil = tree / "open/Acme/systems/rack.json"
    evil.write_text(evil.read_text().replace('"The rack"', '"</td><script>x</script>"'))
    page = tmp_path / "out" / "page.html"
    assert run(["submission", "summary", str(tree), "--round", "v5.1", "--html", str(page)]) == 1
    text = page.read_text()
    assert not re.search("<script|https?://|src=|@import|url\\(", text)
    rows = re.findall(r"<tr data-.*?</tr>", text, re.DOTALL)
    assert len(rows) == 4
    (refused,) = [row for row in rows if "refuse it" in row]
    assert "60,000; 600,000 is the least" in refused
    options = dict(
        re.findall(r'<option value="(\d)">(\w+)</option>', text.partition('id="division"')[2].partition("</select>")[0])
    )
    assert set(options.values()) == {"all", "closed", "open"} - {"all"}
    for number, division in options.items():
        assert f'body:has(#division option[value="{number}"]:checked)' in text
        assert len([row for row in rows if f'data-division="{number}"' in row]) == {"closed": 3, "open": 1}[division]


def test_a_summary_goes_somewhere(tree, capsys):
    assert run(["submission", "summary", str(tree), "--round", "v5.1"]) == 2
    assert "--html FILE" in capsys.readouterr().err
