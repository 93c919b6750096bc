"""What a look at a data set costs before a run: 50,000 files that are compared with what is noted of them.

Once in the store, once in a folder of a user who has the data; nothing is hashed. CPU time (user + system) of the
check itself in a process of its own, the least of several.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Bar, note

FILES, FOLDERS = 50_000, 50
REPETITIONS = 7
BAR_S = 1.0

CHECK = """
import json, sys, time
from pathlib import Path
from orchestrator.assets import trees
from orchestrator.assets.given import GivenFolder
from orchestrator.assets.store import Store
from orchestrator.definitions.catalog import Root, load
kept, folder, recipes = map(Path, sys.argv[1:4])
catalog = load([Root(path=recipes, origin="path:x")])
given = GivenFolder(store=Store(kept.parent), catalog=catalog, entry=catalog.dataset("crowd"), folder=folder)
def timed(check):
    began = time.process_time(), time.perf_counter()
    assert check()
    return time.process_time() - began[0], time.perf_counter() - began[1]
given.check()
found = {"kept": [], "given": []}
for _ in range(int(sys.argv[4])):
    found["kept"].append(timed(lambda: trees.find_tree(kept)))
    found["given"].append(timed(given.check))
print(json.dumps(found))
"""


def measure() -> list[Bar]:
    """The check of what the store has, and of what a user has."""
    note(f"a look at {FILES:,} files")
    from orchestrator.assets import trees

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        with trees.making(root / "kept", root / "quarantine", lambda _name: True, lambda _hashes: None) as made:
            _fill(made / "out")
        tree = trees.find_tree(root / "kept")
        assert tree is not None
        recipes = root / "recipes"
        recipes.mkdir()
        definition = {
            "kind": "dataset",
            "name": "crowd",
            "title": "many files",
            "samples": FILES,
            "sources": [{"kind": "local", "where": "here", "looks_like": "files", "licence": {"spdx": "MIT"}}],
            "outputs": [{"folder": ".", "files": FILES, "sha256": trees.manifest_sha256(tree.hashes)}],
        }
        (recipes / "crowd.yaml").write_text(json.dumps(definition), encoding="utf-8")
        words = [sys.executable, "-c", CHECK, str(root / "kept"), str(root / "kept/files"), str(recipes)]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run([*words, str(REPETITIONS)], env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    found = json.loads(done.stdout)
    names = {"kept": "in the store", "given": "in a user's own folder (`--data`)"}
    return [
        Bar(
            what=f"a look at a data set of {FILES:,} files before a run, {names[name]} (CPU)",
            value=min(cpu for cpu, _ in samples),
            bar=BAR_S,
            unit="s",
            detail=f"wall time {min(wall for _, wall in samples):.2f} s",
        )
        for name, samples in found.items()
    ]


def _fill(folder: Path) -> None:
    for number in range(FOLDERS):
        below = folder / f"{number:03d}"
        below.mkdir()
        for sample in range(FILES // FOLDERS):
            (below / f"{sample:05d}.npy").write_bytes(b"%d" % sample)
