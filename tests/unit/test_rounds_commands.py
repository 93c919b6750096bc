"""`benchmarks list|show` of MLPerf's rounds, and `--round` where images are planned, as they are called."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from sample_recipes import FILES, write

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root
from orchestrator.definitions.catalog import load as load_catalog
from orchestrator.images.bundle.contents import bundled_plan
from orchestrator.operations.context import Context
from orchestrator.operations.images import bundle as load
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.run.benchmarks import planned_benchmarks
from orchestrator.operations.run.records import record_context
from orchestrator.plan.build.planner import build_plans

TABLE = json.loads((Path(__file__).parent / "data" / "mlperf_rounds.json").read_text(encoding="utf-8"))
CONTRACT = {"name", "loadgen_name", "checker_name", "categories", "scenarios", "accuracy", "compliance", "targets"}


@pytest.fixture
def called(capsys, monkeypatch, tmp_path):
    """Runs a command line in an empty folder; gives exit status, stdout, stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")

    def call(*arguments: object) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.mark.parametrize("name", [name for name in TABLE if name != "note"])
def test_a_round_as_json_is_one_entry_a_model(called, name):
    status, out, _ = called("benchmarks", "list", "--round", name, "--json")
    document = json.loads(out)
    found = {each["name"]: each for each in document["benchmarks"]}
    assert (status, document["round"], document["seeds"]) == (0, name, TABLE[name]["seeds"])
    assert found.keys() == TABLE[name]["models"].keys()
    for model, table in TABLE[name]["models"].items():
        entry = found[model]
        assert entry.keys() >= CONTRACT
        assert (entry["checker_name"], entry["loadgen_name"]) == (model, table["loadgen_model_name"])
        assert (entry["categories"], entry["compliance"]) == (table["categories"], table["compliance_tests"])
        for category in ("datacenter", "edge"):
            given = table["scenarios"].get(category, {})
            assert set(entry["scenarios"][category]["required"]) == set(given.get("required", ()))
            assert set(entry["scenarios"][category]["optional"]) == set(given.get("optional", ()))


def test_without_a_round_what_runs_and_what_the_newest_round_asks_for_are_apart(called):
    document = json.loads(called("benchmarks", "list", "--json")[1])
    assert document["round"] == "v6.1"
    names = [each["name"] for each in document["benchmarks"]]
    assert {"bert-plumbing", "image-fashion", "image-smoke", "resnet50"} <= set(names), "what `run` takes"
    models = {each["name"]: each for each in document["models"]}
    assert models.keys() == TABLE["v6.1"]["models"].keys()
    assert models["resnet"]["stand_ins"] == ["image-fashion", "image-smoke"]
    assert models["resnet"]["benchmarks"] == ["resnet50"], "a stand-in measures no model"
    assert models["resnet"]["targets"] == ["cpu", "cuda"]
    assert (models["gpt-oss-120b"]["targets"], models["gpt-oss-120b"]["benchmarks"]) == ([], [])
    _, out, talk = called("benchmarks", "list")
    assert out.index("image-smoke *") < out.index("MLPerf Inference v6.1") < out.index("Offline (Interactive Server)")
    assert "other rounds, with --round: v3.0, v4.1, v5.0, v5.1, v6.0" in talk


def test_the_table_of_a_round_fits_a_hundred_columns(called):
    for name in TABLE.keys() - {"note"}:
        _, out, _ = called("benchmarks", "list", "--round", name)
        assert max(len(line.rstrip()) for line in out.splitlines()) <= 100


def test_what_has_to_be_run_of_a_model_in_a_round(called):
    status, out, _ = called("benchmarks", "show", "llama2-70b-99", "--round", "v6.0")
    assert status == 0
    for line in (
        "llama2-70b-99 in MLPerf Inference v6.0 (February 2026)",
        "datacenter           Offline required; Interactive and Server optional, Interactive or Server needed",
        "edge                 not in this category",
        "ROUGE1 at least 43.986888 (0.99 of 44.4312)",
        "TOKENS_PER_SAMPLE from 265.005 to 323.895 (0.9 and 1.1 of 294.45)",
        "latency Server       99th percentile: first token 2000 ms, each later token 200 ms, whole sample 20000 ms",
        "latency Interactive  99th percentile: first token 450 ms, each later token 40 ms",
        "at least 24,576 loaded in a performance test, at least 24,576 in Offline's one query",
        "length               at least 600 s",
        "compliance           TEST06: ",
        "LoadGen              6.0.5 to 6.0.15, model `llama2-70b`, for Interactive `llama2-70b-interactive`",
        "source checker       mlcommons/inference at b66003e1",
    ):
        assert line in out
    entry = json.loads(called("benchmarks", "show", "llama2-70b-99", "--round", "v6.0", "--json")[1])
    assert entry["latency_limits"]["Interactive"] == {"ttft_ms": 450, "tpot_ms": 40}
    assert entry["round_rules"]["loadgen"]["to"] == "6.0.15"
    assert entry["compliance_tests"].keys() == {"TEST06"}


