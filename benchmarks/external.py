"""What `mlorch run` costs around somebody else's harness, beyond `docker run` of the same container.

The program is the small one of docs/add-a-harness.md, from a git repository that is made on the spot; its prepare
step was run before, as it is once for all runs. Whole wall times of the two commands, in turn; the least of each
counts. What is left is mlorch's own: recipes, planning, looking for images and assets, rendered files, the record,
the comparison of the container with the plan, reading LoadGen's logs, the report.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Bar, mlorch, note, wall_seconds
from docker_side import docker, environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))
from external_parts import make_repository, write_recipes

REPETITIONS = 7
TEST = ("suite-fashion", "--target", "cpu", "--scenario", "SingleStream", "--mode", "performance", "--duration", "1s")


def measure() -> list[Bar]:
    """One row: the difference of two wall times."""
    env = environment()
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        site = Path(folder) / "site"
        site.mkdir()
        write_recipes(site, make_repository(site / "mirrors" / "org" / "suite"))
        note("external: build, data and prepare step")
        record = _first(site)
        line = _docker_line(site, env, record)
        ours, bare = [], []
        try:
            for turn in range(REPETITIONS):
                note(f"external: turn {turn + 1} of {REPETITIONS}")
                shutil.rmtree(record.parent / "out")  # what the program left there before; it is the caller's now
                _give(record.parent, line)
                bare.append(wall_seconds(line, env=env))
                ours.append(wall_seconds(mlorch("run", *TEST, "--json"), env=env, cwd=str(site)))
        finally:
            _remove_images(record, env)
    return [
        Bar(
            what="`mlorch run` of somebody else's harness, beyond `docker run` of it",
            value=min(ours) - min(bare),
            bar=1.0,
            unit="s",
            detail=f"({min(ours):.2f} − {min(bare):.2f}) s, a SingleStream test of one second",
        )
    ]


def _first(site: Path) -> Path:
    """A run that makes what is missing, with the client that can build; gives its record, with the files beside it."""
    done = subprocess.run(mlorch("run", *TEST, "--json"), cwd=site, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mlorch run ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Path(json.loads(done.stdout)["results"][-1]["record"])


def _docker_line(site: Path, env: dict[str, str], record: Path) -> list[str]:
    """The `docker run` line of the test, over the files that were rendered for an earlier one."""
    done = subprocess.run(
        mlorch("run", *TEST, "--dry-run", "--json"), env=env, cwd=site, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)["containers"]
    container = next(each for each in found if "app/bench.py" in each["argv"])
    folder = next(word.split("source=")[1].split(",")[0] for word in container["argv"] if word.endswith("=/results"))
    words = iter(container["argv"][1:])
    line = [docker()]
    for word in words:
        if word in {"--name", "--label"}:  # two may run, and no mlorch takes it for the container of a dead one
            next(words)
        else:
            line.append(word.replace(folder, str(record.parent)))
    return line


def _give(folder: Path, line: list[str]) -> None:
    """What the container's user may write or read in a run is theirs: the results, and what steps before it made."""
    from orchestrator.host.left_behind import give

    user = line[line.index("--user") + 1]
    give(folder, user)
    for word in line:
        source = dict(part.partition("=")[::2] for part in word.split(","))
        if source.get("type") == "bind" and source.get("target", "").startswith("/artifacts"):
            give(Path(source["source"]), user)


def _remove_images(record: Path, env: dict[str, str]) -> None:
    """The layers of the program: its repository is another one next time, and nobody would use them again."""
    layers = json.loads(record.read_text(encoding="utf-8"))["image"]["layers"]
    names = [f"localhost/mlorch/{each['name']}:{each['content_id']}" for each in reversed(layers)]
    ours = [name for name in names if "/suite-" in name]
    subprocess.run([docker(), "image", "rm", *ours], env=env, capture_output=True, check=False)
