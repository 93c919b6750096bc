"""What the harness and the container cost, in the container that `mlorch run` would start.

`harness_efficiency.py` runs in the image and compares LoadGen runs with a bare loop
there; then, on `cpu`, the same harness with the same settings runs in the container and on
the host, in turn. The host's Python gets the packages of the image in a folder of its own.
`--target` measures the first part on another target, with the devices that a run would get.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common import Bar, mlorch_json, note
from docker_side import Container, Weight, container, environment, own_home, weight

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = ("image-fashion", "image-smoke")
SCENARIOS = ("Offline", "SingleStream")
SECONDS, ROUNDS = 1.0, 8
PAIRS = 14
ROOT = Path(__file__).parents[1]


def measure(target: str = "cpu") -> list[Bar]:
    """Against the bare loop in the image, and on cpu against the host, for both workloads."""
    for benchmark in BENCHMARKS:
        mlorch_json("build", "--target", target, "--benchmark", benchmark)
    mlorch_json("assets", "get")
    with own_home() as env, weight() as favoured, tempfile.TemporaryDirectory() as folder:
        tests = {(b, s): container(b, s, env, target) for b in BENCHMARKS for s in SCENARIOS}
        bars = [against_loop(shape, Path(folder), favoured, SECONDS, ROUNDS) for shape in tests.values()]
        if target != "cpu":
            return bars
        with _host_python(next(iter(tests.values())), Path(folder)) as python:
            bars += [_against_host(b, s, shape, python, favoured) for (b, s), shape in tests.items()]
    return bars


# -- the bare loop -------------------------------------------------------------------------


def against_loop(shape: Container, folder: Path, favoured: Weight, seconds: float, rounds: int) -> Bar:
    """One test in its container, against a bare loop there."""
    settings = shape.settings
    note(f"{settings['benchmark']} {settings['scenario']}: the harness and a bare loop in the image")
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    command = ("python3", "/bench/harness_efficiency.py", "/results/settings.json", "--json")
    mounts: list[str] = []
    for name in ("harness_efficiency.py", "harness_loops.py"):
        mounts += ["--mount", f"type=bind,source={ROOT / 'benchmarks' / name},target=/bench/{name},readonly"]
    line = shape.line(
        *(*command, "--seconds", str(seconds), "--rounds", str(rounds)),
        results=folder,
        more=(*favoured.options, *mounts),
    )
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    try:
        (row,) = json.loads(done.stdout)["rows"]
    except ValueError:
        raise RuntimeError(f"harness_efficiency.py ended with {done.returncode}:\n{done.stderr[-2000:]}") from None
    return loop_bar(row, settings["backend"], settings["providers"][0])


def loop_bar(row: dict, framework: str, provider: str, name: str = "") -> Bar:
    """The row of a comparison as `harness_efficiency.py` gives it; ``name`` in place of the benchmark's."""
    name, style = name or row["benchmark"], "" if row["style"] == "plain" else f" ({row['style']})"
    layouts = f"loop {_layout(row['loop_layout'])}{style}, harness {_layout(row['layout'])}"
    if row["scenario"] == "Offline":
        return Bar(
            what=f"{name} Offline: {row['unit']} against a bare {framework} loop on {provider}, best layout",
            value=row["ratio"],
            bar=row["bar"],
            at_least=True,
            detail=f"{row['harness']:,.0f} / {row['loop']:,.0f} {row['unit']}; {layouts}",
        )
    factor, extra = row["bar"]["factor"], row["bar"]["extra_ns"]
    limit = f"{factor:g} × the bare call + {extra / 1000:g} µs"
    return Bar(
        what=f"{name} SingleStream ({framework} on {provider}): mean latency against {limit}",
        value=row["harness"] / (factor * row["loop"] + extra),
        bar=1,
        detail=f"{row['harness'] / 1000:,.1f} µs, bare {row['loop'] / 1000:,.1f} µs ({row['ratio']:.2f} ×); {layouts}",
    )


def _layout(layout: dict[str, int]) -> str:
    return f"{layout['instances']} × {layout['threads']} batch {layout['batch']}"