def test_exceptions_of_a_model_are_told(called):
    assert "Interactive or Server needed in a closed submission" in called("benchmarks", "show", "deepseek-r1")[1]
    agents = called("benchmarks", "show", "qwen3.6-27b")[1]
    assert "is not what runs it" in agents
    assert "policies: factor 0.97; the checker decides" in agents
    assert "one pass over the data" in called("benchmarks", "show", "e2e-rag-db")[1]
    both = called("benchmarks", "show", "resnet")[1]
    assert "SingleStream, MultiStream, Offline and Server required (a system submitted in both" in both
    assert "resnet50" in both
    assert "LoadGen's own limit: whole sample 80 ms" in called("benchmarks", "show", "dlrm-v3", "--round", "v6.1")[1]
    vision = called("benchmarks", "show", "qwen3-vl-235b-a22b")[1]
    assert "in Interactive       F1_HIERARCHICAL at least 0.779922" in vision
    assert "takes its defaults: Interactive has no entry" in vision


@pytest.mark.parametrize(
    ("words", "slug", "hint"),
    [
        (("list", "--round", "v6.2"), "unknown-round", "did you mean `v6.1`"),
        (("show", "resnet", "--round", "6.1"), "unknown-round", "did you mean `v6.1`"),
        (("show", "llama2-70b-99", "--round", "v6.1"), "unknown-round-model", "it is in v4.1, v5.0, v5.1, v6.0"),
        (("show", "llama2-70b-99"), "unknown-round-model", "it is in v4.1, v5.0, v5.1, v6.0"),
        (("show", "llama3_1-8b"), "unknown-round-model", "that is LoadGen's name; the checker says `llama3.1-8b`"),
        (("show", "image-smok"), "unknown-benchmark", "did you mean `image-smoke`"),
        (("show", "gpt-os-120b"), "unknown-benchmark", "did you mean `gpt-oss-120b`"),
    ],
)
def test_names_that_are_not_there(called, words, slug, hint):
    status, _, err = called("benchmarks", *words)
    assert status == 2
    assert f"[{slug}]" in err
    assert hint in err


def test_a_benchmark_that_is_official_has_the_rules_of_its_model(called, tmp_path):
    text = FILES["recipes/benchmarks/classify.yaml"] + "round: v6.0\nofficial: yes\nstands_for: resnet\n"
    mine = write(tmp_path / "mine", changes={"recipes/benchmarks/classify.yaml": text})
    document = json.loads(called("benchmarks", "list", "--json", "--recipes", mine)[1])
    entry = next(each for each in document["benchmarks"] if each["name"] == "classify")
    assert (entry["checker_name"], entry["loadgen_name"], entry["categories"]) == ("resnet", "resnet50", ["edge"])
    assert entry["compliance"] == ["TEST01", "TEST04"]
    older = json.loads(called("benchmarks", "list", "--round", "v6.0", "--json", "--recipes", mine)[1])
    model = next(each for each in older["benchmarks"] if each["name"] == "resnet")
    assert (model["benchmarks"], model["targets"]) == (["classify"], ["chip"])


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--target", "cpu", "--benchmark", "image-smoke"),
        ("render", "--target", "cpu", "--benchmark", "image-smoke"),
        ("run", "image-smoke", "--target", "cpu", "--dry-run"),
    ],
)
def test_a_round_without_a_loadgen_is_refused_when_planning(called, words, tmp_path):
    (tmp_path / "v6.2.yaml").write_text(
        "kind: round\nname: v6.2\ntitle: The next round\nsince: v6.1\nsources: {rules: not written yet}\n"
        'loadgen: {from: "7.0", to: "7.1", why: not released yet}\n'
        "seeds: {qsl_rng_seed: 1, sample_index_rng_seed: 2, schedule_rng_seed: 3}\n"
    )
    status, _, err = called(*words, "--round", "v6.2", "--recipes", str(tmp_path))
    assert status == 2
    assert "neither harness `loadgen-onnx` nor v6.2 names a layer with LoadGen [loadgen-layer]" in err
    assert called(*words, "--round", "v6.0")[0] == 0
    status, _, err = called(*words, "--round", "v3.0")
    assert (status, "v3.0 cannot be run: its LoadGen, 3.0, is in no package index [round-not-run]" in err) == (2, True)
    assert "`mlorch submission check TREE --round v3.0` checks results of this one" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("plan", "--benchmark", "retinanet", "--target", "cpu", "--round", "v6.1"),
            "it is in v3.0, v4.1, v5.0, v5.1, v6.0",
        ),
        (
            ("plan", "--benchmark", "llama2-70b", "--target", "rocm"),
            "on `rocm` it runs with `--set implementation=amd`",
        ),
        (("run", "rgat", "-t", "cpu", "-s", "Server", "--dry-run"), "benchmark `rgat` has no scenario Server"),
    ],
)
def test_what_cannot_run_says_what_would(called, words, said):
    status, _, err = called(*words)
    assert status == 2
    assert said in err


