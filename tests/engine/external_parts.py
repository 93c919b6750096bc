"""The program of docs/add-a-harness.md: somebody else's, with a layout and words of its own, in a git repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BENCH = r'''
"""--scen offline|server|single|multi --phase perf|acc --conf FILE --net DIR --set DIR --to DIR [--break HOW]"""
import argparse, array, getpass, os, sys, threading, time
import mlperf_loadgen as lg
import numpy as np
import onnxruntime as ort

parser = argparse.ArgumentParser()
for name in ("scen", "phase", "conf", "net", "set", "to", "threads", "break"):
    parser.add_argument(f"--{name}", default="")
o = parser.parse_args()
how = getattr(o, "break")
print(f"bench of {getpass.getuser()}", flush=True)
if how == "no-logs":
    sys.exit(0)
if how == "sleep":
    time.sleep(600)
options = ort.SessionOptions()
options.intra_op_num_threads = int(o.threads)
session = ort.InferenceSession(os.path.join(o.net, "net.onnx"), options, providers=["CPUExecutionProvider"])
images = np.load(os.path.join(o.set, "images.npy"))
feed = session.get_inputs()[0].name


def answer(queries):
    for at in range(0, len(queries), 64):
        part = queries[at:at + 64]
        try:
            if how == "swallow":
                raise RuntimeError("this batch is lost")
            found = session.run(None, {feed: images[[q.index for q in part]]})[0].argmax(1).astype(np.int32)
        except RuntimeError as error:
            print(f"ERROR batch failed: {error}", flush=True)
            found = np.zeros(len(part), np.int32)
        kept = [array.array("B", np.int32(each).tobytes()) for each in found]
        lg.QuerySamplesComplete([
            lg.QuerySampleResponse(q.id, k.buffer_info()[0], k.buffer_info()[1]) for q, k in zip(part, kept)])


def attack():
    """What a program may do beside its test; each must be told or made harmless, and hang nothing."""
    here = out
    if how == "flood":
        for _ in range(3000):
            sys.stdout.write("\x1b[31m" + "x" * 100_000)
        print()
    elif how == "escapes":
        print("\x1b]0;owned\x07\x1b[2J::error::not mlorch's", flush=True)
        print('{"event": "progress", "done": 1e999, "total": -1, "qps": 1e400}', flush=True)
        print('{"event": "log", "text": "\\u001b[2Jcleared"}', flush=True)
    elif how == "files":
        for number in range(100_000):
            os.close(os.open(os.path.join(o.to, f"f{number}"), os.O_CREAT | os.O_WRONLY))
    elif how == "special":
        os.mkfifo(os.path.join(here, "mlperf_log_pipe"))
        import socket
        socket.socket(socket.AF_UNIX).bind(os.path.join(o.to, "socket"))
        tool = os.path.join(o.to, "tool")
        open(tool, "w").close()
        os.chmod(tool, 0o6777)
        open(os.path.join(o.to, "n" * 255), "w").close()
        open(os.path.join(o.to.encode(), b"a\x1b[2J\xff\nb"), "w").close()
        os.symlink("/etc/shadow", os.path.join(here, "mlperf_log_link"))
    elif how == "sparse":
        os.truncate(os.path.join(here, "mlperf_log_detail.txt"), 2**32)
    elif how == "daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
    elif how == "twice":
        for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt"):
            path = os.path.join(here, name)
            text = open(path).read()
            other = text.replace('"result_validity", "value": "', '"result_validity", "value": "IN')
            open(path, "w").write(other + text)


scenario = {"offline": "Offline", "server": "Server", "single": "SingleStream", "multi": "MultiStream"}[o.scen]
settings = lg.TestSettings()
if how != "no-conf":
    settings.FromConfig(o.conf, "resnet50", scenario)
else:
    settings.min_duration_ms = 700
settings.scenario = getattr(lg.TestScenario, scenario)
settings.mode = lg.TestMode.AccuracyOnly if o.phase == "acc" else lg.TestMode.PerformanceOnly
logs = lg.LogSettings()
out = os.path.join(o.to, time.strftime("%Y%m%d-%H%M%S"))
os.makedirs(out)
open(os.path.join(o.to, "site.txt"), "w").write(open("/opt/suite/site.txt").read())
logs.log_output.outdir = out
sut = lg.ConstructSUT(lambda queries: threading.Thread(target=answer, args=(queries,)).start()
                      if scenario == "Server" else answer(queries), lambda: None)
qsl = lg.ConstructQSL(len(images), 1024, lambda _: None, lambda _: None)
lg.StartTestWithLogSettings(sut, qsl, settings, logs, "/does/not/exist")
lg.DestroyQSL(qsl)
lg.DestroySUT(sut)
if how == "nan":
    os.environ["NAN"] = "1"
    open(os.path.join(o.to, "nan"), "w").close()
attack()
print("bench done", flush=True)
'''

COMPILE = r'''
"""MODEL OUT: what a vendor's compiler would make of the model; here the optimiser of onnxruntime."""
import sys
import onnxruntime as ort

options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.optimized_model_filepath = sys.argv[2]
ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
print("compiled", sys.argv[1], flush=True)
'''

SCORE = r'''
"""RESULTS LABELS"""
import glob, json, os, sys
import numpy as np

labels = np.load(sys.argv[2])
(log,) = glob.glob(os.path.join(sys.argv[1], "*", "mlperf_log_accuracy.json"))
seen = {each["qsl_idx"]: int(np.frombuffer(bytes.fromhex(each["data"]), np.int32)[0]) for each in json.load(open(log))}
good = sum(int(labels[index]) == found for index, found in seen.items())
value = "nan" if os.path.exists(os.path.join(sys.argv[1], "nan")) else f"{100.0 * good / len(seen):.3f}"
print(f"TOP1: {value} percent of {len(seen)}", flush=True)
'''

DOCS = Path(__file__).parents[2] / "docs" / "add-a-harness.md"


FILES = {
    "app/bench.py": BENCH,
    "tools/compile_net.py": COMPILE,
    "tools/score.py": SCORE,
    "site.txt": "nothing was said of this site\n",
    "cache/README": "traces\n",
    "papers/large.bin": "not wanted\n",
}


def make_repository(folder: Path, files: Mapping[str, str] = FILES) -> str:
    """The suite, or other files, as a git repository; gives its commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def git(*words: str) -> str:
        me = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        return subprocess.run(
            ["git", *me, "-C", str(folder), *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "the suite")
    return git("rev-parse", "HEAD")


def write_recipes(folder: Path, commit: str) -> Path:
    """The files of docs/add-a-harness.md, as its reader writes them; gives the folder to work in."""
    for name, text in re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("ref: COMMIT", f"ref: {commit}"))
    return folder
