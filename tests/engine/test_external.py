"""Somebody else's harness, as docs/add-a-harness.md adds it: real images, containers and LoadGen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from external_parts import make_repository, write_recipes
from socket_proxy import SocketProxy

from orchestrator.engines.docker.engine import connect, find_host

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder as the reader of the docs has it, with a mirror of the program's repository."""
    folder = tmp_path_factory.mktemp("site")
    commit = make_repository(folder / "mirrors" / "org" / "suite")
    return write_recipes(folder, commit)


@pytest.fixture(scope="module")
def run(mlorch, site):
    def run(*words: str, code: int = 0):
        done = mlorch("run", "suite-fashion", "--target", "cpu", "--duration", "1s", *words, "--json", cwd=site)
        assert done.returncode == code, done.stderr[-4000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def offline(run):
    return run("-s", "Offline")["results"]


def record(result):
    return json.loads(Path(result["record"]).read_text())


def test_the_recipes_of_the_docs_are_valid(mlorch, site):
    done = mlorch("recipes", "lint", cwd=site)
    assert done.returncode == 0, done.stderr


def test_its_accuracy_script_says_what_ours_says(offline):
    accuracy = next(each for each in offline if each["mode"] == "accuracy")
    assert accuracy["metrics"]["accuracy"]["value"] == 0.9154
    assert accuracy["metrics"]["accuracy"]["samples"] == 10_000


def test_loadgen_measured_it_with_the_settings_that_were_asked_for(offline):
    performance = next(each for each in offline if each["mode"] == "performance")
    assert performance["metrics"]["result"]["value"] > 0
    used = record(performance)["measured"]["loadgen"]["effective"]
    assert (used["min_duration_ms"], used["target_qps"]) == (1000, 30_000)


def test_the_record_tells_its_steps_and_that_the_artefact_was_made_once(offline):
    steps = [[(step["name"], step["reused"]) for step in record(each)["steps"]] for each in offline]
    assert steps == [
        [("compile", False), ("bench", False), ("score", False)],
        [("compile", True), ("bench", False)],
    ]
    assert all("it keeps its traces there" in text for each in offline for text in record(each)["deviations"])


def test_it_saw_the_files_that_were_rendered_for_it_and_a_name_for_its_user(offline):
    folder = Path(offline[0]["record"]).parent
    assert (folder / "out/site.txt").read_text().startswith("cpu has ")
    assert "bench of runner" in (folder / "console.log").read_text()


def test_what_it_measured_is_verified_from_its_logs(mlorch, site, offline):
    for each in offline:
        done = mlorch("results", "verify", each["run_id"], cwd=site)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scenario", ["Server", "SingleStream", "MultiStream"])
def test_every_scenario_is_called_by_the_programs_own_word(mlorch, site, scenario):
    words = ("suite-fashion", "--target", "cpu", "--duration", "1s", "-s", scenario, "-m", "performance", "--json")
    done = mlorch("run", *words, cwd=site)
    result = json.loads(done.stdout)["results"][-1]  # a guessed rate or latency that was wrong is tried again
    summary = (Path(result["record"]).parent / "mlperf_log_summary.txt").read_text()
    assert f"Scenario : {scenario}" in summary
    assert result["valid"] is ("Result is : VALID" in summary), done.stderr
    assert result["metrics"]["result"]["value"] > 0


@pytest.mark.parametrize(
    ("how", "mode", "slug"),
    [
        ("no-logs", "performance", "no-loadgen-logs"),
        ("no-conf", "performance", "other-settings"),
        ("swallow", "performance", "console"),
        ("nan", "accuracy", "no-accuracy"),
    ],
)
def test_a_program_that_ends_with_0_and_did_not_do_its_work_is_found_out(run, how, mode, slug):
    (result,) = run("-s", "Offline", "-m", mode, "--set", f"break={how}", code=1)["results"]
    kept = record(result)
    assert (kept["status"], kept["error"]["slug"], result["valid"]) == ("failed", slug, None)


@pytest.mark.parametrize(
    ("change", "slug"),
    [("threads=0", "bad-parameter"), ("threds=2", "unknown-set"), ("harness=nobody", "unknown-harness")],
)
def test_a_mistaken_set_starts_nothing(mlorch, site, change, slug):
    done = mlorch("run", "suite-fashion", "--target", "cpu", "-s", "Offline", "--set", change, "--json", cwd=site)
    assert json.loads(done.stdout)["error"]["slug"] == slug
    assert done.returncode in {2, 3}


LINKS = """\
    - {path: /usr/bin/sudo, text: "#!/bin/sh\\nexit 0\\n", executable: true}
  user: runner
  links:
    - {path: /opt/suite/build/set, to: "{data}"}
    - {path: /opt/suite/build/net, to: "{artifacts}/compile"}
"""
BENCH = """\
        - sh
        - -c
        - sudo clocks && id -un && echo more >> cache/README && exec "$@"
        - run
        - python3
        - app/bench.py
"""
PLACES = (
    ("  user: runner\n", LINKS),
    ("        - python3\n        - app/bench.py\n", BENCH),
    ("kind: memory, size: 16m,", "kind: results, seeded: true,"),
    ('"{artifacts}/compile/net.onnx"', "build/net/net.onnx"),
    ("--net={artifacts}/compile", "--net=build/net"),
    ("--set={data}", "--set=build/set"),
)
"""What the harness of the docs becomes when its program looks at fixed places, and writes into its own folder."""


def test_a_program_finds_its_files_at_fixed_places_and_writes_beside_what_its_image_has(mlorch, site):
    text = (site / "recipes/suite.yaml").read_text()
    for old, new in PLACES:
        assert old in text
        text = text.replace(old, new)
    (site / "recipes/suite-places.yaml").write_text(text.replace("name: suite\n", "name: suite-places\n"))
    words = ("suite-fashion", "--target", "cpu", "--duration", "1s", "-s", "Offline", "-m", "performance")
    try:
        for _ in range(2):
            done = mlorch("run", *words, "--set", "harness=suite-places", "--json", cwd=site)
            assert done.returncode == 0, done.stderr[-4000:]
            (result,) = json.loads(done.stdout)["results"]
            folder = Path(result["record"]).parent
            assert "runner" in (folder / "console.log").read_text().splitlines()
            assert (folder / "opt-suite-cache/README").read_text() == "traces\nmore\n"
    finally:
        (site / "recipes/suite-places.yaml").unlink()
    steps = [(step["name"], step["reused"]) for step in record(result)["steps"]]
    assert steps == [("copy-opt-suite-cache", False), ("compile", True), ("bench", False)]


def test_a_kill_while_the_engine_is_gone_leaves_a_record_and_no_container_once_it_is_back(site, tmp_path):
    proxy = SocketProxy(tmp_path / "engine.sock", find_host())
    proxy.open()
    environment = {**os.environ, "DOCKER_HOST": proxy.host, "PYTHONPATH": str(Path(__file__).parents[2])}
    results = tmp_path / "results"

    def mlorch(*words, **more):
        argv = [sys.executable, "-m", "orchestrator", *words, "-o", str(results)]
        return subprocess.Popen(argv, cwd=site, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def said(*words):
        process = mlorch(*words, text=True)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    words = ("run", "suite-fashion", "--target", "cpu", "-s", "Offline", "-m", "performance", "--duration", "1s")
    running = mlorch(*words, "--set", "break=sleep")
    try:
        deadline = time.monotonic() + 120
        while not any("bench of" in log.read_text() for log in results.glob("*/console.log")):
            assert running.poll() is None, running.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running.send_signal(signal.SIGSTOP)  # so that it does not hear that the engine is gone
        proxy.cut()
    finally:
        running.kill()
        running.communicate()
    (run_id,) = (folder.name for folder in results.iterdir())

    code, out, _ = said("results", "list", "--json")
    (listed,) = json.loads(out)["results"]
    assert (code, listed["run_id"], listed["status"]) == (0, run_id, "interrupted")
    assert said(*words)[0] == 4
    assert connect().containers(f"org.mlorch.run={run_id}")

    proxy.open()
    code, _, err = said("results", "list")
    assert (code, f"removed the container of {run_id}" in err) == (0, True)
    assert not connect().containers(f"org.mlorch.run={run_id}")
    assert said("results", "verify", run_id)[0] == 0
    proxy.cut()


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("special", "done", ""),
        ("daemon", "done", ""),
        ("twice", "failed", "holds more than one test"),
        ("sparse", "failed", "is sparse"),
    ],
)
def test_what_a_program_leaves_beside_its_test_is_made_harmless_or_told(run, mlorch, site, how, status, message):
    (result,) = run("-s", "Offline", "-m", "performance", "--set", f"break={how}", code=int(status != "done"))[
        "results"
    ]
    kept = record(result)
    assert kept["status"] == status
    assert message in (kept["error"] or {"message": ""})["message"]
    if how == "special":
        assert "a socket; removed" in kept["left"].values()
        assert mlorch("results", "verify", result["run_id"], cwd=site).returncode == 0
