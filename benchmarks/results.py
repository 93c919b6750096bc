"""What `mlorch results list` costs beside a thousand runs: a whole process, to its last line."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from common import Bar, least, mlorch, wall_seconds

REPETITIONS = 9
RUNS = 1000
TESTS = Path(__file__).parents[1] / "tests" / "unit"


def measure() -> list[Bar]:
    """The listing, for people and for programs."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "results"
        invent(store, RUNS)
        env = {**os.environ, "MLORCH_HOME": str(Path(folder) / "home")}
        lines = {
            "for people": mlorch("results", "list", "-o", str(store)),
            "--json": mlorch("results", "list", "-o", str(store), "--json"),
            "start": mlorch("--version"),
        }
        samples: dict[str, list[float]] = {name: [] for name in lines}
        for _ in range(REPETITIONS):
            for name, argv in lines.items():
                samples[name].append(wall_seconds(argv, env=env))
    best = least(samples)
    return [
        Bar(
            what=f"`mlorch results list` of {RUNS:,} runs, {name}",
            value=best[name],
            bar=bar,
            unit="s",
            detail=f"of which {best['start']:.2f} s is the start of mlorch",
        )
        for name, bar in (("for people", 0.5), ("--json", 1.5))  # a program gets every run, a person the newest
    ]


def invent(root: Path, number: int) -> None:
    """A folder of results with records as mlorch writes them, of recorded LoadGen logs; their logs are not there."""
    sys.path.insert(0, str(TESTS))
    from results_parts import CASES, add_run

    from orchestrator.results.store import Store

    with tempfile.TemporaryDirectory() as folder:
        made = [add_run(Store(Path(folder)), case, second)[0] for second, case in enumerate(CASES)]
    store = Store(root)
    for index in range(number):
        record = made[index % len(made)]
        stamp = f"202611{1 + index // 1440 % 28:02d}T{index // 60 % 24:02d}{index % 60:02d}00Z"
        started = replace(record.started, unix_ns=record.started.unix_ns + index * 60 * 10**9)
        store.begin(
            replace(
                record,
                run_id=f"{stamp}-{record.run_id.partition('-')[2][:-4]}{index:04x}",
                session=f"{stamp}-{index // 5:04x}",
                started=started,
            )
        )
