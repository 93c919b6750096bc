"""`--power` on the real engine: MLCommons' own client and server, unchanged, and a simulated daemon behind them.

The image is made of MLCommons' repository, which comes from a mirror: MLORCH_TEST_GIT_MIRROR names a folder with
``mlcommons/power-dev``, a repository (or its ``.git``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from power_servers import NTP_PORT, power_server, time_server

from orchestrator.operations.context import Context
from orchestrator.operations.plan_cache import Selection

VARIABLE = "MLORCH_TEST_GIT_MIRROR"
MIRRORS = Path(os.environ.get(VARIABLE) or "/nonexistent")
NAME = "mlcommons/power-dev"
THERE = any((MIRRORS / f"{NAME}{end}").exists() for end in ("", ".git"))
WHY_NOT = "" if THERE else f"{VARIABLE} names no folder with a mirror of {NAME}"
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
DEBUG = "Check debug is disabled on server-side"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "mlorch.yaml").write_text(f"mirrors:\n  git:\n    https://github.com/: {MIRRORS.resolve()}/\n")
    return folder


@pytest.fixture(scope="module")
def image(mlorch, site):
    """The image of the client, made by a run that finds no server."""
    done = mlorch(*words("server=127.0.0.1:1"), cwd=site, timeout=900)
    (result,) = json.loads(done.stdout)["results"]
    assert "does not answer" in result["reasons"][0], done.stderr[-3000:]
    plans = Context().plans(Selection(target="cpu", side="mlcommons-power-client")).plans
    return plans[0].image


@pytest.fixture(scope="module")
def times(image):
    with time_server():
        yield f"127.0.0.1:{NTP_PORT}"


def words(power: str, duration: str = "2s") -> list[str]:
    what = ["run", "image-fashion", "--target", "cpu", "-s", "Offline", "--mode", "performance", "--json"]
    return [*what, "--duration", duration, "--power", power]


def checks(result) -> dict[str, bool]:
    return {one["name"]: one["passed"] for one in result["power"]["checks"]}


def containers(site, *options: str) -> list[str]:
    """The containers of this site's runs, by name; others may run on the engine."""
    label = f"label=org.mlorch.results={site.resolve()}/results"
    command = ["docker", "ps", *options, "--filter", label, "--format", "{{.Names}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def wait_for_ranging(site) -> None:
    until = time.monotonic() + 300  # another run may have the processors
    while not any(one.endswith("-ranging") for one in containers(site)):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_session_of_mlcommons_own_client_and_server_is_measured_checked_and_whole(
    mlorch, site, image, times, tmp_path
):
    """The server's sleeps are shortened by its debug mode, which is the one thing that check.py then refuses."""
    with power_server(image, tmp_path, debug=True) as (address, _):
        done = mlorch(*words(f"server={address},ntp={times}"), cwd=site, timeout=300)
    (result,) = json.loads(done.stdout)["results"]
    assert (result["verdict"], result["power"]["simulated"]) == ("VALID", True), result["reasons"]
    assert 38 < result["power"]["watts"] < 42
    assert [name for name, passed in checks(result).items() if not passed] == [DEBUG]
    assert len(checks(result)) == 11
    assert result["power"]["faults"] == ["power/server.json: the power server ran in its debug mode"]
    record = Path(result["record"])
    assert json.loads(record.read_text())["container"]["network"] == "none"
    verified = mlorch("results", "verify", result["run_id"], cwd=site)
    assert verified.returncode == 0, verified.stdout
    spl = record.parent / "performance/run_1/spl.txt"
    spl.write_text(spl.read_text().replace("Watts,4", "Watts,3"))
    assert mlorch("results", "verify", result["run_id"], cwd=site).returncode == 1
    assert containers(site, "-a") == []


def test_a_server_that_ends_while_ranging_ends_the_test_at_once_with_its_reason(mlorch, site, image, times, tmp_path):
    with power_server(image, tmp_path, debug=True) as (address, name):
        power = f"server={address},ntp={times}"
        command = [*mlorch.command, *words(power, "60s")]
        with subprocess.Popen(command, cwd=site, stdout=subprocess.PIPE, text=True) as running:
            wait_for_ranging(site)
            time.sleep(2)
            subprocess.run(["docker", "kill", name], capture_output=True, check=True)
            killed = time.monotonic()
            (result,) = json.loads(running.communicate(timeout=120)[0])["results"]
    assert time.monotonic() - killed < 40
    assert (result["status"], result["power"]["watts"]) == ("failed", None)
    assert "closed the connection (the ranging run)" in result["reasons"][0]
    assert not (Path(result["record"]).parent / "performance").exists()
    assert containers(site, "-a") == []


def test_a_killed_mlorch_leaves_no_client_that_runs_on_and_the_next_run_clears_up(mlorch, site, image, times, tmp_path):
    with power_server(image, tmp_path, debug=True) as (address, _):
        command = [*mlorch.command, *words(f"server={address},ntp={times}", "60s")]
        with subprocess.Popen(command, cwd=site, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            wait_for_ranging(site)
            running.send_signal(signal.SIGKILL)
            running.wait()
        until = time.monotonic() + 30
        while running_client(site) and time.monotonic() < until:  # it hears that mlorch is gone, and ends
            time.sleep(0.2)
        assert running_client(site) == []
    mlorch(
        "run",
        "image-fashion",
        "--target",
        "cpu",
        "-s",
        "Offline",
        "--mode",
        "performance",
        "--duration",
        "1s",
        cwd=site,
    )
    assert containers(site, "-a") == []


def running_client(site) -> list[str]:
    return [name for name in containers(site) if name.endswith("-power")]


@pytest.mark.long
def test_without_debug_mode_all_eleven_checks_are_passed_and_so_are_our_own_rules(mlorch, site, image, times, tmp_path):
    with power_server(image, tmp_path) as (address, _):
        done = mlorch(*words(f"server={address},ntp={times}", "4s"), cwd=site, timeout=600)
    (result,) = json.loads(done.stdout)["results"]
    assert list(checks(result).values()) == [True] * 11
    assert (result["power"]["faults"], result["power"]["passed"], result["power"]["simulated"]) == ([], True, True)
    assert done.returncode == 0


@pytest.mark.long
def test_an_analyser_that_no_one_accepts_is_measured_and_fails_the_check_of_its_commands(
    mlorch, site, image, times, tmp_path
):
    with power_server(image, tmp_path, debug=True, behaviour="honest") as (address, _):
        done = mlorch(*words(f"server={address},ntp={times}"), cwd=site, timeout=300)
    (result,) = json.loads(done.stdout)["results"]
    assert [name for name, passed in checks(result).items() if not passed] == ["Check PTD commands and replies", DEBUG]
    assert any("SimulatedAnalyser" in fault for fault in result["power"]["faults"])
