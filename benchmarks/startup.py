"""What a command costs before it does anything: `--help`, `plan` of everything that ships, and what lists."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Bar, cpu_seconds, least, mlorch, mlorch_json

REPETITIONS = 15
PLANS = 3
"""How often each pair is measured; those that look dearest are then measured `REPETITIONS` times more."""
DOUBTED = 3
CROWDED = 8
"""Every so-manieth pair, and the dearest, are also measured beside invented recipes: a first plan there takes seconds,
and what those cost is the same for all pairs."""
MEASURES = (("plan", "bare", 10), ("asking", "bare", 10), ("crowded", "plan", 1.5))
"""What is measured of a plan, against what, and the bar."""
INVENTED = 2000


def measure() -> list[Bar]:
    return [_help(), *_lists(), *_plan()]


def _help() -> Bar:
    click = [sys.executable, "-c", "import click"]
    samples: dict[str, list[float]] = {"help": [], "click": []}
    for _ in range(REPETITIONS):
        samples["click"].append(cpu_seconds(click))
        samples["help"].append(cpu_seconds(mlorch("--help")))
    best = least(samples)
    return Bar(
        what="`mlorch --help` against `python -c 'import click'` (CPU)",
        value=best["help"] / best["click"],
        bar=1.25,
        detail=f"{best['help'] * 1000:.0f} ms / {best['click'] * 1000:.0f} ms",
    )


LISTS = {"benchmarks list": 14, "targets": 40, "results list": 14}
"""Commands that list the catalogue, this machine, and a folder without results; each with its bar."""


def _lists() -> list[Bar]:
    """What lists costs. Benchmarks are kept between calls as plans are; targets are not, and pay for pydantic."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "MLORCH_HOME": str(Path(folder) / "home")}
        lines = {name: mlorch(*name.split(), "--json") for name in LISTS}
        lines["results list"] += ["-o", folder]
        samples: dict[str, list[float]] = {name: [] for name in ("bare", *lines)}
        for argv in lines.values():
            cpu_seconds(argv, env=env)
        for _ in range(REPETITIONS):
            samples["bare"].append(cpu_seconds([sys.executable, "-c", "pass"]))
            for name, argv in lines.items():
                samples[name].append(cpu_seconds(argv, env=env))
    best = least(samples)
    return [
        Bar(
            what=f"`mlorch {name}` against `python -c pass` (CPU)",
            value=best[name] / best["bare"],
            bar=bar,
            detail=f"{best[name] * 1000:.0f} ms / {best['bare'] * 1000:.0f} ms",
        )
        for name, bar in LISTS.items()
    ]


def _selections() -> list[tuple[str, str]]:
    listing = subprocess.run(mlorch("benchmarks", "list", "--json"), capture_output=True, text=True, check=True)
    found = json.loads(listing.stdout)["benchmarks"]
    return [(target, benchmark["name"]) for benchmark in found for target in benchmark["targets"]]


def _plan() -> list[Bar]:
    """`plan` of every benchmark on every target that it has; of each measure the dearest pair counts.

    The greatest of many short measurements is mostly noise, so the pairs that look dearest are measured again.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        crowd = Path(folder) / "crowd"
        _invent(crowd)
        # A home where no engine is known, and the same with the engine that is here.
        env = {**os.environ, "MLORCH_HOME": str(Path(folder) / "home")}
        asking = {**env, "DOCKER_HOST": mlorch_json("engine", "status")["host"]}
        for number, pair in enumerate(_selections()):
            found[pair] = _measured(*pair, None if number % CROWDED else crowd, env, asking, PLANS)
        for pair in {pair for one, other, _ in MEASURES for pair in _ranked(found, one, other)[:DOUBTED]}:
            again = _measured(*pair, crowd, env, asking, REPETITIONS)
            found[pair] = {name: min(seconds, found[pair].get(name, seconds)) for name, seconds in again.items()}
    titles = (
        "`mlorch plan`, each pair of benchmark and target, against `python -c pass` (CPU)",
        "the same where an engine answers",
        f"the same beside {INVENTED} invented recipes, against without them",
    )
    return [_dearest(found, *measure, title) for measure, title in zip(MEASURES, titles, strict=True)]


def _measured(
    target: str, benchmark: str, crowd: Path | None, env: dict[str, str], asking: dict[str, str], times: int
) -> dict[str, float]:
    """The least CPU seconds of a bare Python, of a plan, of one where an engine answers, of one beside a crowd."""
    plan = mlorch("plan", benchmark, "--target", target, "--json")
    lines = {"plan": (plan, env), "asking": (plan, asking)}
    if crowd is not None:
        lines["crowded"] = ([*plan, "--recipes", str(crowd)], env)
    samples: dict[str, list[float]] = {"bare": [], **{name: [] for name in lines}}
    for argv, _ in lines.values():
        cpu_seconds(argv, env=env)  # compiled and kept once, as on a user's first call
    for _ in range(times):
        samples["bare"].append(cpu_seconds([sys.executable, "-c", "pass"]))
        for name, (argv, around) in lines.items():
            samples[name].append(cpu_seconds(argv, env=around))
    return least(samples)


def _ranked(found: dict[tuple[str, str], dict[str, float]], one: str, other: str) -> list[tuple[str, str]]:
    """The pairs of which both were measured, dearest first."""
    both = [pair for pair, times in found.items() if {one, other} <= times.keys()]
    return sorted(both, key=lambda pair: found[pair][one] / found[pair][other], reverse=True)


def _dearest(found: dict[tuple[str, str], dict[str, float]], one: str, other: str, bar: float, what: str) -> Bar:
    both = _ranked(found, one, other)
    target, benchmark = both[0]
    times = found[target, benchmark]
    middle = statistics.median(found[pair][one] / found[pair][other] for pair in both)
    return Bar(
        what=what,
        value=times[one] / times[other],
        bar=bar,
        detail=f"{times[one] * 1000:.0f} ms / {times[other] * 1000:.0f} ms, {benchmark} on {target}, "
        f"the dearest of {len(both)}; half of them below {middle:.2f} x",
    )


def _invent(folder: Path) -> None:
    """Two thousand valid layer recipes that nothing uses."""
    layers = folder / "recipes" / "layers"
    layers.mkdir(parents=True)
    for index in range(INVENTED):
        (layers / f"invented-{index}.yaml").write_text(
            f"kind: layer\nname: invented-{index}\ntitle: Invented layer {index}\n"
            "level: framework\ntemplate: python.Dockerfile.j2\n",
            encoding="utf-8",
        )
