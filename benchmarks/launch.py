"""From `mlorch run` to LoadGen's first query, beyond `docker run` of the same image and the load of the model.

By the times in harness.json: the first query's less the start of `mlorch run`, less what
the harness needs to import its libraries and to load samples and model, less the time from
`docker run` of the same container to the first line of a Python in it. The least of the
first difference and the least of the second are taken, from turns. What is left is
mlorch's own: reading recipes, planning, looking for images and assets, records, settings,
warm-up and LoadGen's start.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from common import Bar, mlorch, note
from docker_side import container, own_home

REPETITIONS = 10
TESTS = (
    ("image-fashion", "SingleStream"),
    ("image-fashion", "Offline"),
    ("image-smoke", "SingleStream"),
    ("image-smoke", "Offline"),
)


def measure() -> list[Bar]:
    """One row a test; its settings are known, as after `mlorch run --find`."""
    with own_home() as env:
        return [_measure(benchmark, scenario, env) for benchmark, scenario in TESTS]


def _measure(benchmark: str, scenario: str, env: dict[str, str]) -> Bar:
    note(f"launch of {benchmark} {scenario}")
    calibration = _parts(_run(benchmark, scenario, env, "--find"))["calibration"]
    shape = container(benchmark, scenario, env)
    runs, bare = [], []
    with tempfile.TemporaryDirectory() as results:
        line = shape.line("python3", "-c", "import time; print(time.time_ns())", results=Path(results))
        for _ in range(REPETITIONS):
            bare.append(_until_python(line, env))
            runs.append(_parts(_run(benchmark, scenario, env)))
    best = min(runs, key=lambda each: each["whole"] - each["load"])
    return Bar(
        what=f"`mlorch run {benchmark} -s {scenario}` to the first query, beyond `docker run` and model load",
        value=best["whole"] - best["load"] - min(bare),
        bar=1.0,
        unit="s",
        detail=f"({best['whole']:.2f} − {min(bare):.2f} − {best['load']:.2f}) s, settings known from `--find`; "
        f"unknown, {calibration:.1f} s of calibration come on top",
    )


def _until_python(line: list[str], env: dict[str, str]) -> float:
    """Seconds from `docker run` to a Python that runs in its container."""
    began = time.time_ns()
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"docker run ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return (int(done.stdout) - began) / 1e9


def _run(benchmark: str, scenario: str, env: dict[str, str], *more: str) -> dict[str, float]:
    """One run: its start and harness.json's times, in ns since the epoch.

    With ``more`` a longer one: in a second the start of its container alone can mark it as disturbed, and then `--find`
    would make it again and keep nothing.
    """
    with tempfile.TemporaryDirectory() as results:
        began = time.time_ns()
        command = ("run", benchmark, "--scenario", scenario, "--mode", "performance")
        command += ("--duration", "5s" if more else "1s")
        done = subprocess.run(
            mlorch(*command, "-o", results, "--json", *more), env=env, capture_output=True, text=True, check=False
        )
        paths = sorted(Path(results).glob("*/harness.json"), key=lambda path: path.stat().st_mtime_ns)
        documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        # A test that LoadGen finds INVALID (as one second may be too short) has a launch all the same.
        if not documents or documents[0]["status"] != "done":
            raise RuntimeError(f"mlorch run ended with {done.returncode}:\n{done.stderr[-2000:]}")
    if not more and documents[0]["calibration"] is not None:
        raise RuntimeError("the settings were to be known, and the harness calibrated: `--find` kept nothing")
    return {"began": began, **documents[0]["times"]}


def _parts(times: dict[str, float]) -> dict[str, float]:
    """Seconds: from the command to the first query, and of that imports and loading, and calibration."""
    return {
        "whole": (times["first_query_unix_ns"] - times["began"]) / 1e9,
        "load": (times["model_loaded_unix_ns"] - times["start_unix_ns"]) / 1e9,
        "calibration": (times["calibrated_unix_ns"] - times["model_loaded_unix_ns"]) / 1e9,
    }
