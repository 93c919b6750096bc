"""What the harness costs: LoadGen runs against a bare loop of the framework on the same machine, in turn.

    python3 harness_efficiency.py SETTINGS [--seconds 1] [--rounds 6] [--json]

SETTINGS is the settings.json of a performance test, as `mlorch run --dry-run --json` prints it; what it leaves open the
harness measures. Offline: samples per second (of a model that generates: tokens), as a share of the loop with its best
batch, threads and, on a card, way of calling. SingleStream: mean latency against the mean of the bare call. The bars
are `BARS` by task, `CARD_BARS` on a card.

A sweep finds the loop's best layout (`harness_loops.py`) and a first run of the harness the one that it calibrates.
Then short runs of the loop, with the one layout and with the other, and of the harness follow in turn, in processes of
their own. The best of each side counts: other load only ever takes away. Where samples vary in length both sides
answer the very samples that LoadGen draws.

The harness is the package mlorch_harness where it is installed (in the image), else the one of this repository. Needs
numpy, mlperf_loadgen and the framework. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import operator
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OFFLINE_BAR, IMAGE_OFFLINE_BAR, CARD_OFFLINE_BAR = 0.95, 0.97, 0.98
LATENCY_BAR, CARD_LATENCY_BAR = (1.02, 40_000), (1.05, 40_000)
"""A factor of the bare call's latency, and ns on top."""
PROCESSORS = frozenset({"CPUExecutionProvider", "CPU", "cpu"})
SWEEP_SECONDS = 0.4
LONG_CALL_NS = 1e9
"""A call that takes so long has a batch that is large enough."""
SWEEP_SAMPLES = 192
"""Of the drawn samples, where they vary in length."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LARGE_BATCHES = (1024, 4096, 16384)
"""For a model of microseconds these go on."""
CARD_INSTANCES = (1, 2, 4)
PROMPT_STEPS = (32, 512)
INSTALLED = importlib.util.find_spec("mlorch_harness") is not None
PACKAGE = "mlorch_harness" if INSTALLED else "orchestrator.harness"
LOOPS = Path(__file__).with_name("harness_loops.py")


def environment() -> dict[str, str]:
    root = Path(__file__).resolve().parent.parent
    return os.environ | ({} if INSTALLED else {"PYTHONPATH": str(root)})


def told(command: list[str]) -> str:
    """What a command prints; RuntimeError with what it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode != 0:
        raise RuntimeError(f"{command[:3]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


# -- the bare loop -------------------------------------------------------------------------


def bare(job: dict) -> dict:
    return json.loads(told([sys.executable, str(LOOPS), json.dumps(job)]).splitlines()[-1])


def base_job(settings: dict) -> dict:
    arrays = settings["dataset"]["arrays"]
    return {
        "framework": settings["backend"],
        "provider": (settings["providers"] or [""])[0],
        "model": settings["model"]["path"],
        "inputs": [each | {"path": arrays[each["array"]]} for each in settings["model"]["inputs"]],
        "lengths": arrays.get("lengths") if varies(settings) or joined(settings) else None,
        "limit": (settings.get("generation") or {}).get("limit"),
        "same": settings["task"] == "image-classification",
        "cpus": settings["execution"]["cpus"],
        "seconds": SWEEP_SECONDS,
    }


def varies(settings: dict) -> bool:
    return any(each["varies"] for each in settings["model"]["inputs"])


def joined(settings: dict) -> bool:
    """Whether a sample is several rows: none is padded, so that a loop over the data in turn does the same work."""
    return any(each.get("joined") for each in settings["model"]["inputs"])


def on_card(settings: dict) -> bool:
    return settings["providers"][0] not in PROCESSORS


def layouts(settings: dict) -> list[list[dict]]:
    """What the sweep tries: rows of loops whose batch grows."""
    if on_card(settings):
        return card_layouts(settings)
    cpus = len(settings["execution"]["cpus"])
    splits = [(cpus // each, each) for each in range(1, cpus + 1) if cpus % each == 0]
    if settings["backend"] == "pocketsphinx":  # which decodes one recording in one thread, whatever it is given
        return [_row(split, BATCHES[:1]) for split in splits]
    if settings["backend"] == "llamacpp":
        return [_row(split, BATCHES[:2], step=step) for split in splits for step in PROMPT_STEPS]
    batches = tried_batches(settings)
    if settings["scenario"] == "SingleStream":
        splits = [(1, each) for each in range(1, cpus + 1)]
    return [_row(split, batches, style="plain") for split in splits]


def card_layouts(settings: dict) -> list[list[dict]]:
    """The same on a card, called in two ways."""
    one = settings["scenario"] == "SingleStream"
    most = len(settings["execution"]["cpus"])
    counts = (1,) if one else [each for each in CARD_INSTANCES if each <= most]
    return [_row((each, 1), tried_batches(settings), style=style) for each in counts for style in ("graph", "plain")]


def tried_batches(settings: dict) -> tuple[int, ...]:
    if settings["scenario"] == "SingleStream":
        return BATCHES[:1]
    return BATCHES + (LARGE_BATCHES if settings["task"] == "recommendation" and not joined(settings) else ())


def _row(split: tuple[int, int], batches: tuple[int, ...], **more: object) -> list[dict]:
    return [{"instances": split[0], "threads": split[1], "batch": batch, **more} for batch in batches]


def best(base: dict, rows: list[list[dict]]) -> dict:
    """The fastest loop; two larger batches in a row that are slower end a row.

    A card may lack the memory for a batch, and not every model can be recorded: there what fails ends its row.
    """
    found: list[tuple[float, dict]] = []
    failed: list[str] = []
    for row in rows:
        rates: list[float] = []
        for layout in row:
            if len(rates) >= 3 and max(rates[-2:]) < max(rates[:-2]):
                break
            try:
                tried = bare(base | layout)
            except RuntimeError as error:
                if base["provider"] in PROCESSORS:
                    raise
                failed.append(str(error))
                break
            rates.append(tried["rate"])
            found.append((tried["rate"], base | layout))
            if tried["latency_ns"] > LONG_CALL_NS:
                break
    if not found:
        raise RuntimeError(f"no bare loop runs:\n{failed[0]}")
    return max(found, key=operator.itemgetter(0))[1]


# -- the harness ---------------------------------------------------------------------------


def harness(settings: dict) -> dict:
    """One run: LoadGen's samples per second and mean latency, and what the harness chose."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps(settings))
        told([sys.executable, "-m", PACKAGE, str(path)])
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
        effective = json.loads((Path(folder) / "harness.json").read_text())["effective"]

    def read(name: str) -> float:
        found = re.search(rf"^{name}\s*: (\S+)", summary, re.MULTILINE)
        return float(found[1]) if found else float("nan")

    return {
        "rate": read("Samples per second"),
        "latency_ns": read(r"Mean latency \(ns\)"),
        "valid": "Result is : VALID" in summary,
        "loadgen": {
            name: effective[name]["value"] for name in ("target_qps", "expected_latency_ns") if name in effective
        },
        "layout": {name: effective[name]["value"] for name in ("instances", "threads", "batch")},
    }


def drawn(settings: dict, folder: Path) -> Path:
    """The numbers of the samples that LoadGen draws for these settings, in a file; from a test that answers nothing."""
    path, found = folder / "draw.json", folder / "drawn.npy"
    path.write_text(json.dumps(settings))
    told([sys.executable, __file__, "--draw", str(path)])
    return found


def draw(path: Path) -> None:
    """LoadGen's test with the harness's own settings for it, each sample answered at once by no bytes."""
    from importlib import import_module

    import mlperf_loadgen as lg
    import numpy as np

    modules = {name: import_module(f"{PACKAGE}.{name}") for name in ("settings", "effective", "loadgen", "instances")}
    settings = modules["settings"].read(path)
    values = modules["effective"].Effective(layout=modules["instances"].Layout(1, 1, 1))
    modules["effective"].put_scenario_values(settings, values, None)
    numbers: list[int] = []

    def issue(ids: list[int], indexes: list[int]) -> None:
        numbers.extend(indexes)
        if settings.generation is not None:
            lg.FirstTokenComplete([lg.QuerySampleResponse(each, 0, 0, 1) for each in ids])
        lg.QuerySamplesComplete([lg.QuerySampleResponse(each, 0, 0, 2) for each in ids])

    system = lg.ConstructFastSUT(issue, lambda: None)
    data = settings.dataset
    library = lg.ConstructQSL(data.samples, data.performance_samples, lambda _: None, lambda _: None)
    log = lg.LogSettings()
    log.log_output.outdir, log.log_output.copy_summary_to_stdout, log.enable_trace = str(path.parent), False, False
    lg.StartTestWithLogSettings(system, library, modules["loadgen"].test_settings(settings, values), log, "")
    np.save(path.with_name("drawn.npy"), np.array(numbers, np.int64))


# -- the comparison ------------------------------------------------------------------------


def compare(settings: dict, seconds: float, rounds: int) -> dict:
    settings = json.loads(json.dumps(settings))
    generates = settings.get("generation") is not None
    settings["loadgen"] |= {"min_duration_ms": round(1000 * seconds), "max_duration_ms": 0}
    settings["loadgen"]["min_query_count"] = 1 if settings["scenario"] == "Offline" else 100
    first = harness(settings)
    settings["execution"] |= first["layout"]
    settings["loadgen"] |= first["loadgen"]
    with tempfile.TemporaryDirectory() as folder:
        base = base_job(settings)
        drawing = settings["scenario"] == "Offline" and (generates or varies(settings))
        if drawing:
            base["order"] = sweep_order(drawn(settings, Path(folder)), Path(folder), generates=generates)
        job = best(base, layouts(settings)) | {"seconds": seconds}
        if drawing:
            job["order"] = str(Path(folder) / "drawn.npy")
        known = on_card(settings) or all(job[name] == value for name, value in first["layout"].items())
        tried = [{}] if known else [{}, first["layout"]]
        loops: list[dict] = []
        runs: list[dict] = []
        for _ in range(rounds):
            for layout in tried:
                loops.append(bare(job | layout))
                runs.append(harness(settings))
    return judged(settings, job, loops, runs) | {"layout": first["layout"], "valid": first["valid"]}


def sweep_order(order: Path, folder: Path, *, generates: bool) -> str:
    """Some of the drawn samples, as a sweep cannot answer them all with every layout."""
    import numpy as np

    numbers = np.load(order)
    count = min(len(numbers), 8 if generates else SWEEP_SAMPLES)
    np.save(folder / "sweep.npy", numbers[np.linspace(0, len(numbers) - 1, count).astype(int)])
    return str(folder / "sweep.npy")


def judged(settings: dict, job: dict, loops: list[dict], runs: list[dict]) -> dict:
    """The row of a comparison: the best of each side, and whether the bar is kept."""
    offline = settings["scenario"] == "Offline"
    key, pick = ("rate", max) if offline else ("latency_ns", min)
    found = [each[key] for each in loops]
    loop_value, value, unit = pick(found), pick(each[key] for each in runs), "samples/s" if offline else "ns"
    factor, extra = CARD_LATENCY_BAR if on_card(settings) else LATENCY_BAR
    bar = offline_bar(settings)
    held = value >= bar * loop_value if offline else value <= factor * loop_value + extra
    if settings.get("generation") is not None and offline:
        each = loops[0]["tokens"] / loops[0]["samples"]
        loop_value, value, unit = loop_value * each, value * each, "tokens/s"
    return {
        "benchmark": settings["benchmark"],
        "scenario": settings["scenario"],
        "unit": unit,
        "loop": loop_value,
        "harness": value,
        "ratio": round(value / loop_value, 4),
        "bar": bar if offline else {"factor": factor, "extra_ns": extra},
        "style": job.get("style", "plain"),
        "loop_layout": {name: job[name] for name in ("instances", "threads", "batch")},
        "spread": round(statistics.pstdev(found) / statistics.mean(found), 3),
        "held": held,
    }


def offline_bar(settings: dict) -> float:
    if on_card(settings):
        return CARD_OFFLINE_BAR
    return IMAGE_OFFLINE_BAR if settings["task"] == "image-classification" else OFFLINE_BAR


def shown(layout: dict) -> str:
    return "{instances} x {threads}, batch {batch}".format(**layout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("settings", nargs="?", type=Path, help="settings.json of a performance test")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        draw(options.draw)
        return 0
    if options.settings is None:
        parser.error("which settings.json?")
    row = compare(json.loads(options.settings.read_text()), options.seconds, options.rounds)
    print(
        f"{row['benchmark']:14} {row['scenario']:13} loop {row['loop']:12,.1f}  harness {row['harness']:12,.1f}"
        f" {row['unit']:9}  ratio {row['ratio']:.3f}  {'held' if row['held'] else 'MISSED'}"
        f"  (loop {shown(row['loop_layout'])}; harness {shown(row['layout'])}; spread {row['spread']:.0%})",
        file=sys.stderr if options.json else sys.stdout,
        flush=True,
    )
    if options.json:
        print(json.dumps({"rows": [row]}, indent=1))
    return 0 if row["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