# -- the host ------------------------------------------------------------------------------


@contextmanager
def _host_python(shape: Container, folder: Path) -> Iterator[Path]:
    """A Python of the host with the packages of the image; removed afterwards."""
    names = "numpy", "onnxruntime", "mlcommons-loadgen"
    ask = f"import importlib.metadata as m; print(*(n + '==' + m.version(n) for n in {names}))"
    told = subprocess.run(
        shape.line("python3", "-c", ask, results=folder), env=environment(), capture_output=True, text=True, check=True
    )
    note(f"the same packages for the host: {told.stdout.strip()}")
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as place:
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        python = Path(place) / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *told.stdout.split()], check=True, stderr=subprocess.DEVNULL)
        yield python


def _against_host(benchmark: str, scenario: str, shape: Container, python: Path, favoured: Weight) -> Bar:
    note(f"{benchmark} {scenario}: the harness in its container and on the host")
    settings = json.loads(json.dumps(shape.settings))
    settings["loadgen"]["min_duration_ms"] = round(1000 * SECONDS)
    first = _in_container(shape, settings, favoured)["effective"]
    settings["execution"] |= {name: first[name]["value"] for name in ("instances", "threads", "batch")}
    known = ("target_qps", "expected_latency_ns")
    settings["loadgen"] |= {name: first[name]["value"] for name in known if name in first}
    rates: dict[str, list[float]] = {"container": [], "host": []}
    for _ in range(PAIRS):
        rates["container"].append(_in_container(shape, settings, favoured)["rate"])
        rates["host"].append(_on_host(shape, settings, python, favoured)["rate"])
    inside, outside = max(rates["container"]), max(rates["host"])
    unit = "samples/s" if scenario == "Offline" else "queries/s at the median latency"
    return Bar(
        what=f"{benchmark} {scenario}: {unit}, container against the same harness on the host",
        value=inside / outside,
        bar=0.98,
        at_least=True,
        detail=f"{inside:,.0f} / {outside:,.0f}, the best of {PAIRS} turns each",
    )


def _in_container(shape: Container, settings: dict, favoured: Weight) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        command = ("python3", "-m", "mlorch_harness", "/results/settings.json")
        line = shape.line(*command, results=Path(folder), more=favoured.options)
        done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
        return _read(Path(folder), done, settings["scenario"])


def _on_host(shape: Container, settings: dict, python: Path, favoured: Weight) -> dict:
    """The same on the same processors; the paths are those that the container mounts."""
    here = json.loads(json.dumps(settings))
    arrays = here["dataset"]["arrays"]
    for document, key in ((here["model"], "path"), *((arrays, name) for name in arrays)):
        inside = Path(document[key])
        document[key] = str(Path(shape.source(str(inside.parent))) / inside.name)

    def before() -> None:
        favoured.enter()
        os.sched_setaffinity(0, here["execution"]["cpus"])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps(here), encoding="utf-8")
        threads = str(len(here["execution"]["cpus"]))
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        command = [str(python), "-m", "orchestrator.harness", str(path)]
        done = subprocess.run(command, env=env, preexec_fn=before, capture_output=True, text=True, check=False)
        return _read(Path(folder), done, here["scenario"])


def _read(folder: Path, done: subprocess.CompletedProcess[str], scenario: str) -> dict:
    """The rate by LoadGen's own summary, and the layout that the harness chose.

    Raises:
        RuntimeError: the harness failed.
    """
    if done.returncode != 0:
        raise RuntimeError(f"the harness ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    summary = (folder / "mlperf_log_summary.txt").read_text(encoding="utf-8")
    name = "Samples per second" if scenario == "Offline" else r"50.00 percentile latency \(ns\)"
    found = re.search(rf"^{name}\s*: (\S+)", summary, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"LoadGen's summary has no {name}")
    rate = float(found[1]) if scenario == "Offline" else 1e9 / float(found[1])
    return {"rate": rate, "effective": json.loads((folder / "harness.json").read_text(encoding="utf-8"))["effective"]}
