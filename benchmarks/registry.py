"""Pull and run on an empty engine, against the engine's own `docker pull` of the same bytes and the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Bar, mlorch, mlorch_json, note, wall_seconds
from docker_side import docker, environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))

REPETITIONS = 9
STORE = "4g"
BENCHMARK, ASSETS = "image-fashion", ("resnet8-fashion", "fashion-mnist")


def measure() -> list[Bar]:
    """One bar; both sides start from an empty store each time, in turn.

    The middle one of the turns' ratios counts: what the engine takes to unpack the same bytes differs much from
    turn to turn, whoever asks, and the least of each side would compare one lucky turn with another. For the
    same reason the second engine's store lies in memory.
    """
    from registry_parts import another_engine, registry

    from orchestrator.host.folders import cache_home

    note("pull and run on an empty engine from a registry on loopback")
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder, registry(Path(folder)) as running:
        mlorch_json("build", "--benchmark", BENCHMARK)
        subprocess.run(mlorch("assets", "get", *ASSETS), check=True, capture_output=True)
        sent = mlorch_json("images", "push", running.host, "--benchmark", BENCHMARK)["pushed"][-1]
        with another_engine(size=STORE) as second:
            (second.home / "cache").mkdir()
            (second.home / "cache/assets").symlink_to(cache_home() / "assets")
            return [_measured(second, running, sent)]


def _measured(second, running, sent: dict) -> Bar:
    env = second.env(MLORCH_REGISTRIES=running.host)
    run = mlorch(
        "run",
        BENCHMARK,
        "--scenario",
        "Offline",
        "--mode",
        "accuracy",
        "--no-build",
        "-o",
        str(second.home / "results"),
    )
    pull = [docker(), "pull", "-q", f"{running.host}/mlorch/{sent['layer']}@{sent['digest']}"]
    own = f"localhost/mlorch/{sent['layer']}:{sent['content_id']}"
    docker_env = environment(DOCKER_HOST=second.host)
    ours, theirs, pulls = [], [], []

    def pull_and_run() -> None:
        _empty(second)
        ours.append(wall_seconds(run, env=env))

    def pull_then_run() -> None:
        _empty(second)
        pulls.append(wall_seconds(pull, env=docker_env))
        subprocess.run([docker(), "tag", pull[-1], own], env=docker_env, check=True)
        theirs.append(pulls[-1] + wall_seconds(run, env=env))

    sides = [pull_and_run, pull_then_run]
    for _ in range(REPETITIONS):
        for side in sides:
            side()
        sides.reverse()  # neither side always follows the other
    size = second.engine.image(own).size / 1e6
    return Bar(
        what="pull and run on an empty engine, against `docker pull` of the same digest and the same run",
        value=statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
        bar=1.1,
        detail=f"the middle one of {REPETITIONS} turns; at best {min(ours):.2f} s / {min(theirs):.2f} s "
        f"(of it the pull {min(pulls):.2f} s); {size:.0f} MB sent",
    )


def _empty(second) -> None:
    """Every name off, so that the engine drops its layers."""
    for item in second.engine.sdk.images():
        for name in (*(item.get("RepoTags") or ()), *(item.get("RepoDigests") or ())):
            second.engine.remove_image(name)
    left = second.engine.sdk.images()
    if left:
        raise RuntimeError(f"the second engine is not empty: {left}")
    os.sync()  # what was thrown away is not to be written while a clock runs
