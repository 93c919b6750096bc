"""Somebody else's program as the client of a server that mlorch starts: real images, containers, LoadGen and HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from external_parts import SCORE, make_repository

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ASK = r'''
"""--scen offline|single --phase perf|acc --conf FILE --set DIR --to DIR --urls URL,URL"""
import argparse, array, http.client, io, itertools, os, threading, urllib.parse
import mlperf_loadgen as lg
import numpy as np

parser = argparse.ArgumentParser()
for name in ("scen", "phase", "conf", "set", "to", "urls"):
    parser.add_argument(f"--{name}", required=True)
o = parser.parse_args()
images = np.load(os.path.join(o.set, "images.npy"))
places = itertools.cycle([urllib.parse.urlsplit(url).netloc for url in o.urls.split(",")])
print("interfaces", *sorted(os.listdir("/sys/class/net")), flush=True)


def ask(connection, batch):
    body = io.BytesIO()
    np.save(body, batch)
    connection.request("POST", "/predict", body=body.getvalue())
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(f"the server answered {answer.status}")
    return np.frombuffer(answer.read(), np.int32)


def answer(queries):
    connection = http.client.HTTPConnection(next(places), timeout=30)
    for at in range(0, len(queries), 64):
        part = queries[at:at + 64]
        try:
            found = ask(connection, images[[q.index for q in part]])
        except (OSError, http.client.HTTPException) as error:
            print(f"ERROR {type(error).__name__}: {error}", flush=True)
            found = np.zeros(len(part), np.int32)
        kept = [array.array("B", np.int32(each).tobytes()) for each in found]
        lg.QuerySamplesComplete([
            lg.QuerySampleResponse(q.id, k.buffer_info()[0], k.buffer_info()[1]) for q, k in zip(part, kept)])


scenario = {"offline": "Offline", "single": "SingleStream"}[o.scen]
settings = lg.TestSettings()
settings.FromConfig(o.conf, "resnet50", scenario)
settings.scenario = getattr(lg.TestScenario, scenario)
settings.mode = lg.TestMode.AccuracyOnly if o.phase == "acc" else lg.TestMode.PerformanceOnly
logs = lg.LogSettings()
out = os.path.join(o.to, "1")
os.makedirs(out)
logs.log_output.outdir = out
sut = lg.ConstructSUT(answer, lambda: None)
qsl = lg.ConstructQSL(len(images), 1024, lambda _: None, lambda _: None)
lg.StartTestWithLogSettings(sut, qsl, settings, logs, "/does/not/exist")
lg.DestroyQSL(qsl)
lg.DestroySUT(sut)
print("bench done", flush=True)
'''
SERVE = r'''
"""MODEL PORT THREADS DIES_AFTER: answers POST /predict, images as numpy saves them, with classes as int32."""
import http.server, io, os, signal, sys
import numpy as np
import onnxruntime as ort

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
model, port, threads, dies_after = sys.argv[1], *map(int, sys.argv[2:])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feed, done = session.get_inputs()[0].name, [0]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, b"")

    def do_POST(self):
        done[0] += 1
        if dies_after and done[0] > dies_after:
            os._exit(7)
        images = np.load(io.BytesIO(self.rfile.read(int(self.headers["Content-Length"]))), allow_pickle=False)
        self.answer(200, session.run(None, {feed: images})[0].argmax(1).astype(np.int32).tobytes())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


print("serving on processors", sorted(os.sched_getaffinity(0)), flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''
RECIPES = {
    "mlorch.yaml": """\
recipes: [recipes]
mirrors:
  git:
    https://git.example/: mirrors/
""",
    "recipes/asker-code.yaml": """\
