"""mlorch's harness against MLCommons' reference program for images, at its best settings: same model, data and runtime.

Both by `mlorch run`, in turn, in containers of the same rights: `image-fashion` and `image-smoke`, and the recipe
`resnet50` with the reference implementation and their models and data. Offline, SingleStream and MultiStream: the
middle ratio of some turns, after a sweep of the reference's threads and batches; Server: the highest rate that `--find`
finds for each. The program's repository comes from GitHub, or from a mirror (`mirrors: git:` of mlorch.yaml,
MLORCH_GIT_MIRRORS); where it cannot be had the part is left out. Takes about twenty-five minutes.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from common import Bar, NotHereError, mlorch, note
from docker_side import own_home

DURATION, TURNS = "3s", 5
"""Turns enough for a middle: on a machine that others share one mean latency differs by half from the next."""
THREADS, BATCHES = (1, 2), (1, 8, 32)
OFFLINE_BAR, BAR = 1.2, 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One program: the words of `mlorch run` that make it answer."""

    words: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    results: str

    def run(self, scenario: str, *more: str, timeout: float = 900) -> dict:
        """What `mlorch run --json` says of the last test. Raises `RuntimeError` where there is none."""
        test = ("-t", "cpu", "-s", scenario, "-m", "performance", "--duration", DURATION, "-o", self.results, "--json")
        done = subprocess.run(
            mlorch("run", *self.words, *test, *more), env=self.env, capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip
        if done.returncode not in {0, 1} or not done.stdout:
            raise RuntimeError(f"{self.words} {scenario} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout)["results"][-1]

    def value(self, scenario: str, *more: str) -> float:
        """Samples a second, in the streams the mean latency in ns; 0 of a test at a rate that is not VALID."""
        found = self.run(scenario, *more)
        if scenario.endswith("Stream"):
            record = json.loads(Path(found["record"]).read_text(encoding="utf-8"))
            return float(record["measured"]["loadgen"]["latency_ns"]["mean"])
        return float(found["metrics"]["result"]["value"]) if found["valid"] or scenario == "Offline" else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One of our benchmarks, and what is set of the recipe `resnet50` to make it that one."""

    name: str
    changes: tuple[str, ...]
    latency_ns: int
    server_bar: float


PAIRS = (
    # It answers each query alone while no queue has grown, so that a quick model is called with one sample at a time.
    Pair(
        name="image-fashion",
        changes=("model=resnet8-fashion", "dataset=fashion-mnist-folder"),
        latency_ns=100_000_000,
        server_bar=3,
    ),
    Pair(
        name="image-smoke",
        changes=("model=efficientnet-lite0", "dataset=imagenet-20-folder"),
        latency_ns=250_000_000,
        server_bar=1.2,
    ),
)


def measure() -> list[Bar]:
    """A row for each pair and scenario."""
    found = []
    with own_home() as env, tempfile.TemporaryDirectory(prefix="mlorch-bench-") as results:
        for pair in PAIRS:
            words = [f"scenarios.Server.target_latency_ns={pair.latency_ns}", *pair.changes]
            reference = ("resnet50", *itertools.chain(*(("--set", each) for each in words)))
            _prepare(pair, reference, env, results)
            ours = Side(words=(pair.name,), env=env, results=results)
            found += _rows(pair, ours, Side(words=reference, env=env, results=results))
    return found


def _prepare(pair: Pair, reference: tuple[str, ...], env: dict[str, str], results: str) -> None:
    """Images, model and data."""
    note(f"{pair.name}: images, model and data of both programs")
    for words in ((pair.name,), reference):
        test = ("-s", "SingleStream", "-m", "performance", "--duration", "1s", "-o", results, "--json")
        line = mlorch("run", *words, "-t", "cpu", *test)
        done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
        if "github.com" in done.stderr and done.returncode:
            raise NotHereError("the repository mlcommons/inference cannot be had here")
        if done.returncode not in {0, 1}:
            raise RuntimeError(f"mlorch run {words} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def _rows(pair: Pair, ours: Side, reference: Side) -> list[Bar]:
    settings, rows = {}, []
    for scenario, bar in (("Offline", OFFLINE_BAR), ("SingleStream", BAR), ("MultiStream", BAR)):
        settings[scenario] = _best(pair, reference, scenario)
        note(f"{pair.name} {scenario}: {TURNS} turns of both")
        mine, theirs = [], []
        for _ in range(TURNS):
            theirs.append(reference.value(scenario, *_said(settings[scenario])))
            mine.append(ours.value(scenario))
        rows.append(_row(pair, scenario, mine, theirs, settings[scenario], bar))
    note(f"{pair.name} Server: the highest rate of both")
    said = settings["Server"] = settings["Offline"]
    theirs, mine = [reference.value("Server", *_said(said), "--find")], [ours.value("Server", "--find")]
    return [*rows, _row(pair, "Server", mine, theirs, said, pair.server_bar)]


def _best(pair: Pair, reference: Side, scenario: str) -> tuple[int, int]:
    """Threads and batch with which the reference program is quickest."""
    tried = [(1, 1), (2, 1)] if scenario == "SingleStream" else list(itertools.product(THREADS, BATCHES))
    note(f"{pair.name} {scenario}: {len(tried)} settings of the reference program")
    found = {each: reference.value(scenario, *_said(each)) for each in tried}
    return (min if scenario.endswith("Stream") else max)(found, key=found.__getitem__)


def _said(setting: tuple[int, int]) -> tuple[str, ...]:
    threads, batch = setting
    return "--set", f"parameters.threads={threads}", "--set", f"parameters.batch={batch}"


def _row(
    pair: Pair, scenario: str, mine: list[float], theirs: list[float], setting: tuple[int, int], bar: float
) -> Bar:
    threads, batch = setting
    streams = scenario.endswith("Stream")
    own, their = statistics.median(mine), statistics.median(theirs)
    shown = f"{own / 1000:,.1f} / {their / 1000:,.1f} µs" if streams else f"{own:,.1f} / {their:,.1f} samples/s"
    turns = zip(theirs, mine, strict=True) if streams else zip(mine, theirs, strict=True)
    ratio = statistics.median(more / less if less else 0.0 for more, less in turns)
    what = "mean latency" if streams else "highest VALID rate" if scenario == "Server" else "samples/s"
    return Bar(
        what=f"{pair.name} {scenario}: {what} against MLCommons' reference program at its best settings",
        value=ratio,
        bar=bar,
        at_least=True,
        detail=f"{shown}; reference: {threads} thread{'s' if threads > 1 else ''}, batch {batch}",
    )
