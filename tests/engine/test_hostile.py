"""Hostile harnesses (`hostile/`, a program each) under `mlorch run`, in real containers of both engines.

Each misdeed makes one bad result, with its reason; every later command works, in time, and nothing of the host is
read, run or believed.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
import zlib
from pathlib import Path

import pytest
from run_overlay import write_overlay

pytestmark = pytest.mark.engine
PROGRAMS = Path(__file__).parent / "hostile"
LOGS = Path(__file__).parents[1] / "fixtures" / "loadgen"


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine_name(request, engines):
    engines(request.param)
    return request.param


@pytest.fixture
def run(engine_name, mlorch, tmp_path):
    """Runs a program as the harness of `faulty`; gives how mlorch ended, and the folder of results."""

    own = secrets.token_hex(8)  # so that no earlier session has left artefacts of this very program

    def run(name: str, *words: str, logs: str = ""):
        text = (PROGRAMS / f"{name}.py").read_text().replace("@LOGS@", logs)
        recipes = write_overlay(tmp_path / f"recipes-{name}", f"{text}# {own}\n")
        options = ("-t", "cpu", "--engine", engine_name, "--recipes", str(recipes), "-o", str(tmp_path / "results"))
        done = mlorch("run", "faulty", *options, *words, "--json")
        assert "Traceback" not in done.stderr
        assert "[bug]" not in done.stderr
        return done, tmp_path / "results"

    return run


def records(results: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(results.glob("*/run.json"))]


def every_command_works(mlorch, results: Path) -> str:
    """List, show, verify, compare and report, at once; gives what they said."""
    began, said = time.monotonic(), ""
    for words in (["list"], ["show"], ["verify"], ["report"], ["compare", "--if-any"]):
        done = mlorch("results", *words, "--results", str(results), timeout=60)
        assert done.returncode in {0, 1}, done.stderr
        said += done.stdout + done.stderr
    assert time.monotonic() - began < 30
    assert "\x1b" not in said
    assert "root:" not in said
    return said


def test_what_it_leaves_is_harmless_and_every_command_works(run, mlorch):
    done, results = run("files", "-s", "Offline", "-m", "performance")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    (record,) = records(results)
    assert (record["status"], record["valid"], record["error"]["slug"]) == ("failed", None, "loadgen-log")
    (folder,) = (path for path in results.iterdir() if path.is_dir())
    for path in folder.rglob("*"):
        facts = path.lstat()
        assert (facts.st_uid, facts.st_gid) == (os.getuid(), os.getgid())
        assert path.is_symlink() or facts.st_mode & 0o7022 == 0, path
    assert {"sh", "pipe", "socket", "latency_histogram.json", "/artifacts/sh", "/artifacts/pipe"} <= record[
        "left"
    ].keys()
    assert "is a link" in record["left"]["console.log"] + record["left"]["mlperf_log_summary.txt"]
    assert "it has no hash" in record["left"]["mlperf_log_detail.txt"]  # of 8 TiB
    assert not (folder / "run.json.sig").exists()
    assert not (folder / "the-record-was-changed").exists()
    assert "<h1>VALID</h1>" not in (folder / "report.html").read_text()
    assert record["artifacts"]["count"] == 0
    assert "root:" not in (folder / "report.html").read_text() + (folder / "run.json").read_text()
    assert "many/17" in record["files"]
    every_command_works(mlorch, results)
    run("artifacts", "-s", "Offline", "-m", "performance")  # the same image, benchmark, target, scenario; not the same
    assert records(results)[-1]["container_facts"]["found"] == []


def test_documents_that_nobody_can_read_fail_their_test_only(run, mlorch):
    done, results = run("documents", "-m", "performance")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["results"]) == 3
    assert {(one["status"], one["error"]["slug"]) for one in records(results)} == {("failed", "harness-failed")}
    assert max(path.stat().st_size for path in results.glob("*/run.json")) < 1_000_000
    listed = json.loads(mlorch("results", "list", "--results", str(results), "--json").stdout)["results"]
    assert [one["status"] for one in listed] == ["failed"] * 3


def test_a_harness_that_hangs_is_stopped_at_the_time_limit(run):
    began = time.monotonic()
    done, results = run("hang", "-s", "Offline", "-m", "performance", "--timeout", "2s")
    assert (done.returncode, time.monotonic() - began < 60) == (1, True)
    (record,) = records(results)
    assert (record["status"], record["error"]["slug"]) == ("failed", "timeout")
    assert record["limit"] == {"total_s": 2, "silence_s": 2, "source": "command line"}


def test_logs_with_errors_or_without_words_count_for_nothing(run, mlorch):
    cases = {"performance": "offline", "accuracy": "accuracy"}
    logs = {mode: {path.name: path.read_text() for path in (LOGS / case).iterdir()} for mode, case in cases.items()}
    packed = base64.b64encode(zlib.compress(json.dumps(logs).encode(), 9)).decode()
    done, results = run("logs", "-s", "Offline", logs=packed)
    assert done.returncode == 1
    found = {one["mode"]: one for one in records(results)}
    accuracy, performance = found["accuracy"], found["performance"]
    assert (accuracy["status"], accuracy["error"]["slug"]) == ("failed", "loadgen-log")
    assert (performance["measured"]["verdict"], performance["valid"]) == ("INVALID", False)
    assert "LoadGen logged 460 errors" in performance["measured"]["reasons"]
    assert "LoadGen logged 460 errors" in every_command_works(mlorch, results)
