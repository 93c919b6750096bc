"""Assets while processes are killed and meet: nothing half-made counts, and what came is not fetched twice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_http import answer, server

pytestmark = [pytest.mark.sockets, pytest.mark.processes]
DATA = bytes(range(256)) * 8192
MADE = b"made of the sources"

PROGRAM = '''
import os, sys, time
from pathlib import Path
from orchestrator.assets.provider import AssetProvider, Prep
from orchestrator.assets.sources import Sources
from orchestrator.assets.store import Store
from orchestrator.definitions.catalog import Root, load
from orchestrator.engines import ContainerExit
from orchestrator.host.site import SiteConfig
from orchestrator.packages.fetch import Fetcher

recipes, home, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

class Engine:
    """A container that writes half of its file, waits, and writes the rest."""
    def run(self, spec, on_line, on_started=None):
        out = Path(next(m.source for m in spec.mounts if m.target == "/out")) / "net.bin"
        with (home / "runs").open("a") as runs:
            runs.write("run\\n")
        data = DATA_HERE
        out.write_bytes(data[:5])
        print("preparing", flush=True)
        time.sleep(seconds)
        out.write_bytes(data)
        return ContainerExit(container_id="c", exit_code=0, out_of_memory=False)

catalog = load([Root(recipes, "path:test")])
provider = AssetProvider(
    catalog=catalog, store=Store(home), sources=Sources(catalog, Fetcher(SiteConfig(), home)),
    prep=Prep(engine=Engine, image=lambda layer: "image"),
)
print("begun", flush=True)
print(provider.get(catalog.model("net")).folder, flush=True)
'''.replace("DATA_HERE", repr(MADE))


def sha(data):
    return hashlib.sha256(data).hexdigest()


class World:
    def __init__(self, tmp_path, url, *, prepare):
        self.recipes, self.home = tmp_path / "recipes", tmp_path / "home"
        self.recipes.mkdir()
        self.home.mkdir()
        made = MADE if prepare else DATA
        definition = {
            "kind": "model",
            "name": "net",
            "title": "net",
            "format": "other",
            "parameters": 1,
            "trained_by": "us",
            "sources": [
                {
                    "kind": "http",
                    "urls": [f"{url}/net.bin"],
                    "sha256": sha(DATA),
                    "size": len(DATA),
                    "licence": {"spdx": "MIT"},
                }
            ],
            "outputs": [{"file": "net.bin", "sha256": sha(made)}],
        }
        if prepare:
            definition["prepare"] = {"command": ["make"], "layer": "tools"}
        (self.recipes / "net.yaml").write_text(json.dumps(definition))
        layer = "kind: layer\nname: tools\ntitle: T\nlevel: side\ntemplate: python.Dockerfile.j2\n"
        (self.recipes / "tools.yaml").write_text(layer)

    def start(self, seconds=0.0):
        words = [sys.executable, "-c", PROGRAM, str(self.recipes), str(self.home), str(seconds)]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def finish(self, process):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return Path(out.splitlines()[-1])

    def whole(self):
        """Everything that would count: trees with a marker, downloads under their hash."""
        markers = list((self.home / "assets").rglob("complete.json"))
        return [*markers, *(p for p in (self.home / "downloads").rglob("*") if len(p.name) == 64)]


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    process.stderr.close()


def test_kill_9_in_the_middle_of_a_download_leaves_nothing_that_counts_and_the_next_goes_on(tmp_path):
    half, sent, over = len(DATA) // 2, threading.Event(), threading.Event()

    def handle(handler, count):
        if count > 1:
            start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            more = {"Content_Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
            answer(handler, 206 if start else 200, DATA[start:], ETag='"v1"', **more)
            return
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:half])
        handler.wfile.flush()
        sent.set()
        over.wait(30)
        handler.close_connection = True

    with server(handle) as (url, asked):
        world = World(tmp_path, url, prepare=False)
        process = world.start()
        assert sent.wait(30)
        part = None
        for _ in range(300):
            parts = list((world.home / "downloads").rglob("*.part"))
            if parts and parts[0].stat().st_size > half // 2:
                part = parts[0]
                break
            time.sleep(0.02)
        assert part is not None
        kill(process)
        over.set()
        assert world.whole() == []
        folder = world.finish(world.start())
        assert (folder / "net.bin").read_bytes() == DATA
        begun = int(asked[1][2]["Range"].removeprefix("bytes=").removesuffix("-"))
        assert half // 2 < begun <= half
    assert not list((world.home / "downloads").rglob("*.part"))


def test_kill_9_in_the_middle_of_a_preparation_leaves_nothing_that_counts(tmp_path):
    with server(lambda h, _: answer(h, body=DATA)) as (url, asked):
        world = World(tmp_path, url, prepare=True)
        process = world.start(seconds=60)
        assert process.stdout.readline() == "begun\n"
        assert process.stdout.readline() == "preparing\n"
        kill(process)
        assert not list((world.home / "assets").rglob("complete.json"))
        folder = world.finish(world.start())
        assert (folder / "net.bin").read_bytes() == MADE
    assert len(asked) == 1  # the download was whole
    assert [p.name for p in folder.parents[1].iterdir() if p.name.endswith(".new")] == []


def test_two_processes_at_once_fetch_and_prepare_once(tmp_path):
    def slowly(handler, _count):
        time.sleep(0.3)
        answer(handler, body=DATA)

    with server(slowly) as (url, asked):
        world = World(tmp_path, url, prepare=True)
        folders = {world.finish(process) for process in [world.start(0.5) for _ in range(3)]}
    assert len(folders) == 1
    assert len(asked) == 1
    assert (world.home / "runs").read_text() == "run\n"
