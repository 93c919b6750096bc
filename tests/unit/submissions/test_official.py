"""The official checker beside ours: what it is given, how what it says is read, and what explains each difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from submission_parts import LLAMA, RESNET, change_log, check, good_tree, rules

from orchestrator import api
from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.engines.model import ContainerExit
from orchestrator.operations import build as building
from orchestrator.operations.context import Context
from orchestrator.submissions.official.compare import side_by_side
from orchestrator.submissions.official.container import checker_command, checker_container
from orchestrator.submissions.official.said import MOST_ERRORS, Listener
from orchestrator.submissions.rows import summary_text

OFFLINE = f"{RESNET}/Offline"
DEPTH = 6


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    return good_tree(tmp_path / "tree")


GOOD = "[2026-11-29 05:25:43,280 submission_checker.py:3540 INFO] SUMMARY: submission looks OK\n"


def said(checked, *lines: str, exit_code: int = 0, summary: str | None = ""):
    """What an official checker says whose summary is that of our check with its defects kept."""
    listener = Listener(depth=DEPTH)
    for path in checked.refused:
        listener.line(logged(f"NoResults {path}"))
    for text in lines:
        listener.line(text)
    listener.line(GOOD)
    text = summary_text(checked.columns, checked.rows, as_official=checked.form) if summary == "" else summary
    return listener.said(exit_code, text)


def logged(message: str, level: str = "ERROR") -> str:
    return f"[2026-11-29 05:25:43,280 submission_checker.py:1482 {level}] {message}\n"


# -- what it is given ----------------------------------------------------------------------


def test_each_round_starts_its_own_checker():
    old, new = rules("v5.1").checker.program, rules("v6.1").checker.program
    assert checker_command(old, "/opt/x", "v5.1", submitter="Acme", skip=("root-files", "seeds")) == (
        *("python3", "/opt/x/tools/submission/submission_checker.py", "--input", ".", "--version", "v5.1"),
        *("--csv", "/out/summary.csv", "--submitter", "Acme", "--skip-extra-files-in-root-check"),
    )
    assert checker_command(new, "/opt/x", "v6.1")[1] == "/opt/x/tools/submission/submission_checker/main.py"


@pytest.mark.parametrize("name", ["v3.0", "v4.1", "v5.0", "v5.1", "v6.0", "v6.1"])
def test_the_image_of_a_round_has_its_checker_at_its_commit(name):
    program = rules(name).checker.program
    (source,) = load([builtin_root()]).layer(program.layer).definition.git
    assert (source.url, source.ref) == (program.repository, program.commit)
    assert any(program.path.startswith(path) for path in source.paths)


def test_it_sees_the_tree_and_cannot_change_it():
    spec = checker_container("n", "i", ("c",), "65534:65534", tree="/t", out="/o", owner="x")
    assert [(mount.source, mount.read_only) for mount in spec.mounts] == [("/t", True), ("/o", False)]
    assert (spec.network, spec.read_only, spec.capabilities, spec.devices) == ("none", True, (), ())


# -- what it says --------------------------------------------------------------------------


def test_its_log_is_read_line_by_line():
    listener = Listener(depth=DEPTH)
    listener.line(logged("./closed/A/results/b/resnet/Offline has errors"))
    listener.line(logged("all is well", "INFO"))
    listener.line(logged("NoResults ./closed/A/results/b/resnet/Offline/performance/run_1/x.txt"))
    listener.line(logged("NoResults closed/A/results/b/resnet"))
    listener.line(logged("SUMMARY: submission has errors"))
    listener.line("Traceback \x1b]0;x\x07\n")
    found = listener.said(1, None, "its summary is missing")
    assert found.errors == ("closed/A/results/b/resnet/Offline has errors",)
    assert found.refused == {"closed/A/results/b/resnet/Offline", "closed/A/results/b/resnet"}
    assert found.tail[-1] == "Traceback \\x1b]0;x\\x07"
    assert (found.ended, found.good, found.why) == (False, False, "its summary is missing")


def test_what_it_says_without_end_is_bounded():
    listener = Listener(depth=DEPTH)
    for number in range(MOST_ERRORS + 7):
        listener.line(logged(f"{number} " + "x" * 100))
    listener.line(logged("y" * 1_000_000))
    found = listener.said(1, "Location\n")
    assert (len(found.errors), found.more_errors, len(found.tail)) == (MOST_ERRORS, 8, 20)
    assert max(map(len, found.tail)) <= 2000


@pytest.mark.parametrize("summary", ["", "x,y\n", 'Location\n"' + "x" * 200_000])
def test_a_summary_that_is_none_is_no_verdict(tree, summary):
    listener = Listener(depth=DEPTH)
    listener.line(GOOD)
    found = listener.said(0, summary)
    assert not found.ended
    assert found.why
    checked = check(tree)
    assert side_by_side(checked, checked, found, DEPTH).differences == ()


# -- side by side --------------------------------------------------------------------------


def test_two_that_agree_have_nothing_between_them(tree):
    checked = check(tree, official=True)
    beside = side_by_side(check(tree), checked, said(checked), DEPTH)
    assert (beside.rows_alike, beside.refused_alike, beside.differences) == (4, 0, ())


def test_a_result_that_only_we_refuse_is_explained_by_a_known_defect(tree):
    change_log(tree, OFFLINE, early_stopping_met=False, early_stopping_result="no")
    change_log(tree, f"{RESNET}/SingleStream", early_stopping_met=False, result_validity="VALID")
    kept = check(tree, official=True)
    ours = check(tree)
    assert not kept.refused
    assert ours.refused
    beside = side_by_side(ours, kept, said(kept), DEPTH)
    assert beside.unexplained == ()
    found = {(one.what, one.whose, one.path, one.why[0]) for one in beside.differences}
    assert ("row", "theirs", f"{RESNET}/SingleStream", "early-stopping-told") in found
    assert ("refused", "ours", f"{RESNET}/SingleStream", "early-stopping-told") in found


def test_another_value_that_nothing_explains_is_told_with_both(tree):
    kept = check(tree, official=True)
    text = summary_text(kept.columns, kept.rows, as_official=kept.form)
    theirs = said(kept, summary=text.replace(",1234.5,", ",1234.0,"))
    (one,) = side_by_side(check(tree), kept, theirs, DEPTH).unexplained
    assert (one.what, one.whose, one.path, one.values) == ("row", "both", OFFLINE, (("Result", "1234.5", "1234.0"),))


def test_a_summary_that_names_folders_of_results_is_compared_by_the_results(tree):
    kept = check(tree, official=True)
    text = summary_text(kept.columns, kept.rows, as_official=kept.form)
    text = text.replace(f"{RESNET}/", f"./{RESNET}/").replace("/Offline,", "/Offline/performance/run_1,")
    beside = side_by_side(check(tree), kept, said(kept, summary=text), DEPTH)
    assert (beside.rows_alike, beside.differences) == (4, ())


def test_a_model_that_is_refused_as_a_whole_is_what_refuses_each_of_its_results(tree):
    (tree / LLAMA).rename((tree / LLAMA).with_name("unheard-of"))
    ours = check(tree)
    place = LLAMA.replace("llama2-70b-99", "unheard-of")
    assert ours.refused == (place,)
    kept = check(tree, official=True)
    theirs = said(replace(kept, refused=(f"{place}/Offline",)), exit_code=1)
    beside = side_by_side(ours, kept, theirs, DEPTH)
    assert (beside.refused_alike, beside.differences) == (1, ())


def test_a_refusal_that_only_they_have_and_nothing_explains_is_told(tree):
    kept = check(tree, official=True)
    theirs = said(kept, logged(f"NoResults {LLAMA}/Offline"), exit_code=1)
    (one,) = side_by_side(check(tree), kept, theirs, DEPTH).unexplained
    assert (one.what, one.whose, one.path) == ("refused", "theirs", f"{LLAMA}/Offline")


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch, tree):
    """One that leaves what it is told to leave in place of a container."""
    kept = check(tree, official=True)
    fake = SimpleNamespace(
        spec=None, summary=summary_text(kept.columns, kept.rows, as_official=kept.form), code=0, lines=(GOOD,)
    )

    def start(spec, on_line):
        fake.spec = spec
        for line in fake.lines:
            on_line(line)
        if fake.summary is not None:
            (out,) = [mount.source for mount in spec.mounts if not mount.read_only]
            (Path(out) / "summary.csv").write_text(fake.summary)
        return ContainerExit(container_id="c", exit_code=fake.code, out_of_memory=False)

    fake.run, fake.facts, fake.containers = start, lambda: None, lambda _label: []
    monkeypatch.setattr(Context, "engine", property(lambda _self: fake))
    plan = SimpleNamespace(image="localhost/mlorch/checker:1")
    monkeypatch.setattr(building, "build_images", lambda *_a, **_k: ((plan,), ()))
    return fake


def test_both_verdicts_are_shown(tree, engine, capsys):
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--official"]) == 0
    out = capsys.readouterr().out
    assert "the official checker of v5.1 at e20506b2293e:" in out
    assert "verdict   taken   taken      yes" in out
    assert engine.spec.image == "localhost/mlorch/checker:1"


def test_the_json_has_both(tree, engine, capsys):
    engine.code, engine.lines = 1, [logged(f"NoResults {OFFLINE}"), logged("SUMMARY: submission has errors")]
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--official", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["good"] is True
    theirs = document["official"]
    assert (theirs["good"], theirs["refused"], theirs["unexplained"]) == (False, [OFFLINE], 1)


@pytest.mark.parametrize("begun", [True, False])
def test_one_that_dies_says_how_and_is_no_verdict(tree, engine, capsys, begun):
    """It has the exit status of one that finds errors, and may have begun its summary."""
    engine.code, engine.lines = 1, ["Traceback (most recent call last):", "KeyError: 'status'"]
    engine.summary = "Organization,Location\n" if begun else None
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--official"]) == 1
    out = capsys.readouterr().out
    assert f"it came to no end (status 1, {'it says no verdict' if begun else 'its summary is missing'}):" in out
    assert "| KeyError: 'status'" in out


def test_the_interface_gives_the_document_of_the_command(tree, engine):
    document = api.submission.check_official(tree, round="v5.1", skip=("root-files",))
    assert (document["good"], document["official"]["good"], document["official"]["rows_alike"]) == (True, True, 4)
    assert "--skip-extra-files-in-root-check" in engine.spec.command
