"""Whether a busy processor makes the calibration choose another layout: in the container that `mlorch run` would start.

Both sides in turn, in one process of the image. A layout is chosen otherwise where its instances and threads are not
those that the quiet rounds mostly chose, or where its batch makes clearly fewer samples a second: neighbouring batches
are often equally good, and then either is right.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from common import Bar, mlorch_json, note
from docker_side import container, environment, own_home, weight

BENCHMARKS = ("image-fashion", "image-smoke")
ROUNDS = 20
CLEARLY = 0.95
SCRIPT = Path(__file__).parent / "calibration_choice.py"


def measure() -> list[Bar]:
    """One bar a workload: of twenty calibrations beside a busy processor those that chose otherwise."""
    for benchmark in BENCHMARKS:
        mlorch_json("build", "--target", "cpu", "--benchmark", benchmark)
    mlorch_json("assets", "get")
    bars = []
    with own_home() as env, weight() as favoured:
        for benchmark in BENCHMARKS:
            note(f"{benchmark}: {ROUNDS} calibrations without other load and beside a busy processor, in turn")
            shape = container(benchmark, "Offline", env)
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "settings.json").write_text(json.dumps(shape.settings), encoding="utf-8")
                mount = f"type=bind,source={SCRIPT},target=/bench/{SCRIPT.name},readonly"
                command = ("python3", f"/bench/{SCRIPT.name}", "/results/settings.json", str(ROUNDS))
                more = (*favoured.options, "--mount", mount)
                line = shape.line(*command, results=Path(folder), more=more)
                done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{SCRIPT.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
            bars.append(_bar(benchmark, json.loads(done.stdout.splitlines()[-1])))
    return bars


def _bar(benchmark: str, found: dict) -> Bar:
    rounds, speed = found["rounds"], found["speed"]
    usual, times = Counter(quiet for quiet, _ in rounds).most_common(1)[0]
    beside = [layout for _, layout in rounds if otherwise(layout, usual, speed)]
    alone = [layout for layout, _ in rounds if otherwise(layout, usual, speed)]
    speeds = ", ".join(f"{name}: {rate:,.0f}/s" for name, rate in sorted(speed.items()))
    note(f"{benchmark}: {speeds}")
    names = ", ".join(f"{layout} ({count} ×)" for layout, count in Counter(beside).most_common()) or "none"
    return Bar(
        what=f"{benchmark} Offline: of {len(rounds)} layouts calibrated beside a busy processor, chosen otherwise",
        value=20 * len(beside) / len(rounds),
        bar=1,
        unit="of 20",
        detail=f"quiet: {usual} ({times} ×), {len(alone)} otherwise; beside load otherwise: {names}",
    )


def otherwise(layout: str, usual: str, speed: dict[str, float]) -> bool:
    """Whether ``layout`` is another choice than the ``usual`` one, and not just a neighbour that is as good."""
    if layout.partition(",")[0] != usual.partition(",")[0]:
        return True
    return speed[layout] < CLEARLY * speed[usual]
