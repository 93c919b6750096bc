"""`make bench`: parts that cannot be measured here, the table's rows, what a sweep tries. Nothing is measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
DOCUMENT = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


@pytest.fixture
def bench(monkeypatch):
    """A module of benchmarks/ by its name; they are no package, and another test may have a module of that name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str):
        return __import__(name)

    yield load
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_without_a_card_the_command_says_what_each_python_lacks_and_ends_with_1(bench, monkeypatch, capsys):
    run, on_host = bench("run"), bench("on_host")
    monkeypatch.setattr(on_host, "_lacks", lambda _, framework: f"no {framework.device}")
    monkeypatch.setattr(sys, "argv", ["run.py", "--target", "cuda", "--on-host"])
    assert run.main() == 1
    said = capsys.readouterr().err
    assert "part on_host cannot be measured here: nothing here runs on cuda" in said
    assert "docs/measure-on-a-bare-gpu.md" in said
    assert f"  {sys.executable}, onnxruntime: no CUDAExecutionProvider\n" in said
    assert f"  {sys.executable}, pytorch: no cuda\n" in said


def test_a_target_without_a_way_on_the_host_is_told_with_those_that_have_one(bench):
    with pytest.raises(bench("common").NotHereError, match="--on-host knows cpu, cuda, not rocm"):
        bench("on_host").measure("rocm")


def test_a_part_that_cannot_be_measured_here_hides_nothing_of_the_others(bench, monkeypatch, capsys):
    run, common = bench("run"), bench("common")
    bar = common.Bar(what="a", value=1.0, bar=1)

    class Absent:
        @staticmethod
        def measure():
            raise common.NotHereError("no card")

    class Present:
        @staticmethod
        def measure():
            return [bar]

    monkeypatch.setattr(run, "import_module", {"harness": Absent, "launch": Present}.__getitem__)
    assert run.measured(["harness", "launch"], {}) == ([bar], ["harness"])
    assert "part harness cannot be measured here: no card" in capsys.readouterr().err


@pytest.fixture
def row():
    def make(scenario: str = "Offline", bar: object = 0.98, **changes: object) -> dict:
        layout = {"instances": 2, "threads": 1, "batch": 64}
        return {
            "benchmark": "net",
            "scenario": scenario,
            "unit": "samples/s",
            "loop": 1000.0,
            "harness": 990.0,
            "ratio": 0.99,
            "bar": bar,
            "style": "graph",
            "loop_layout": layout,
            "layout": layout,
            **changes,
        }

    return make


def test_the_table_has_a_row_for_each_network_and_framework_on_a_card(bench, row):
    on_host, harness = bench("on_host"), bench("harness")
    latency = {"factor": 1.05, "extra_ns": 40_000}
    for framework in on_host.TARGETS["cuda"]:
        for network in on_host.NETWORKS:
            for given in (row(), row("SingleStream", latency)):
                bar = harness.loop_bar(given, framework.name, framework.device, f"{network} on the host,")
                assert f"| {bar.what} |" in DOCUMENT


def test_the_table_has_a_row_for_each_workload(bench, row):
    harness = bench("harness")
    runs_on = {"llm-chat": ("llamacpp", "CPU", "tokens/s"), "speech-command": ("pocketsphinx", "CPU", "samples/s")}
    for name in bench("workloads").WORKLOADS:
        framework, provider, unit = runs_on.get(name, ("onnxruntime", "CPUExecutionProvider", "samples/s"))
        bar = harness.loop_bar(row(benchmark=name, unit=unit), framework, provider)
        assert f"| {bar.what} |" in DOCUMENT


def test_a_measured_row_takes_the_place_of_the_empty_one(bench, row):
    run, harness = bench("run"), bench("harness")
    bar = harness.loop_bar(row(), "pytorch", "cuda", "ResNet-50 on the host,")
    table = run.merged(DOCUMENT, [bar])
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {bar.what} |")]
    assert "| 0.99 x | ≥ 0.98 x | yes | 990 / 1,000 samples/s; loop 2 × 1 batch 64 (graph)" in line
    assert len(table.splitlines()) == len(run.merged(DOCUMENT, []).splitlines())