def test_another_round_changes_loadgen_and_what_lies_over_it(called):
    plan = ("plan", "--target", "cpu", "--benchmark", "image-smoke", "--json")
    newest = json.loads(called(*plan)[1])["layers"]
    assert json.loads(called(*plan, "--round", "v6.1")[1])["layers"] == newest
    older = json.loads(called(*plan, "--round", "v5.1")[1])["layers"]
    same = {each["content_id"] for each in newest} & {each["content_id"] for each in older}
    assert [each["name"] for each in newest if each["content_id"] in same] == [
        "base-bookworm",
        "runtime-cpu",
        "onnxruntime-cpu",
    ]
    assert [each["name"] for each in older if each["content_id"] not in same] == [
        "loadgen-v5.1",
        "harness-deps",
        "harness-code",
        "image-smoke-cpu",
    ]


def test_the_record_of_a_run_names_the_round_that_was_asked_for():
    catalog = load_catalog([builtin_root()])
    for asked, found in (("", "v6.1"), ("v6.0", "v6.0")):
        plans = build_plans(catalog, target="cpu", benchmarks=["image-smoke"], round_name=asked)
        (planned,) = planned_benchmarks(catalog, plans, asked)
        assert record_context(planned, None).round == found
        benchmark = next(file for file in planned.plan.layers[-1].files if file.path.endswith("benchmark.json"))
        assert f'"round": "{found}"' in str(benchmark.text), "the image says it too"


def test_a_bundle_says_of_which_round_its_images_are(monkeypatch, tmp_path):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    context = Context()
    asked = Selection(target="cpu", platform="linux/amd64", benchmarks=("image-smoke",), round="v6.0")
    (plan,) = context.plans(asked).plans
    for round_name, same in (("v6.0", True), ("", False)):
        bundle = SimpleNamespace(contents=SimpleNamespace(plans=(bundled_plan(plan, "", round_name),)))
        assert (load._difference(context, bundle) == "") is same, "planned anew where it is loaded"
    line = load._command_line(bundled_plan(plan, "", "v6.0"), ())
    assert line == "mlorch run image-smoke --target cpu --no-build --round v6.0"


def test_a_harness_with_an_older_loadgen_fits_the_older_round_only(called, tmp_path):
    shipped = Path(__file__).parents[2] / "recipes"
    layer = (shipped / "layers/loadgen.yaml").read_text().replace("name: loadgen", "name: older-loadgen")
    harness = (shipped / "harnesses/loadgen-onnx.yaml").read_text().replace("name: loadgen-onnx", "name: older")
    smoke = (shipped / "benchmarks/image-smoke.yaml").read_text().replace("name: image-smoke", "name: smoke")
    lock = "version: 1\nlayer: older-loadgen\nplatforms:\n  linux/amd64:\n    wheels:\n"
    lock += f"      - {{name: mlcommons-loadgen, version: 6.0.10, sha256: [{'0' * 64}]}}\n"
    files = {
        "recipes/layer.yaml": layer.replace("6.0.17", "6.0.10"),
        "recipes/harness.yaml": harness + "loadgen: older-loadgen\n",
        "recipes/smoke.yaml": smoke.replace("harness: loadgen-onnx", "harness: older") + "round: v6.0\n",
        "images/older-loadgen.lock.yaml": lock,
    }
    mine = write(tmp_path / "mine", only=files)
    plan = ("plan", "--target", "cpu", "--platform", "linux/amd64", "-b", "smoke", "--recipes", mine, "--json")
    status, own, err = called(*plan)
    assert (status, err) == (0, "")
    assert json.loads(called(*plan, "--round", "v6.0")[1]) == json.loads(own)
    status, out, err = called(*plan, "--round", "v6.1")
    assert status == 2
    assert "LoadGen 6.0.10 does not have the seeds of v6.1" in out + err


@pytest.mark.parametrize(
    ("model", "benchmark"), [("resnet", "resnet50"), ("llama2-70b-99.9", "llama2-70b"), ("bert-99", "bert")]
)
def test_mlperf_s_name_of_a_model_leads_to_the_benchmark_that_measures_it(called, model, benchmark):
    status, _, err = called("plan", "-b", model, "--target", "cpu")
    assert status == 2
    said = " ".join(err.split())
    assert f"`{model}` is MLPerf's name of a model, and `{benchmark}` the benchmark that measures it" in said
    assert "no recipe measures" not in said


@pytest.mark.parametrize("words", [("run", "deepseek-r1", "--dry-run"), ("plan", "-b", "e2e-rag-db")])
def test_a_model_of_mlperf_that_no_recipe_measures_is_told_apart_from_a_misspelt_name(called, words):
    status, _, err = called(*words, "--target", "cpu")
    assert status == 2
    assert "is a model of MLPerf that no recipe measures: see `mlorch benchmarks list`; " in " ".join(err.split())
    assert "model of MLPerf" not in called("run", "imag", "--dry-run", "--target", "cpu")[2]
