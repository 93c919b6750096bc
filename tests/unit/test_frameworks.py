"""Which framework a benchmark uses on which target; a new target is one YAML file."""

from __future__ import annotations

import json
from collections import ChainMap
from dataclasses import replace

import pytest
from run_parts import a_benchmark, a_run_environment, a_target, a_workload
from sample_recipes import FILES, layer, write

from orchestrator.cli import run
from orchestrator.definitions.catalog import Root, builtin_root, load
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.plan.build.frameworks import benchmarks_of, framework_of, shared_frameworks, targets_of
from orchestrator.plan.build.planner import build_plans
from orchestrator.plan.build.resolve import resolve_side
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices

INVENTED = """\
kind: target
name: abacus
title: A chip that nobody has made
platforms: [linux/amd64]
base: base-bookworm
runtime: runtime-cpu
frameworks: {onnxruntime: onnxruntime-cpu}
providers: {onnxruntime: [CPUExecutionProvider]}
priority: 1
detect: {paths: [/dev/abacus0]}
passthrough: {nodes: [{name: "/dev/abacus[0-9]*", each: true, reason: the beads themselves}]}
"""


@pytest.fixture
def called(capsys, monkeypatch, tmp_path):
    """Runs a command line in an empty folder; gives exit status and the document of `--json`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: str) -> tuple[int, dict]:
        status = run([*arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return call


class TestANewTargetIsOneFile:
    @pytest.fixture
    def mine(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "abacus.yaml").write_text(INVENTED)
        return str(tmp_path / "mine")

    def test_every_benchmark_that_shares_a_framework_lists_it(self, called, mine):
        _, before = called("benchmarks", "list")
        status, document = called("benchmarks", "list", "--recipes", mine)
        assert status == 0
        assert document["benchmarks"]
        shared = [each for each in document["benchmarks"] if "abacus" in each["targets"]]
        assert {"image-fashion", "image-smoke"} <= {each["name"] for each in shared}
        for was, now in zip(before["benchmarks"], document["benchmarks"], strict=True):
            assert set(now["targets"]) - set(was["targets"]) == ({"abacus"} if now in shared else set())
            assert now["framework"] == now["frameworks"][0]
        assert all("onnxruntime" in each["frameworks"] for each in shared)

    def test_it_plans_and_renders_all_of_them(self, called, mine, tmp_path):
        known = called("benchmarks", "list", "--recipes", mine)[1]["benchmarks"]
        names = [each["name"] for each in known if "abacus" in each["targets"]]
        for name in names:
            status, plan = called("plan", "--recipes", mine, "--target", "abacus", "--benchmark", name)
            assert status == 0
            made = {layer["name"] for layer in plan["layers"]}
            assert {"base-bookworm", "runtime-cpu", "onnxruntime-cpu", f"{name}-abacus"} <= made
        out = tmp_path / "rendered"
        assert called("render", "--all", "--recipes", mine, "--target", "abacus", "-o", str(out))[0] == 0
        for name in names:
            facts = json.loads((out / "abacus" / f"{name}-abacus" / "content/opt/mlorch/benchmark.json").read_text())
            assert facts["framework"] == "onnxruntime"

    def test_it_lints_and_shares_every_layer_but_the_last_with_its_like(self, called, mine):
        assert called("recipes", "lint", "--recipes", mine)[0] == 0
        catalog = load([builtin_root(), Root(path=builtin_root().path.parent / mine, origin="path:mine")])
        (own,) = build_plans(catalog, target="abacus", benchmarks=["image-fashion"])
        (cpu,) = build_plans(catalog, target="cpu", benchmarks=["image-fashion"])
        assert [step.image for step in own.layers[:-1]] == [step.image for step in cpu.layers[:-1]]


class TestTheChoice:
    def test_the_benchmarks_order_decides(self):
        both = a_target(frameworks={"openvino": "a", "onnxruntime": "b"})
        assert shared_frameworks(both, a_benchmark(frameworks=["onnxruntime", "openvino"])) == (
            "onnxruntime", "openvino",
        )  # fmt: skip
        assert shared_frameworks(both, a_benchmark(frameworks=["openvino"])) == ("openvino",)
        assert shared_frameworks(both, a_benchmark(frameworks=["vllm"])) == ()

    def test_what_the_target_prefers_counts_before(self):
        frameworks = {"openvino": "a", "onnxruntime": "b", "torch": "c"}
        target = a_target(frameworks=frameworks, prefer=["openvino"])
        what = a_benchmark(frameworks=["torch", "onnxruntime", "openvino"])
        assert shared_frameworks(target, what) == ("openvino", "torch", "onnxruntime")

    def test_the_layers_and_the_harness_follow_it(self, tmp_path):
        changes = {
            "recipes/layers/motor.yaml": layer("motor", "framework"),
            "recipes/targets/chip.yaml": FILES["recipes/targets/chip.yaml"]
            .replace("{engine: engine}", "{engine: engine, motor: motor}\nprefer: [motor]"),
            "recipes/harnesses/drive.yaml": FILES["recipes/harnesses/drive.yaml"]
            .replace("{engine: engine}", "{engine: engine, motor: motor-backend}"),
            "recipes/benchmarks/classify.yaml": FILES["recipes/benchmarks/classify.yaml"]
            .replace("[engine]", "[engine, motor]"),
        }  # fmt: skip
        catalog = load([Root(path=write(tmp_path, changes=changes), origin="path:x")])
        (plan,) = build_plans(catalog, target="chip")
        assert plan.framework == "motor"
        assert [step.name for step in plan.layers[:3]] == ["os", "userland", "motor"]
        facts = next(f for f in plan.layers[-1].files if f.path == "content/opt/mlorch/benchmark.json")
        assert json.loads(facts.text)["framework"] == "motor"

    def test_the_harness_is_told_its_own_name_for_it_and_the_targets_providers(self):
        harness = a_workload().harness.model_copy(update={"backends": {"openvino": "ov"}})
        target = a_target(frameworks={"openvino": "x"}, providers={"openvino": ["GPU"], "other": ["CPU"]})
        workload = a_workload(target=target, harness=harness, framework="openvino")
        step = plan_run(workload, a_run_environment(), Cell(scenario="Offline", mode="accuracy"), "id", Choices())
        assert (step.settings["backend"], step.settings["providers"]) == ("ov", ["GPU"])


class TestALayerOverAnother:
    """What a vendor adds lies over the runtime that other targets share."""

    @pytest.fixture
    def changes(self):
        runtime = FILES["recipes/layers/userland.yaml"]
        return {
            "recipes/layers/vendor.yaml": runtime.replace("name: userland", "name: vendor\nover: userland"),
            "recipes/targets/chop.yaml": FILES["recipes/targets/chip.yaml"]
            .replace("name: chip", "name: chop").replace("runtime: userland", "runtime: vendor"),
            "recipes/layers/engine.yaml": layer("engine", "framework"),
        }  # fmt: skip

    def catalog(self, folder, changes):
        return load([Root(path=write(folder, changes=changes), origin="path:x")])

    def test_it_shares_all_that_lies_below(self, tmp_path, changes):
        catalog = self.catalog(tmp_path, changes)
        (plain,), (vendor,) = build_plans(catalog, target="chip"), build_plans(catalog, target="chop")
        assert [step.name for step in vendor.layers[:4]] == ["os", "userland", "vendor", "engine"]
        assert [step.image for step in vendor.layers[:2]] == [step.image for step in plain.layers[:2]]
        assert vendor.layers[3].parent == vendor.layers[2].image

    def test_a_side_image_goes_without(self, tmp_path, changes):
        catalog = self.catalog(tmp_path, changes)
        names = [entry.definition.name for entry in resolve_side(catalog, target="chop", layer="tools").layers]
        assert names == ["os", "userland", "tools"]

    @pytest.mark.parametrize(
        ("over", "slug", "words"),
        [
            ("nothing", "unknown-layer", "no layer `nothing`"),
            ("os", "wrong-level", "of level `runtime` belongs here"),
            ("vendor", "layer-circle", "`vendor` lies over itself: vendor over vendor"),
        ],
    )
    def test_what_cannot_lie_below_is_told(self, tmp_path, changes, over, slug, words):
        changes["recipes/layers/vendor.yaml"] = changes["recipes/layers/vendor.yaml"].replace(
            "over: userland", f"over: {over}"
        )
        with pytest.raises(DefinitionError) as caught:
            self.catalog(tmp_path, changes)
        (problem,) = caught.value.problems()
        assert (problem.slug, problem.span.line) == (slug, 3)
        assert words in problem.message

    def test_a_circle_is_told_at_each_of_its_layers(self, tmp_path, changes):
        runtime = FILES["recipes/layers/userland.yaml"]
        changes["recipes/layers/userland.yaml"] = runtime.replace("name: userland", "name: userland\nover: vendor")
        with pytest.raises(DefinitionError) as caught:
            self.catalog(tmp_path, changes)
        assert [problem.slug for problem in caught.value.problems()] == ["layer-circle"] * 2


class TestNothingShared:
    @pytest.fixture
    def catalog(self, tmp_path):
        other = FILES["recipes/targets/chip.yaml"].replace("name: chip", "name: chop").replace("{engine:", "{motor:")
        return load([Root(path=write(tmp_path, changes={"recipes/targets/chop.yaml": other}), origin="path:x")])

    def test_is_told_with_what_each_has(self, catalog):
        with pytest.raises(UsageError) as caught:
            framework_of(catalog, target="chop", benchmark="classify")
        assert caught.value.slug == "unsupported-target"
        assert "`classify` does not support target `chop`, which has no layer for engine" in str(caught.value)
        assert "it runs on: chip; `chop` has motor" in caught.value.hint

    def test_is_no_benchmark_of_that_target(self, catalog):
        assert benchmarks_of(catalog, "chop") == ()
        assert benchmarks_of(catalog, "chip") == ("classify",)
        what = catalog.benchmark("classify").definition
        assert isinstance(what, Benchmark)
        assert targets_of(catalog, what) == ("chip",)

    def test_an_unknown_target_has_no_benchmarks_either(self, catalog):
        with pytest.raises(UsageError, match="no target `chopp`"):
            benchmarks_of(catalog, "chopp")


class TestTargetsOfAHarness:
    """A program that runs on some targets only, whatever frameworks others have."""

    def catalog(self, folder, targets):
        harness = FILES["recipes/harnesses/drive.yaml"] + f"targets: {targets}\n"
        chop = FILES["recipes/targets/chip.yaml"].replace("name: chip", "name: chop")
        changes = {"recipes/harnesses/drive.yaml": harness, "recipes/targets/chop.yaml": chop}
        return load([Root(path=write(folder, changes=changes), origin="path:x")])

    def test_they_alone_run_its_benchmarks(self, tmp_path):
        catalog = self.catalog(tmp_path, "[chop]")
        assert targets_of(catalog, catalog.benchmark("classify").definition) == ("chop",)
        assert benchmarks_of(catalog, "chip") == ()

    def test_another_is_refused_with_those_that_can(self, tmp_path):
        with pytest.raises(UsageError) as caught:
            framework_of(self.catalog(tmp_path, "[chop]"), target="chip", benchmark="classify")
        assert "its harness `drive` does not run there" in caught.value.message
        assert caught.value.hint == "it runs on: chop"

    def test_one_that_is_not_defined_is_a_fault(self, tmp_path):
        with pytest.raises(DefinitionError) as caught:
            self.catalog(tmp_path, "[chop, chipp]")
        assert "there is no target `chipp`" in caught.value.message


class TestAModelInTheFormOfEachFramework:
    @pytest.fixture
    def catalog(self):
        return load([builtin_root()])

    @pytest.mark.parametrize(
        ("target", "layer", "loadgen"),
        [
            ("gaudi", "pytorch-gaudi", "loadgen-py310"),
            ("neuron", "pytorch-neuron", "loadgen-py312"),
            ("tpu", "jax-tpu", "loadgen"),
            ("jetson", "onnxruntime-jetson", "loadgen-py310"),
            ("qaic", "onnxruntime-qaic", "loadgen-py310"),
        ],
    )
    def test_a_target_without_onnx_plans_with_its_own_framework_and_loadgen(self, catalog, target, layer, loadgen):
        assert "image-fashion" in benchmarks_of(catalog, target)
        (plan,) = build_plans(catalog, target=target, benchmarks=["image-fashion"])
        assert [step.name for step in plan.layers[2:4]] == [layer, loadgen]

    def test_every_target_has_a_benchmark(self, catalog):
        assert [name for name in catalog.names("target") if not benchmarks_of(catalog, name)] == []

    def test_a_framework_that_the_model_has_no_file_for_is_not_taken(self, catalog):
        benchmark = catalog.benchmark("image-fashion").definition
        only_onnx = catalog.model("resnet8-fashion").definition.model_copy(update={"files": {}})
        changed = replace(catalog.model("resnet8-fashion"), definition=only_onnx)
        without = replace(catalog, by_key=ChainMap({("model", "resnet8-fashion"): changed}, catalog.by_key))
        assert {"gaudi", "tpu"} <= set(targets_of(catalog, benchmark))
        assert not {"gaudi", "neuron", "tpu"} & set(targets_of(without, benchmark))
        assert "cpu" in targets_of(without, benchmark)
        with pytest.raises(UsageError, match="model `resnet8-fashion` has no file that pytorch loads"):
            framework_of(without, target="gaudi", benchmark="image-fashion")

    @pytest.mark.parametrize(("backend", "file"), [("torch", "model.pt2"), ("onnxruntime", "model.onnx")])
    def test_the_settings_name_the_file_of_the_backend(self, backend, file):
        from orchestrator.plan.run.settings import settings_of

        workload = a_workload()
        model = workload.model.model_copy(update={"files": {"torch": "model.pt2"}})
        harness = workload.harness.model_copy(update={"backends": {workload.framework: backend}})
        workload = replace(workload, model=model, harness=harness)
        document, _ = settings_of(workload, Cell(scenario="Offline", mode="accuracy"), "id", Choices(), (0,))
        assert document["model"]["path"] == f"/models/{model.name}/{file}"

    def test_side_images_of_a_vendors_target_stand_on_the_python_that_they_are_locked_for(self, catalog):
        found = resolve_side(catalog, target="gaudi", layer="prep")
        assert [entry.definition.name for entry in found.layers] == ["base-bookworm", "runtime-cpu", "prep"]
        assert (found.target.definition.name, found.image_name) == ("gaudi", "prep-gaudi")
        assert resolve_side(catalog, target="jetson", layer="prep").platform == "linux/arm64"
