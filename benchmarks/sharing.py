"""What images share: bytes and layers that are built once, and what rendering everything costs.

From images that are really built, the shipped benchmarks first and then beside invented ones
(copies of a shipped one under other names, laid over), which are removed again.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common import Bar, mlorch_json, note
from docker_side import docker, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = Path(__file__).parents[1] / "recipes" / "benchmarks"
INVENTED = 6
TIMES = (1, 4, 16)
REPETITIONS = 7

# One process: read every recipe, plan and render every benchmark on every target. The first round is the
# measure of the whole; of the others, over each folder of invented benchmarks, the least counts.
RENDER = """
import json, sys, time
from pathlib import Path
from orchestrator.definitions.catalog import Root, builtin_root, load
from orchestrator.plan.build.planner import build_plans
def everything(folder):
    catalog = load([builtin_root(), Root(path=Path(folder), origin="path:x")])
    return [plan for target in catalog.names("target") for plan in build_plans(catalog, target=target)]
plans = everything(sys.argv[2])
told = {"seconds": time.process_time(), "images": len(plans), "layers": sum(len(plan.layers) for plan in plans)}
least = {}
for _ in range(int(sys.argv[1])):
    for folder in sys.argv[2:]:
        began = time.process_time()
        count = len(everything(folder))
        took = time.process_time() - began
        least[folder] = (count, min(took, least.get(folder, (0, took))[1]))
print(json.dumps(told | {"growth": list(least.values())}))
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
    """For each benchmark that a bare `mlorch run` measures its image and the images of its layers, parents first."""
    found = mlorch_json("benchmarks", "list", *recipes)["benchmarks"]
    plans = []
    for benchmark in (each["name"] for each in found if each["default"] and target in each["targets"]):
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
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(_invented(times - 1, names)) for times in TIMES]
        line = [sys.executable, "-c", RENDER, str(REPETITIONS), *folders]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"rendering ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    growth = told["growth"]
    (n1, t1), (n2, t2), (n3, t3) = growth
    shown = "; ".join(f"{x} ×: {n} images in {t:.2f} s" for x, (n, t) in zip(TIMES, growth, strict=True))
    return [
        Bar(
            what="rendering all targets × all benchmarks in one process, start-up and imports with it (CPU)",
            value=told["seconds"],
            bar=1.5,
            unit="s",
            detail=f"{told['images']} images, {told['layers']} layers",
        ),
        Bar(
            what="CPU of one more image between 4 × and 16 × the benchmarks, against between 1 × and 4 ×",
            value=(t3 - t2) / (n3 - n2) / ((t2 - t1) / (n2 - n1)),
            bar=1.25,
            detail=shown,
        ),
    ]
