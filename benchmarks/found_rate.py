"""What a Server figure is worth: runs at the rate that `--find` stored, and a bare run beside it.

Everything by `mlorch run`, with a home of its own, so that what is found here is no setting of the user's next run.
Beside other work on the machine this measures that work: a container weighs as much there as one process of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from common import Bar, mlorch, mlorch_json, note
from docker_side import own_home

BENCHMARK, RUNS, BARE = "image-fashion", 20, 3


def measure() -> list[Bar]:
    """Two bars: how often the stored rate is VALID, and what a run without any search of the user's reaches of it."""
    mlorch_json("build", "--target", "cpu", "--benchmark", BENCHMARK)
    mlorch_json("assets", "get")
    with own_home() as env:
        bare = [_run(env, "bare")[1] for _ in range(BARE)]
        note(f"{BENCHMARK} Server: the search for the highest rate")
        _, found, search = _run(env, "found", "--find")
        note(f"{BENCHMARK} Server: {RUNS} runs at the rate that is stored")
        runs = [_run(env, "again")[0] for _ in range(RUNS)]
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    margin = f"{search['margin']:.2f} of the best rate" if search else "nothing was stored"
    return [
        Bar(
            what=f"{BENCHMARK} Server: of {RUNS} runs at the rate that `--find` stored, VALID",
            value=sum(runs),
            bar=0.9 * RUNS,
            unit=f"of {RUNS}",
            at_least=True,
            detail=f"{found:,.0f} samples/s, {margin}; {load}",
        ),
        Bar(
            what=f"{BENCHMARK} Server: a bare run's figure against the one of `--find`",
            value=sorted(bare)[len(bare) // 2] / found if found else 0.0,
            bar=0.85,
            at_least=True,
            detail=f"{', '.join(f'{one:,.0f}' for one in bare)} of {found:,.0f} samples/s; {load}",
        ),
    ]


def _run(env: dict[str, str], folder: str, *more: str) -> tuple[bool, float, dict | None]:
    """Whether the last try of a test is VALID, its samples a second (0 if not), and the search in its record."""
    place = Path(env["MLORCH_HOME"]) / folder
    place.mkdir(exist_ok=True)
    command = mlorch("run", BENCHMARK, "-t", "cpu", "-s", "Server", "-m", "performance", *more, "-o", str(place))
    done = subprocess.run([*command, "--json"], env=env, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"`mlorch run` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    last = json.loads(done.stdout)["results"][-1]
    search = json.loads(Path(last["record"]).read_text(encoding="utf-8"))["search"]
    return last["valid"] is True, last["metrics"]["result"]["value"] if last["valid"] else 0.0, search
