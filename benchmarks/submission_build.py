"""`mlorch submission build`: from the records of a thousand results to a whole tree, and to the same tree again."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from common import Bar, mlorch, note, wall_seconds

RESULTS = 1000
BAR = 20.0
SCENARIOS = ("Offline", "SingleStream", "MultiStream", "Server")
ENTRIES = 2000
"""Answers in each accuracy log, which makes 100 kB of it."""
ROUND = "v6.1"
TESTS = Path(__file__).parents[1] / "tests" / "unit"


def measure() -> list[Bar]:
    """A new tree, and once more into the tree that is there."""
    with tempfile.TemporaryDirectory() as folder:
        store, tree, overlay = Path(folder) / "results", Path(folder) / "tree", Path(folder) / "overlay.yaml"
        note(f"inventing {RESULTS:,} results")
        invent(store, overlay)
        argv = mlorch(
            *("submission", "build", "--round", ROUND, "--submitter", "Acme", "--results", str(store)),
            *("--overlay", str(overlay), "-o", str(tree), "--json"),
        )
        env = {**os.environ, "MLORCH_HOME": str(Path(folder) / "home")}
        turns = {what: wall_seconds(argv, env=env) for what in ("a new tree", "again, into the tree that is there")}
        files = sum(len(names) for _, _, names in os.walk(tree))
        size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    detail = f"{2 * RESULTS:,} runs, {size / 1e6:,.0f} MB of results; {files:,} files"
    return [
        Bar(
            what=f"`mlorch submission build` of {RESULTS:,} results, {what}",
            value=took,
            bar=BAR,
            unit="s",
            detail=detail,
        )
        for what, took in turns.items()
    ]


def invent(root: Path, overlay: Path) -> None:
    """Runs of recorded LoadGen logs that count for the round, and what their records do not say."""
    sys.path.insert(0, str(TESTS))
    from submission_build_parts import OVERLAY, add_pair, rules_of

    from orchestrator.results.store import Store

    store, rules = Store(root), rules_of(ROUND)[ROUND]
    names = [f"image-{number}" for number in range(RESULTS // len(SCENARIOS))]
    for number, name in enumerate(names):
        for place, scenario in enumerate(SCENARIOS):
            second = 2 * (len(SCENARIOS) * number + place)
            title = {"benchmark": name, "benchmark_title": name}
            add_pair(store, rules, scenario, second, accuracy_entries=ENTRIES, **title)
    said = OVERLAY[: OVERLAY.index("measurements:")]
    overlay.write_text(said + "measurements:\n" + "".join(f"  {name}: {{weight_data_types: fp32}}\n" for name in names))