def settings(bench, scenario: str = "Offline", **changes: object) -> dict:
    on_host = bench("on_host")
    found = on_host.settings_for(on_host.TARGETS["cpu"][0], "net", scenario, Path("/nowhere"))
    found["execution"]["cpus"] = [0, 1, 2, 3]
    return found | changes


def test_the_settings_of_a_network_on_the_host_are_settings_of_the_harness(bench):
    from orchestrator.harness.settings import parse

    parse(json.loads(json.dumps(settings(bench))))


def test_a_sweep_of_offline_tries_each_way_to_split_the_processors_and_growing_batches(bench):
    rows = bench("harness_efficiency").layouts(settings(bench))
    assert [(row[0]["instances"], row[0]["threads"]) for row in rows] == [(4, 1), (2, 2), (1, 4)]
    assert [each["batch"] for each in rows[0]] == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def test_a_sweep_on_a_card_tries_streams_and_graphs_and_one_by_one_a_single_sample(bench):
    efficiency = bench("harness_efficiency")
    card = {"providers": ["CUDAExecutionProvider"]}
    rows = efficiency.layouts(settings(bench, **card))
    assert {(row[0]["instances"], row[0]["style"]) for row in rows} == {
        (count, style) for count in (1, 2, 4) for style in ("graph", "plain")
    }
    (graph, plain) = efficiency.layouts(settings(bench, "SingleStream", **card))
    assert (graph[0]["style"], plain[0]["style"]) == ("graph", "plain")
    assert [len(graph), graph[0]["batch"], graph[0]["instances"]] == [1, 1, 1]


def test_the_fastest_loop_wins_and_a_way_of_calling_that_fails_is_left_out(bench, monkeypatch):
    efficiency = bench("harness_efficiency")
    asked: list[tuple[str, int]] = []

    def bare(job: dict) -> dict:
        asked.append((job["style"], job["batch"]))
        if job["style"] == "graph":
            raise RuntimeError("cannot be recorded")
        return {"rate": {1: 10, 2: 30, 4: 20, 8: 15}.get(job["batch"], 99), "latency_ns": 1e6}

    monkeypatch.setattr(efficiency, "bare", bare)
    rows = [[{"style": style, "batch": batch} for batch in (1, 2, 4, 8, 16)] for style in ("graph", "plain")]
    assert efficiency.best({"provider": "cuda"}, rows) == {"provider": "cuda", "style": "plain", "batch": 2}
    assert asked == [("graph", 1), ("plain", 1), ("plain", 2), ("plain", 4), ("plain", 8)]
    with pytest.raises(RuntimeError, match="no bare loop runs:\ncannot be recorded"):
        efficiency.best({"provider": "cuda"}, rows[:1])
    with pytest.raises(RuntimeError, match="cannot be recorded"):  # on a processor nothing may fail
        efficiency.best({"provider": "cpu"}, rows)


@pytest.mark.parametrize(
    ("scenario", "task", "provider", "loop", "harness", "held"),
    [
        ("Offline", "image-classification", "CPUExecutionProvider", 100, 97, True),
        ("Offline", "image-classification", "CPUExecutionProvider", 100, 96, False),
        ("Offline", "recommendation", "CPUExecutionProvider", 100, 95, True),
        ("Offline", "image-classification", "cuda", 100, 97, False),
        ("SingleStream", "image-classification", "cpu", 1_000_000, 1_060_000, True),
        ("SingleStream", "image-classification", "cpu", 1_000_000, 1_061_000, False),
        ("SingleStream", "image-classification", "cuda", 1_000_000, 1_090_000, True),
    ],
)
def test_each_kind_of_row_has_its_bar(bench, scenario, task, provider, loop, harness, held):
    efficiency = bench("harness_efficiency")
    given = settings(bench, scenario, task=task, providers=[provider])
    job = {"instances": 1, "threads": 1, "batch": 1}
    measured = [{"rate": value, "latency_ns": value} for value in (loop, harness)]
    assert efficiency.judged(given, job, measured[:1], measured[1:])["held"] is held


