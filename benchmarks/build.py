"""What `mlorch build` costs when nothing is to be built, and what a change rebuilds."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from common import Bar, least, mlorch, mlorch_json, note, wall_seconds
from docker_side import docker, environment

REPETITIONS = 9
BENCHMARK = "image-fashion"
RECIPES = Path(__file__).parents[1] / "recipes"

# Loaded by the Python of a measured command: a line for each program that it starts, whatever client it is.
HOOK = """
import os, sys
def write(line):
    with open(os.environ["BENCH_STARTED"], "a", encoding="utf-8") as stream:
        stream.write(line + chr(10))
def hook(event, arguments):
    if event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"}:
        write(f"{event} {arguments[0]}")
write("python")
sys.addaudithook(hook)
"""


def measure() -> list[Bar]:
    """A build that finds everything, and the layers that two changes rebuild."""
    mlorch_json("build")
    return [*_nothing_to_build(), *_rebuilt()]


def _nothing_to_build() -> list[Bar]:
    note("mlorch build with everything there")
    document, programs = _watched("build")
    states = {layer["state"] for layer in document["layers"]}
    if states != {"hit"}:
        raise RuntimeError(f"all layers were to be hits, and are {sorted(states)}")
    images = [layer["image"] for layer in document["layers"]]
    samples: dict[str, list[float]] = {"build": [], "inspect": [], "start": []}
    env = environment()
    for _ in range(REPETITIONS):
        samples["start"].append(wall_seconds(mlorch("--version")))
        samples["build"].append(wall_seconds(mlorch("build", "--json")))
        samples["inspect"].append(sum(wall_seconds([docker(), "image", "inspect", each], env=env) for each in images))
    best = least(samples)
    return [
        Bar(
            what="`mlorch build`, nothing to build, less `mlorch --version`, against `docker image inspect` of each",
            value=(best["build"] - best["start"]) / best["inspect"],
            bar=1.5,
            detail=f"({best['build'] * 1000:.0f} − {best['start'] * 1000:.0f}) ms / {best['inspect'] * 1000:.0f} ms, "
            f"{len(images)} layers",
        ),
        Bar(
            what="programs (builders, clients) that it starts",
            value=len(programs),
            bar=0,
            unit="",
            detail="by an audit hook in its Python, which sees the builder in the two rows below",
        ),
    ]


def _watched(*arguments: str) -> tuple[dict, list[str]]:
    """The JSON of a command, and the programs that it started."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        log = Path(folder) / "started"
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH", ""))))
        document = mlorch_json(*arguments, env={**os.environ, "PYTHONPATH": path, "BENCH_STARTED": str(log)})
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    if "python" not in lines:
        raise RuntimeError("the audit hook was not loaded, so nothing is known of what was started")
    return document, [line for line in lines if line != "python"]


# -- what a change rebuilds ----------------------------------------------------------------


def _rebuilt() -> list[Bar]:
    return [
        _after("the benchmark's own configuration", _change_configuration, [f"{BENCHMARK}-cpu"]),
        _after("harness code", _change_code, ["harness-code", f"{BENCHMARK}-cpu"]),
    ]


def _after(what: str, change, expected: list[str]) -> Bar:
    """The layers that a build makes after a change; their images are removed again."""
    note(f"rebuilding after a change of {what}")
    with tempfile.TemporaryDirectory() as folder:
        change(Path(folder), f"{time.time_ns():x}")
        began = time.perf_counter()
        document, programs = _watched("build", "--target", "cpu", "--benchmark", BENCHMARK, "--recipes", folder)
        took = time.perf_counter() - began
    built = [layer for layer in document["layers"] if layer["state"] == "built"]
    names = [layer["name"] for layer in built]
    images = [layer["image"] for layer in reversed(built)]
    subprocess.run([docker(), "image", "rm", *images], env=environment(), capture_output=True, check=False)
    if not set(expected) <= set(names):
        raise RuntimeError(f"a change of {what} was to rebuild {expected}, and rebuilt {names}")
    if not programs:
        raise RuntimeError("a build started no program that the audit hook saw, so the hook proves nothing")
    return Bar(
        what=f"layers that a change of {what} rebuilds, of {len(document['layers'])}",
        value=len(names),
        bar=len(expected),
        unit="",
        detail=f"{', '.join(names)} in {took:.1f} s",
    )


def _change_configuration(folder: Path, mark: str) -> None:
    """The benchmark's recipe with another title."""
    lines = (RECIPES / "benchmarks" / f"{BENCHMARK}.yaml").read_text(encoding="utf-8").splitlines()
    changed = [f"title: Changed {mark}" if line.startswith("title:") else line for line in lines]
    (folder / f"{BENCHMARK}.yaml").write_text("\n".join(changed) + "\n", encoding="utf-8")


def _change_code(folder: Path, mark: str) -> None:
    """One more file of code in the layer of the harness."""
    code = folder / "recipes" / "code"
    code.mkdir(parents=True)
    (code / "extra.py").write_text(f"MARK = {mark!r}\n", encoding="utf-8")
    shipped = (RECIPES / "layers" / "harness-code.yaml").read_text(encoding="utf-8")
    more = "copy:\n  - source: code/extra.py\n    to: /opt/mlorch/extra.py\n"
    (folder / "recipes" / "harness-code.yaml").write_text(shipped.replace("copy:\n", more, 1), encoding="utf-8")
