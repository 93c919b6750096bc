"""What a Server figure is worth: runs at the rate that `--find` stored, and a bare run beside it.

Everything by `mlorch run`, with a home of its own, so that what is found here is no setting of the user's next run.
Alone on the machine: beside other work it measures that work, and `--find` stores nothing of a disturbed test. Takes
about ten minutes where the network answers 100 samples a second: at that rate a test of the 99th percentile lasts
longer than its least duration.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common import Bar, NotHereError, mlorch, mlorch_json, note
from docker_side import own_home

BENCHMARK, RUNS, BARE = "image-smoke", 20, 3
DURATION = "3s"
"""Of a test at least: the shortest is the hardest to keep VALID, as one bad moment weighs most in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """The last try of a Server test: its verdict, samples a second (0 if not VALID), and what its record says."""

    valid: bool
    rate: float
    disturbed: bool
    record: dict
    said: str

    @property
    def source(self) -> str:
        """Where its rate came from."""
        return str(self.record["settings"]["loadgen.target_qps"]["source"])


def measure() -> list[Bar]:
    """Two bars: how often the stored rate is VALID, and what a run without any search of the user's reaches of it."""
    mlorch_json("build", "--target", "cpu", "--benchmark", BENCHMARK)
    mlorch_json("assets", "get")
    with own_home() as env:
        bare = [_run(env, "bare").rate for _ in range(BARE)]
        note(f"{BENCHMARK} Server: the search for the highest rate")
        found = _run(env, "found", "--find")
        search = found.record["search"]
        note(f"{BENCHMARK} Server: {RUNS} runs at the rate that is stored, {found.rate:,.1f} samples/s")
        runs = [_run(env, "again") for _ in range(RUNS)]
    if any(one.source != "system" for one in runs):
        told = [line for line in found.said.splitlines() if "nothing is kept" in line]
        raise NotHereError(told[-1] if told else f"`--find` stored no rate; its last test was {found.record['status']}")
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    margin = f"{search['margin']:.2f} of the best rate, {len(search['tries'])} tests ({search['stopped']})"
    disturbed = sum(one.disturbed for one in runs)
    return [
        Bar(
            what=f"{BENCHMARK} Server: of {RUNS} runs at the rate that `--find` stored, VALID",
            value=sum(one.valid for one in runs),
            bar=0.9 * RUNS,
            unit=f"of {RUNS}",
            at_least=True,
            detail=f"{found.rate:,.1f} samples/s, {margin}; {disturbed} of the {RUNS} were disturbed; {load}",
        ),
        Bar(
            what=f"{BENCHMARK} Server: a bare run's figure against the one of `--find`",
            value=sorted(bare)[len(bare) // 2] / found.rate if found.rate else 0.0,
            bar=0.85,
            at_least=True,
            detail=f"{', '.join(f'{one:,.1f}' for one in bare)} of {found.rate:,.1f} samples/s; {load}",
        ),
    ]


def _run(env: dict[str, str], folder: str, *more: str) -> Test:
    place = Path(env["MLORCH_HOME"]) / folder
    place.mkdir(exist_ok=True)
    command = mlorch("run", BENCHMARK, "-t", "cpu", "-s", "Server", "-m", "performance", "--duration", DURATION)
    command += [*more, "-o", str(place), "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"`mlorch run` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    last = json.loads(done.stdout)["results"][-1]
    valid = last["valid"] is True
    return Test(
        valid=valid,
        rate=last["metrics"]["result"]["value"] if valid else 0.0,
        disturbed=last["disturbed"] is True,
        record=json.loads(Path(last["record"]).read_text(encoding="utf-8")),
        said=done.stderr,
    )