def test_a_loop_over_samples_that_vary_has_batches_of_like_length(bench, tmp_path):
    loops = bench("harness_loops")
    lengths = np.array([3, 1, 2, 3, 1])
    np.save(tmp_path / "tokens.npy", np.arange(15).reshape(5, 3))
    np.save(tmp_path / "lengths.npy", lengths)
    given = {"path": str(tmp_path / "tokens.npy"), "dtype": "int64", "scale": 1.0, "varies": True}
    data = loops.Data({"inputs": [given], "lengths": str(tmp_path / "lengths.npy")})
    shapes = [batch[0].shape for batch in data.by_length(np.array([0, 1, 2, 3, 4, 4]), 2)]
    assert shapes == [(2, 1), (2, 2), (2, 3)]
    assert data.by_length(np.array([2]), 2)[0][0].tolist() == [[6, 7]]


def test_a_loop_over_joined_samples_has_all_their_rows_and_counts_samples_by_them(bench, tmp_path):
    loops = bench("harness_loops")
    np.save(tmp_path / "users.npy", np.arange(10))
    np.save(tmp_path / "lengths.npy", np.array([2, 1, 4, 3]))
    given = {"path": str(tmp_path / "users.npy"), "dtype": "int64", "scale": 1.0, "varies": False, "joined": True}
    data = loops.Data({"inputs": [given], "lengths": str(tmp_path / "lengths.npy")})
    assert len(data) == 4
    assert data.batch(np.array([3, 1]))[0].tolist() == [7, 8, 9, 2]
    assert sum(map(data.samples, data.in_turn(2, same=False))) == pytest.approx(4)


def test_each_batch_is_answered_once_or_all_of_them_until_the_time_is_over(bench):
    loops = bench("harness_loops")
    assert list(loops.places_of(iter(range(100)), 3, None)) == [0, 1, 2]
    assert list(loops.places_of(iter(range(5)), 3, float("inf"))) == [0, 1, 2, 0, 1]
    assert list(loops.places_of(iter(range(5)), 3, 0.0)) == []


def test_a_network_from_a_seed_is_the_same_in_both_forms(bench, tmp_path):
    pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    onnxruntime = pytest.importorskip("onnxruntime")
    networks = bench("networks")
    model = networks.made("EfficientNet-Lite0")
    assert sum(np.prod(each.dims) for each in model.graph.initializer) == pytest.approx(4_652_008, rel=0.01)
    networks.exported(model, tmp_path / "model.pt2")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    program = torch.export.load(tmp_path / "model.pt2").module()
    (expected,) = session.run(["logits"], {"image": pictures})
    with torch.inference_mode():
        np.testing.assert_allclose(program(torch.from_numpy(pictures))["logits"], expected, rtol=1e-2, atol=1e-3)
    assert np.isfinite(expected).all()
    assert np.abs(expected).max() > 1e-6


def test_rows_of_two_summaries_are_compared_whole_and_in_any_order(bench, tmp_path):
    theirs, ours = tmp_path / "theirs.csv", tmp_path / "ours.csv"
    theirs.write_text('Model,Result\nresnet,1.5\nbert,"2,5"\nbert,"2,5"\n')
    ours.write_text('Model,Result\nbert,"2,5"\nresnet,1.5\nbert,"2,6"\n')
    assert bench("submission_check").compared(theirs, ours) == (3, 2)
    ours.write_text('Model,Result\nbert,"2,5"\nresnet,1.5\n')
    assert bench("submission_check").compared(theirs, ours)[1] == 1, "a row that is there twice counts twice"


def test_published_trees_that_are_not_here_are_told(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLORCH_BENCH_TREES", str(tmp_path))
    with pytest.raises(bench("common").NotHereError, match="none of the published trees can be had"):
        bench("submission_check").measure()
    assert f"v5.1: left out: {tmp_path} has no folder v5.1 or unofficial-v5.1" in capsys.readouterr().err


@pytest.mark.processes
def test_the_memory_of_a_check_is_that_of_all_its_processes(bench, tmp_path):
    child = "import time; x = b'1' * 60_000_000; time.sleep(0.5)"
    parent = f"import subprocess, sys; x = b'1' * 60_000_000; subprocess.run([sys.executable, '-c', {child!r}])"
    peak = bench("submission_check").peak_memory([sys.executable, "-c", parent], env={}, cwd=tmp_path)
    assert 120_000_000 < peak < 250_000_000