kind: layer
name: asker-code
title: A client's files
level: code
template: code.Dockerfile.j2
git:
  - {url: https://git.example/org/asker, ref: COMMIT, to: /opt/asker}
""",
    "recipes/serve-fashion-code.yaml": """\
kind: layer
name: serve-fashion-code
title: A server's files
level: side
over: onnxruntime-cpu
template: code.Dockerfile.j2
git:
  - {url: https://git.example/org/asker, ref: COMMIT, to: /opt/asker}
""",
    "recipes/serve-fashion.yaml": """\
kind: server
name: serve-fashion
title: A small server of classes
backend: onnxruntime
images: {cpu: serve-fashion-code}
command: [python3, /opt/asker/serve.py, "{model.file}", "{port}", "{param.threads}", "{param.dies_after}"]
parameters:
  threads: {type: int, default: "{cpus}", min: 1}
  dies_after: {type: int, default: "0"}
probe: {startup_s: 60, every_s: 1}
""",
    "recipes/asker.yaml": """\
kind: harness
form: external
name: asker
title: Somebody's client
loadgen: loadgen
deps: harness-deps
code: asker-code
backends: {onnxruntime: ort}
program:
  source: /opt/asker
  words:
    scenario: {of: scenario, values: {Offline: offline, SingleStream: single}}
    phase: {of: mode, values: {performance: perf, accuracy: acc}}
  files:
    - {path: user.conf, format: user.conf}
  steps:
    - name: bench
      role: run
      workdir: "{source}"
      timeout: 2m
      argv:
        - python3
        - ask.py
        - --scen={words.scenario}
        - --phase={words.phase}
        - --conf={config}/user.conf
        - --set={data}
        - --to={results}/out
        - --urls={endpoint.urls}
    - name: score
      role: accuracy
      when: {mode: accuracy}
      workdir: "{source}"
      argv: [python3, score.py, "{results}/out", "{data}/labels.npy"]
  logs: {folder: out/*}
  expect: {console_has: ["^bench done$"], console_lacks: ["^ERROR "]}
  accuracy:
    step: score
    figures:
      - {name: top1, pattern: "^TOP1: (\\\\S+) percent", samples: "percent of ([0-9]+)", unit: "%"}
""",
    "recipes/asked-fashion.yaml": """\
kind: benchmark
name: asked-fashion
title: Fashion-MNIST behind a server, asked by somebody else's client
task: image-classification
layer: benchmark
model: resnet8-fashion
dataset: fashion-mnist
harness: asker
frameworks: [onnxruntime]
performance_samples: 1024
roles:
  server: {server: serve-fashion, restart: run}
  client: {cpus: 1}
scenarios:
  Offline: {target_qps: 2000}
  SingleStream: {expected_latency_ns: 2000000}
accuracy: {metric: top1, reference: 91.54, factor: 0.99}
""",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    commit = make_repository(
        folder / "mirrors" / "org" / "asker", {"ask.py": ASK, "serve.py": SERVE, "score.py": SCORE}
    )
    for name, text in RECIPES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("COMMIT", commit))
    return folder


@pytest.fixture(scope="module")
def run(mlorch, site):
    def run(*words: str, code: int = 0):
        done = mlorch("run", "asked-fashion", "--target", "cpu", "--duration", "1s", *words, "--json", cwd=site)
        assert done.returncode == code, done.stderr[-4000:]
        return json.loads(done.stdout)

    return run


def record(result):
    return json.loads(Path(result["record"]).read_text())


def log_of(result, name):
    return (Path(result["record"]).parent / name).read_text()


def test_the_recipes_are_valid(mlorch, site):
    done = mlorch("recipes", "lint", cwd=site)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_asks_a_server_that_stays_over_accuracy_and_performance(run):
    accuracy, performance = run("-s", "Offline")["results"]
    assert accuracy["metrics"]["accuracy"]["value"] == 0.9154
    assert accuracy["metrics"]["accuracy"]["samples"] == 10_000
    assert performance["valid"] is True
    assert performance["metrics"]["result"]["value"] > 0
    for each, began in ((accuracy, ""), (performance, accuracy["run_id"])):
        kept = record(each)
        (server,) = kept["roles"]
        assert (server["name"], server["started_by"], server["faults"]) == ("server", began, [])
        assert server["deployed"]["differences"] == []
        assert not set(server["container"]["cpus"]) & set(kept["container"]["cpus"])
        assert log_of(each, "console.log").startswith("interfaces lo\n"), "the client is in their namespace"
        assert log_of(each, "console-server.log").startswith("serving on processors")
        assert "score" not in str(server["container"]["mounts"])


def test_a_server_that_dies_is_the_reason_and_nothing_is_left(run, mlorch, site):
    (result,) = run("-s", "Offline", "-m", "performance", "--set", "roles.server.parameters.dies_after=5", code=1)[
        "results"
    ]
    kept = record(result)
    assert (kept["status"], kept["error"]["slug"], kept["valid"]) == ("failed", "role-ended", False)
    assert "`server` ended with 7" in kept["error"]["message"]


def test_a_client_that_cannot_find_its_servers_is_refused(mlorch, site):
    recipe = site / "recipes" / "asker.yaml"
    text = recipe.read_text()
    recipe.write_text(text.replace("        - --urls={endpoint.urls}\n", ""))
    try:
        done = mlorch("recipes", "lint", cwd=site)
    finally:
        recipe.write_text(text)
    assert done.returncode == 3
    assert "no-client" in done.stdout + done.stderr
    assert "names its servers nowhere" in done.stdout + done.stderr
