"""`mlorch run` as a person starts it, and what it leaves when things go wrong; on a real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_overlay import write_overlay

from orchestrator.host.folders import cache_home
from orchestrator.operations.context import Context

pytestmark = pytest.mark.engine
SECRET = "hf_ThisMustNotBeSeenAnywhere42"
PLAN = ["run", "faulty", "--target", "cpu", "--mode", "performance"]


@pytest.fixture(scope="module")
def overlay(tmp_path_factory):
    """Recipes of the benchmark `faulty`, its image built."""
    folder = write_overlay(tmp_path_factory.mktemp("recipes"))
    built = mlorch("build", "--target", "cpu", "--benchmark", "faulty", "--recipes", str(folder))
    assert built.returncode == 0, built.stderr
    return folder


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1", **more}


def mlorch(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*arguments), capture_output=True, text=True, cwd=cwd, env=environment(**env), timeout=500, check=False
    )


@pytest.fixture
def sleeping(overlay, tmp_path):
    """`mlorch run` whose container sleeps; gives the process when it does, and ends it whatever happens."""
    argv = words(*PLAN, "--scenario", "SingleStream", "--recipes", str(overlay), "-o", str(tmp_path / "results"))
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment())
    deadline = time.monotonic() + 60
    while not any("sleeping" in log.read_text() for log in tmp_path.glob("results/*/console.log")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def record(results: Path) -> dict:
    return json.loads(next(results.glob("*/run.json")).read_text())


def containers(run_id: str) -> list[object]:
    return Context().engine.containers(f"org.mlorch.run={run_id}")


def test_a_crash_exits_1_with_the_logs_tail_and_path_and_the_result_is_kept(overlay, tmp_path):
    done = mlorch(*PLAN, "-s", "Offline", "--recipes", str(overlay), "-o", str(tmp_path / "r"), "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)["results"][0]
    assert (result["status"], result["valid"]) == ("failed", None)
    assert "Traceback" not in done.stderr
    shown = mlorch(*PLAN, "-s", "Offline", "--recipes", str(overlay), "-o", str(tmp_path / "r2"))
    assert shown.returncode == 1
    assert "the harness crashed on purpose" in shown.stderr
    assert "console.log" in shown.stderr
    assert record(tmp_path / "r2")["status"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_container_and_exits_130(sleeping, tmp_path, number):
    run_id = record(tmp_path / "results")["run_id"]
    assert containers(run_id)
    sleeping.send_signal(number)
    assert sleeping.wait(timeout=40) == 130
    assert record(tmp_path / "results")["status"] == "interrupted"
    assert containers(run_id) == []
    assert "Traceback" not in sleeping.stderr.read()


def test_after_kill_9_the_next_command_removes_the_container(sleeping, overlay, tmp_path):
    results = tmp_path / "results"
    run_id = record(results)["run_id"]
    # While that mlorch lives, another command leaves its container alone, and its processors.
    other = mlorch(*PLAN, "-s", "Offline", "--no-wait", "--recipes", str(overlay), "-o", str(tmp_path / "other"))
    assert (other.returncode, run_id in other.stderr) == (4, True), other.stderr
    assert containers(run_id)
    sleeping.kill()
    sleeping.wait()
    assert containers(run_id)
    assert record(results)["status"] == "running"
    shell = next(results.glob("*/shell"))
    content_id = record(results)["image"]["reference"].rpartition(":")[2]
    (planted,) = (cache_home() / "artifacts" / content_id).glob("faulty-cpu-singlestream-*/shell")
    assert {path.stat().st_mode & 0o7000 for path in (shell, planted)} == {0o6000}
    listed = mlorch("results", "list", "--json", "-o", str(results), DOCKER_HOST="unix:///no/such/socket")
    assert listed.returncode == 0, listed.stderr
    assert [r["status"] for r in json.loads(listed.stdout)["results"]] == ["interrupted"]
    next_one = mlorch(*PLAN, "-s", "Offline", "--recipes", str(overlay), "-o", str(results))
    assert next_one.returncode == 1
    assert f"removed the container of {run_id}" in next_one.stderr
    assert containers(run_id) == []
    for path in (shell, planted):
        assert path.stat().st_mode & 0o7000 == 0
        assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())


def test_secrets_of_the_environment_are_nowhere(overlay, tmp_path):
    """Not in the container's environment, records, logs, output, nor in the image."""
    secrets = {"HF_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "MY_PASSWORD": SECRET}
    results = tmp_path / "results"
    done = mlorch(*PLAN, "-s", "MultiStream", "--recipes", str(overlay), "-o", str(results), "--json", **secrets)
    assert done.returncode == 1
    log = next(results.glob("*/console.log")).read_text()
    assert '"HOME": "/scratch"' in log  # the harness did print its environment
    for path in results.rglob("*"):
        if path.is_file():
            assert SECRET not in path.read_text(errors="replace"), path
    assert SECRET not in done.stdout + done.stderr
    image = record(results)["image"]["reference"]
    for what in (["image", "inspect"], ["history", "--no-trunc"]):
        told = subprocess.run(["docker", *what, image], capture_output=True, text=True, check=True).stdout
        assert SECRET not in told


def test_a_rate_that_no_machine_reaches_is_invalid_kept_and_exits_1(tmp_path):
    """The real harness and LoadGen, driven far above what the machine can do."""
    arguments = ["run", "image-fashion", "-t", "cpu", "-m", "performance", "-s", "Server", "--duration", "1s"]
    done = mlorch(*arguments, "--target-qps", "60000", "-o", str(tmp_path / "r"), "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)["results"][0]
    assert (result["status"], result["valid"], result["verdict"]) == ("done", False, "INVALID")
    assert result["metrics"]["latency_ns"]["p99"] > 0
    assert record(tmp_path / "r")["valid"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["run", "image-fashon"], 2, "image-fashion"),
        (["run", "--target", "cup"], 2, "cpu"),
        (["run", "--scenario", "Sever"], 2, "Server"),
        (["run", "-o", "/no/such/folder/results"], 2, "/no/such/folder"),
    ],
)
def test_bad_words_exit_2_with_the_nearest_name(arguments, code, text, tmp_path):
    done = mlorch(*arguments, cwd=tmp_path)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_this_engine_cannot_give_is_told_before_anything_starts(tmp_path):
    """More open files than any kernel is set up for: no engine can give that."""
    target = Path(__file__).parents[2] / "recipes" / "targets" / "cpu.yaml"
    (tmp_path / "recipes").mkdir()
    text = target.read_text() + 'ulimits: {nofile: "1073741824"}\n'
    (tmp_path / "recipes" / "cpu.yaml").write_text(text)
    results = tmp_path / "results"
    done = mlorch("run", "image-fashion", "-t", "cpu", "--recipes", str(tmp_path / "recipes"), "-o", str(results))
    assert done.returncode == 4, done.stderr
    assert "nofile=1073741824" in done.stderr
    assert "[host-limit]" in done.stderr
    assert not results.exists()
