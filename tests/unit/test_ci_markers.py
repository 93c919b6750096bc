"""What a CI system reads in a log: its own commands from mlorch, and none from anybody else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ci import detect
from orchestrator.ci.markers import GitHub, GitLab, markdown, markdown_table
from orchestrator.cli import run
from orchestrator.console import Console
from orchestrator.errors import Problem, Span

GITHUB = GitHub(workspace="/home/runner/work/repo", folder="/home/runner/work/repo/sub")
EVIL = "a\n::error::b\r\n  ::add-mask::c\n##[command]d\x1b[31m\x1b[0Ksection_start:1:x\r\x1b[0Ky%0A"


def span(path: str) -> Span:
    return Span(path=path, line=3, column=5, end_line=3, end_column=9)


def commands(text: str) -> list[str]:
    """The lines that the runner of GitHub takes for commands."""
    return [line for line in re.split(r"[\r\n]", text) if line.strip().startswith("::") or "##[" in line]


def sections(text: str) -> list[str]:
    """What GitLab takes for the marks of sections."""
    return re.findall(r"section_(?:start|end):[0-9]+:[^\r\n]*\r\x1b\[0K", text)


def test_systems_are_known_by_their_environment():
    assert detect({}, "/") is None
    assert detect({"CI": "true"}, "/") is None
    assert isinstance(detect({"GITHUB_ACTIONS": "true"}, "/"), GitHub)
    assert isinstance(detect({"GITLAB_CI": "true"}, "/"), GitLab)


def test_a_fault_stands_at_its_place_in_the_repository():
    problem = Problem(slug="from-no-digest", message="no digest: 100%,\nreally", span=span("Dockerfile"), hint="do: it")
    assert GITHUB.annotation(problem) == (
        "::error file=sub/Dockerfile,line=3,col=5,title=mlorch%3A from-no-digest,endColumn=9"
        "::no digest: 100%25,%0Areally%0Ado: it"
    )
    warning = Problem(slug="x", message="m", span=span("/home/runner/work/repo/a,b:c.yaml"), level="warning")
    assert GITHUB.annotation(warning).startswith("::warning file=a%2Cb%3Ac.yaml,line=3,")
    for path in ("/usr/lib/python3/x.yaml", "../../other/x.yaml"):
        assert GITHUB.annotation(Problem(slug="x", message="m", span=span(path))) == "::error title=mlorch%3A x::m"


@pytest.mark.parametrize(("system", "read"), [(GITHUB, commands), (GitLab(), sections)])
def test_nobody_elses_text_becomes_a_command(system, read):
    problem = Problem(slug=EVIL, message=EVIL, span=span(EVIL), hint=EVIL)
    assert read(EVIL) != []
    assert read(system.plain(EVIL)) == []
    for line in (system.opening(EVIL, 1), system.closing(EVIL, 1)):
        assert "\n" not in line
        assert len(read(line)) == 1
    for text in (system.warning(EVIL), system.annotation(problem)):
        assert len(read(text)) <= 1


@given(st.text())
def test_no_text_at_all_becomes_a_command(text):
    assert commands(GITHUB.plain(text)) == []
    assert len(commands(GITHUB.warning(text))) == 1
    assert sections(GitLab().plain(text)) == []


@given(st.text(max_size=80))
def test_a_cell_stays_a_cell(text):
    table = markdown_table(text, (text, "b"), [(text, "c")], note=text)
    rows = [line for line in table.split("\n") if line.startswith("|")]
    assert len(rows) == 3
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3 for row in rows)
    assert not re.search(r"(?<!\\)[<\[`]", markdown(text).replace("\\\\", ""))


def in_ci(monkeypatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_parts_fold_and_end_before_the_next_begins(monkeypatch, capsys):
    in_ci(monkeypatch, GITHUB_ACTIONS="true")
    console = Console()
    console.open_fold("base: build")
    console.say("::set-output name=x::y")
    console.open_fold("runtime: build")
    console.close_fold()
    console.close_fold()
    assert capsys.readouterr().err.splitlines() == [
        "::group::base: build", ": :set-output name=x::y", "::endgroup::", "::group::runtime: build", "::endgroup::",
    ]  # fmt: skip


def test_sections_of_gitlab_have_one_name_and_times(monkeypatch, capsys):
    in_ci(monkeypatch, GITLAB_CI="true")
    console = Console()
    console.open_fold("[1/2] image-fashion Offline")
    console.close_fold()
    begin, end = capsys.readouterr().err.splitlines(keepends=False)[0], ""
    assert re.match(r"\x1b\[0Ksection_start:\d+:_1_2_image-fashion_Offline\[collapsed=true\]", begin)
    assert not end


@pytest.mark.parametrize("variables", [{}, {"CI": "true"}])
def test_outside_of_ci_nothing_of_it_is_written(monkeypatch, capsys, variables):
    in_ci(monkeypatch, **variables)
    assert run(["recipes", "show", "nothing-like-it"]) == 2
    assert "::" not in capsys.readouterr().err


def test_with_json_nothing_of_it_is_written(monkeypatch, capsys, tmp_path):
    in_ci(monkeypatch, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path / "s"))
    assert run(["recipes", "show", "nothing-like-it", "--json"]) == 2
    told = capsys.readouterr()
    assert "::error" not in told.err + told.out
    assert run(["recipes", "show", "nothing-like-it"]) == 2
    assert "::error title=mlorch%3A unknown-recipe::" in capsys.readouterr().err


def test_a_lint_finding_is_an_annotation_of_the_file(monkeypatch, capsys, tmp_path):
    in_ci(monkeypatch, GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(tmp_path))
    (tmp_path / "Dockerfile").write_text("FROM ubuntu\nUSER 1:1\n")
    assert run(["recipes", "lint", str(tmp_path / "Dockerfile")]) == 3
    assert "::error file=Dockerfile,line=1,col=6,title=mlorch%3A from-moving-tag," in capsys.readouterr().err


def test_a_summary_that_cannot_be_written_stops_nothing(monkeypatch, capsys, tmp_path):
    in_ci(monkeypatch, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path))
    Console().summary("text")
    assert "no summary" in capsys.readouterr().err
    place = tmp_path / "summary.md"
    in_ci(monkeypatch, GITHUB_STEP_SUMMARY=str(place))
    Console().summary("one\n")
    Console().summary("x" * 1_000_000)
    Console().summary("two\n")
    assert place.read_text() == "one\ntwo\n"
