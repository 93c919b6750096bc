"""What images share: bytes and layers that are built once, and what rendering everything costs.

From images that are really built, the shipped benchmarks first and then beside invented ones
(copies of a shipped one under other names, laid over), which are removed again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common import Bar, least, mlorch_json, note
from docker_side import docker, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = Path(__file__).parents[1] / "recipes" / "benchmarks"
INVENTED = 6
TIMES = (1, 4, 16)
REPETITIONS = 5

# One process: read every recipe, plan and render every benchmark on every target; CPU seconds, and how many plans.
RENDER = """
import json, sys, time
from pathlib import Path
from orchestrator.catalog import Root, builtin_root, load
from orchestrator.plan import build_plans
catalog = load([builtin_root(), *(Root(path=Path(folder), origin="path:x") for folder in sys.argv[1:])])
plans = [plan for target in catalog.names("target") for plan in build_plans(catalog, target=target)]
print(json.dumps([time.process_time(), len(plans), sum(len(plan.layers) for plan in plans)]))
"""


def measure(target: str = "cpu") -> list[Bar]:
    """Bytes and layers of one target's images; rendering of all targets."""
    return [*_images(target), *_rendering()]


# -- images --------------------------------------------------------------------------------


def _images(target: str) -> list[Bar]:
    note(f"the images of {target}, shipped and invented")
    shipped = mlorch_json("build", "--target", target)
    bars = [_bytes(target, [], "the shipped ones")]
    with _invented(INVENTED) as folder:
        recipes = ("--recipes", folder)
        names = [path.stem for path in Path(folder).glob("*.yaml")]
        first = mlorch_json("build", "--target", target, "--benchmark", names[0], *recipes)
        built = [layer["name"] for layer in first["layers"] if layer["state"] == "built"]
        mlorch_json("build", "--target", target, *recipes)
        more = _bytes(target, recipes, f"with {INVENTED} invented ones of the same framework")
        mine = [plan["image"] for plan in _plans(target, recipes)]
        known = {layer["image"] for layer in shipped["layers"]}
        _remove([image for image in mine if image not in known])
    second = Bar(
        what=f"layers that one more benchmark of the same framework builds on {target}",
        value=len(built),
        bar=2,
        unit="",
        detail=", ".join(built),
    )
    return [*bars, more, second]


def _bytes(target: str, recipes: tuple[str, ...] | list[str], which: str) -> Bar:
    """Unpacked bytes of all layers once, against those of every image by itself."""
    plans = _plans(target, recipes)
    sizes = {image: _size(image) for plan in plans for image in plan["layers"]}
    own: dict[str, int] = {}
    alone = 0
    for plan in plans:
        below = 0
        for image in plan["layers"]:
            own[image] = sizes[image] - below
            below = sizes[image]
        alone += below
    together = sum(own.values())
    last = sum(own[plan["image"]] for plan in plans)
    return Bar(
        what=f"bytes built for all {len(plans)} benchmarks of {target} ({which}), against each image alone",
        value=together / alone,
        # Of n benchmarks that share everything the least is 1/n: the bar of 0.35 says something from three on.
        bar=max(0.35, 1.01 / len(plans)),
        detail=f"{together / 1e6:,.1f} / {alone / 1e6:,.1f} MB; all but {last / 1e3:,.1f} kB are shared, "
        f"and the least possible is {1 / len(plans):.3f} x",
    )


def _plans(target: str, recipes: tuple[str, ...] | list[str]) -> list[dict]:
    """For each benchmark its image and the images of its layers, parents first."""
    found = mlorch_json("benchmarks", "list", *recipes)["benchmarks"]
    plans = []
    for benchmark in (each["name"] for each in found if target in each["targets"]):
        layers = mlorch_json("plan", "--target", target, "--benchmark", benchmark, *recipes)["layers"]
        images = [layer["image"] for layer in layers]
        plans.append({"image": images[-1], "layers": images})
    return plans


def _size(image: str) -> int:
    """The unpacked bytes of an image by the engine's own history of it."""
    line = [docker(), "history", "--human=false", "--format", "{{.Size}}", image]
    told = subprocess.run(line, env=environment(), capture_output=True, text=True, check=True)
    return sum(int(size) for size in told.stdout.split())


def _remove(images: list[str]) -> None:
    subprocess.run([docker(), "image", "rm", *images], env=environment(), capture_output=True, check=False)


@contextmanager
def _invented(count: int, of: tuple[str, ...] = ("image-fashion",)) -> Iterator[str]:
    """A folder with `count` copies of each of some shipped benchmarks, under other names."""
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        for name in of:
            text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
            for number in range(count):
                other = f"{name}-{number}"
                (Path(folder) / f"{other}.yaml").write_text(text.replace(f"name: {name}\n", f"name: {other}\n", 1))
        yield folder


# -- rendering -----------------------------------------------------------------------------


def _rendering() -> list[Bar]:
    note("rendering every benchmark on every target")
    names = tuple(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    samples: dict[str, list[float]] = {str(times): [] for times in (0, *TIMES)}
    counts: dict[str, tuple[int, int]] = {}
    for _ in range(REPETITIONS):
        samples["0"].append(_cpu("import orchestrator.catalog, orchestrator.plan, jinja2.sandbox, yaml")[0])
        for times in TIMES:
            with _invented(times - 1, names) as folder:
                seconds, plans, layers = _cpu(RENDER, folder)
            samples[str(times)].append(seconds)
            counts[str(times)] = (plans, layers)
    best = least(samples)
    first, middle, last = (str(times) for times in TIMES)
    early = (best[middle] - best[first]) / (counts[middle][0] - counts[first][0])
    late = (best[last] - best[middle]) / (counts[last][0] - counts[middle][0])
    return [
        Bar(
            what="rendering all targets × all benchmarks in one process (CPU)",
            value=best[first],
            bar=1.5,
            unit="s",
            detail=f"{counts[first][0]} images, {counts[first][1]} layers, {best['0']:.2f} s of it for imports",
        ),
        Bar(
            what=f"what one more image costs from {middle} to {last} × the benchmarks, against from {first} to {middle} ×",
            value=late / early,
            bar=1.25,
            detail="; ".join(f"{name} ×: {counts[name][0]} images in {best[name]:.2f} s" for name in counts),
        ),
    ]


def _cpu(code: str, *arguments: str) -> list[float]:
    """What the code prints, or the CPU seconds of a process that only runs it."""
    text = code if code is RENDER else f"{code}\nimport json, time\nprint(json.dumps([time.process_time()]))"
    done = subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"rendering ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
