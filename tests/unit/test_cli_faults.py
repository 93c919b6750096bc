"""Whatever goes wrong: one located message, one JSON document that agrees with the exit status, no half output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from orchestrator.cli import COMMANDS, cli, run
from orchestrator.console import Console
from orchestrator.errors import Problem
from orchestrator.results.summary import COLUMNS, DROP, EITHER, RIGHT


def error_of(capsys) -> dict[str, object]:
    """The error of the one JSON document on stdout."""
    return json.loads(capsys.readouterr().out)["error"]


LINES = [
    "nonsense --json",
    "images nonsense --json",
    "build --json --bogus",
    "build --json --target nope",
    "run --json --scenario Nope",
    "plan --json --recipes /not/there",
    "plan --json --recipes https://host.example/repo",
    "results show --json nope",
    "results verify --json",
    "results list --json -o {file}",
    "render --json -o /proc/nope",
    "run --json -o /not/there/results",
]


@pytest.mark.parametrize("line", LINES)
def test_every_failure_is_one_json_document_with_the_exit_status(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    status = run(line.format(file=tmp_path / "file").split())
    found = error_of(capsys)
    assert found["exit_code"] == status != 0
    assert found["slug"] not in {"", "bug"}
    assert found["message"]


@pytest.mark.parametrize(
    ("raised", "status", "slug"),
    [
        (ZeroDivisionError("oops"), 70, "bug"),
        (OSError(28, "No space left on device", "/full/disk"), 1, "system"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_no_command_expects_is_told_in_json_too(raised, status, slug, monkeypatch, capsys):
    def fail(*_args, **_kwargs):
        raise raised

    monkeypatch.setattr(cli, "main", fail)
    assert run(["plan", "--json"]) == status
    found = error_of(capsys)
    assert (found["slug"], found["exit_code"]) == (slug, status)
    if slug == "system":
        assert found["message"] == "/full/disk: No space left on device"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command, capsys):
    assert run([command, "--help"]) == 0
    assert "Usage: mlorch" in capsys.readouterr().out


def test_render_replaces_and_makes_folders_but_tells_where_it_cannot(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["render", "--target", "cpu", "-o", str(tmp_path / "file" / "below")]) != 0
    assert "file" in capsys.readouterr().err
    for _ in range(2):
        assert run(["render", "--target", "cpu", "-o", str(tmp_path / "a/b")]) == 0
    assert list((tmp_path / "a/b").rglob("Dockerfile"))


def test_an_include_that_leads_out_is_refused_where_it_stands(tmp_path, capsys):
    (tmp_path / "outside.j2").write_text("secret")
    mine = tmp_path / "mine"
    (mine / "layers").mkdir(parents=True)
    (mine / "dockerfiles").mkdir()
    (mine / "layers/benchmark.yaml").write_text(
        "kind: layer\nname: benchmark\ntitle: mine\nlevel: benchmark\ntemplate: mine.j2\n"
    )
    (mine / "dockerfiles/mine.j2").write_text('FROM {{ parent }}\n\n{% include "evil.j2" %}\n')
    (mine / "dockerfiles/evil.j2").symlink_to(tmp_path / "outside.j2")
    assert run(["render", "--target", "cpu", "--recipes", str(mine)]) == 3
    said = capsys.readouterr()
    assert f"{mine}/dockerfiles/mine.j2:3:1: error: " in said.err
    assert "secret" not in said.out + said.err


# -- what people see -----------------------------------------------------------------------


def test_a_table_too_wide_for_the_terminal_becomes_a_block_a_row(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    name = "20261124T030954Z-image-smoke-cpu-singlestream-performance-ea08"
    Console().table(("run", "result", "verdict"), [(name, "1 ms", "[bold red]INVALID[/]")], title="all", right=(1,))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert f"run      {name}" in lines
    assert "result   1 ms" in lines


def test_a_table_a_little_too_wide_breaks_its_text_between_words(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "54")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    why = "no accelerator of this vendor was found here"
    Console().table(("target", "rate", "why"), [("a-long-name", "1,000 samples/s", why)], right=(1,))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert all(len(line) <= 54 for line in lines if "\x1b" not in line)  # the heading is bold
    row = next(index for index, line in enumerate(lines) if line.startswith(" a-long-name   1,000 samples/s   "))
    assert " ".join(" ".join(line[33:] for line in lines[row:]).split()) == why


def test_a_table_without_room_does_without_the_columns_that_matter_least(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    values = ("image-fashion", "SingleStream", "performance", "43,071 samples/s", "5.868 s", "10.47 s", "11.50 s")
    row = (*values, "91.54 % of 10,000", "[green]INVALID[/]")
    Console().table(COLUMNS, [row], right=RIGHT, drop=DROP)
    told = capsys.readouterr()
    lines = [line.rstrip() for line in told.out.splitlines()]
    assert max(map(len, (line for line in lines if "\x1b" not in line))) <= 100
    (shown,) = [line for line in lines if "image-fashion" in line]
    assert "43,071 samples/s" in shown
    assert "91.54 % of 10,000" in shown
    assert "11.50 s" not in shown
    assert "left out, as there is no room: p50, p90, p99" in told.err
    monkeypatch.setenv("COLUMNS", "130")
    Console().table(COLUMNS, [row], right=RIGHT, drop=DROP)
    told = capsys.readouterr()
    assert "5.868 s" in told.out
    assert "left out" not in told.err


def test_a_column_without_a_value_goes_first_and_is_not_missed(monkeypatch, capsys):
    """Its place in the order of what matters least counts for columns that say something."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    Console().table(("name", "first to go", "empty column"), [("a-name-of-width", "12.5 seconds", "–")], drop=(1, 2))
    told = capsys.readouterr()
    assert "12.5 seconds" in told.out
    assert "empty" not in told.out
    assert "left out" not in told.err


def test_the_results_of_a_run_are_a_table_at_eighty_columns(monkeypatch, capsys):
    """A test has a result or an accuracy, so that one column is enough for both; nothing of either is lost."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    right = ("image-fashion", "Offline", "accuracy", "–", "–", "–", "–", "91.54 % of 10,000", "[green]PASSED[/]")
    fast = ("image-fashion", "SingleStream", "performance", "11,618 samples/s", "21.09 s", "34.97 s", "37.73 s", "–")
    Console().table(COLUMNS, [right, (*fast, "VALID")], right=RIGHT, drop=DROP, either=EITHER)
    told = capsys.readouterr()
    rows = [line.split() for line in told.out.splitlines() if "image-fashion" in line]
    assert rows[0][:6] == ["image-fashion", "Offline", "accuracy", "91.54", "%", "of"]
    assert rows[1] == ["image-fashion", "SingleStream", "performance", "11,618", "samples/s", "VALID"]
    assert "left out, as there is no room: p50, p90, p99" in told.err
    Console().table(COLUMNS, [right, (*fast, "VALID, disturbed")], right=RIGHT, drop=DROP, either=EITHER)
    told = capsys.readouterr()
    (row,) = [line for line in told.out.splitlines() if "11,618 samples/s" in line]
    assert row.split() == ["image-fashion", "SingleStream", "performance", "11,618", "samples/s", "VALID,"]
    assert "disturbed" in told.out


def test_a_block_has_no_line_for_what_has_no_value(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    Console().table(("run", "result", "verdict"), [("a-name-wider-than-thirty-columns", "–", "")])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line] == [["run", "a-name-wider-than-thirty-columns"]]


EVIL = "a\x1b]0;title\x07\x9b31m\rb\u202ec [/nothing] [bold magenta]d[/]"


def test_what_others_wrote_commands_no_terminal(capsys):
    console = Console()
    console.say(EVIL)
    console.warn(EVIL)
    console.result(EVIL)
    console.facts([("label", EVIL)])
    console.problem(Problem(slug="x", message=EVIL, hint=EVIL))
    console.table(("run", "why"), [(EVIL, EVIL)], title=EVIL)
    console.document({"text": EVIL})
    told = capsys.readouterr()
    for shown in (told.out, told.err):
        assert shown
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
        assert "[/nothing] [bold magenta]d" in shown
    document = json.loads(told.out[told.out.index("{") :])
    assert document == {"text": EVIL}


def test_a_table_knows_its_own_marks_only(capsys, monkeypatch):
    """A backslash before a bracket must not make a mark of what is none: of a link, of letters that nobody sees."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    evil = r"\[link=http://evil.example]good\[/] \\[conceal]bad"
    Console().table(("run", "why"), [(evil, "[red]INVALID[/]"), ("[/]", "a\\[/]")])
    shown = capsys.readouterr().out
    assert evil in shown
    assert "\x1b]8;" not in shown
    assert "\x1b[31mINVALID\x1b[0m" in shown
    assert "[/]" in shown


def test_what_others_wrote_moves_no_line_of_progress(monkeypatch):
    from rich.progress import TextColumn

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("CI", raising=False)
    console = Console()
    with console.progress() as progress:
        task = progress.add_task("[1/2] test", total=None, note=EVIL)
        rendered = [str(column(progress.tasks[0])) for column in progress.columns if isinstance(column, TextColumn)]
    assert task == 0
    assert "[1/2] test" in rendered
    assert any("[/nothing]" in text and "\x1b" not in text for text in rendered)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_line_of_progress_has_room_for_its_time_and_for_what_is_left(monkeypatch, columns):
    import io

    from rich.console import Console as RichConsole

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("CI", raising=False)
    console, out = Console(), io.StringIO()
    console._rich = RichConsole(file=out, force_terminal=True, width=columns, color_system=None)
    with console.progress() as progress:
        title = "[1/6] image-smoke Offline performance duration=4s scenarios.Offline.batch=1"
        progress.add_task(title, total=100, completed=62, note="6,181 samples/s, 57 s left")
        progress.add_task("[2/2] image-fashion Offline performance", total=100, completed=9, note="starting")
        progress.refresh()
    lines = [line for line in out.getvalue().splitlines() if "[1/6] image-smoke" in line]
    assert lines
    assert all(" 62% 0:00:0" in line and "6,181 samples/s, 57 s" in line for line in lines), lines


def test_long_facts_break_between_words_where_the_width_is_known(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = [("a", "short"), ("long-label", "what it says is longer than this terminal is wide")]
    Console().facts(lines)
    assert capsys.readouterr().out.splitlines()[1] == f"  long-label  {lines[1][1]}"
    monkeypatch.setenv("COLUMNS", "40")
    Console().facts(lines)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "  a           short"
    assert all(len(line) <= 40 for line in shown)
    assert " ".join(" ".join(shown[1:]).split()) == " ".join(lines[1])


def test_a_group_tells_the_whole_first_sentence_of_each_command(capsys):
    for group in ("targets", "results", "engine", "recipes", "assets", "benchmarks", "images"):
        assert run([group, "--help"]) == 0
        assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_a_table_that_fits_stays_a_table(capsys):
    Console().table(("run", "result"), [("a", "1 ms")], right=(1,))
    assert "run   result" in capsys.readouterr().out


def test_a_closed_pipe_is_left_to_the_command_line(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(BrokenPipeError):
            Console().table(("a",), [("b" * 200_000,)])
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), closed.fileno())


def _a_process(line: str, **options):
    command = [sys.executable, "-m", "orchestrator", *line.split()]
    return subprocess.run(command, check=False, timeout=60, stderr=subprocess.PIPE, **options)


@pytest.mark.processes
@pytest.mark.parametrize("line", ["--help", "targets list", "targets list --json"])
def test_a_closed_stdout_is_talk_to_nobody(line, tmp_path):
    done = _a_process(line, cwd=tmp_path, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.processes
def test_a_terminal_of_another_encoding_gets_what_it_can_show(tmp_path):
    """In a locale of Latin-1 a dash of ours must not end the command."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = _a_process("benchmarks list --json", cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert json.loads(done.stdout)["benchmarks"]


def test_commands_that_take_benchmarks_as_an_option_say_so(capsys):
    assert run(["images", "bundle", "-o", "x.tar", "image-smoke", "--json"]) == 2
    assert error_of(capsys)["hint"] == "benchmarks are named with --benchmark; see `mlorch images bundle --help`"
    assert run(["results", "list", "results/x", "--json"]) == 2
    assert error_of(capsys)["hint"] == "a folder of results is named with -o; see `mlorch results list --help`"
    assert run(["engine", "status", "image-smoke", "--json"]) == 2
    assert error_of(capsys)["hint"] == "see `mlorch engine status --help`"


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("run --json --target", "run"),
        ("run --json --find=yes", "run"),
        ("results list --json --last", "results list"),
        ("--json=x", ""),
    ],
)
def test_an_option_with_too_few_or_too_many_values_names_the_help_of_its_command(line, command, capsys):
    assert run([*line.split(), *(["--json"] if "=x" in line else [])]) == 2
    assert error_of(capsys)["hint"] == f"see `{' '.join(['mlorch', *command.split()])} --help`"


@pytest.mark.parametrize(
    ("word", "line"), [("help", "mlorch --help"), ("version", "mlorch --version"), ("images help", "mlorch --help")]
)
def test_what_other_programs_have_as_a_command_is_told_as_the_option(word, line, capsys):
    assert run([*word.split(), "--json"]) == 2
    assert error_of(capsys)["hint"].startswith(f"write `{line}`")


def test_lists_of_recipes_are_tables_at_eighty_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for line in ("recipes list", "benchmarks list", "assets list"):
        assert run(line.split()) == 0
        told = capsys.readouterr()
        assert any(set(row.strip()) == {"─"} for row in told.out.splitlines()), line  # the rule below the heading
        assert "left out, as there is no room" in told.err
