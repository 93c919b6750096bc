"""Compliance tests before anything runs: what a round asks for, in which order, and what is compared with what."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
from run_parts import a_benchmark, a_run_environment, a_workload
from sample_recipes import write

from orchestrator import cli
from orchestrator.definitions.catalog import Root, builtin_root, load
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.facts.compliance import ComparedRun, ComplianceTest
from orchestrator.plan.run.cells import Cell, cells_of
from orchestrator.plan.run.compliance import compliance_demand
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.plan.run.verification import COMPARED, OUTPUT, TEST

ALL = ("SingleStream", "MultiStream", "Server", "Offline")


@pytest.fixture(scope="module")
def catalog():
    return load([builtin_root()])


def demand(catalog, *, round_name="v6.1", model="resnet", scenarios=ALL, division="closed", harness=None, **changes):
    workload = a_workload()
    what = a_benchmark(stands_for=model, round=round_name, **changes)
    rules = catalog.round_rules(round_name)
    return compliance_demand(rules, what, harness or workload.harness, scenarios, division)


def names(found):
    return {scenario: [test.name for test in tests] for scenario, tests in found.tests.items()}


def a_test(**changes) -> ComplianceTest:
    test = ComplianceTest(
        name="TEST01",
        round="v6.1",
        audit={"mode": 2, "accuracy_log_sampling_target": 64},
        compared_with=("accuracy", "performance"),
        command=("python3", "/verify.py", "-r", "{results}", "-c", "{test}", "-o", "{output}", "--dtype={dtype}"),
        files=("verify_accuracy.txt",),
        passes={"verify_accuracy.txt": "TEST PASS"},
    )
    return replace(test, **changes)


# -- what a round asks for ---------------------------------------------------------------------


def test_a_round_asks_for_the_tests_of_its_model_in_the_scenarios_that_it_has(catalog):
    found = demand(catalog, model="bert-99", scenarios=("Offline", "SingleStream", "Server"))
    assert names(found) == {name: ["TEST01"] for name in ("Offline", "SingleStream")}
    assert found.not_asked == ("v6.1 has no Server of bert-99, so it asks for no compliance test there",)
    assert found.impossible == ()
    found = demand(catalog)
    assert names(found) == {name: ["TEST01", "TEST04"] for name in ALL}, "Server is of a system of both categories"
    assert names(demand(catalog, division="network")) == names(found)


def test_an_older_round_asks_for_more_and_has_server(catalog):
    found = demand(catalog, round_name="v4.1")
    assert names(found) == {name: ["TEST01", "TEST04", "TEST05"] for name in found.tests}
    assert "Server" in found.tests


def test_the_open_division_asks_for_none(catalog):
    found = demand(catalog, division="open")
    assert (found.tests, found.not_asked) == ({}, ("the open division asks for no compliance test",))


def test_a_benchmark_of_no_model_and_a_model_of_no_test_need_none(catalog):
    assert "stands for no model of a round" in demand(catalog, model="").not_asked[0]
    found = demand(catalog, model="llama3.1-8b-edge")
    assert (found.tests, found.not_asked) == ({}, ("v6.1 asks for no compliance test of llama3.1-8b-edge",))


def test_what_cannot_be_made_yet_says_what_is_missing(catalog):
    found = demand(catalog, model="gpt-oss-120b", scenarios=("Offline",))
    assert found.tests == {}
    assert [one.partition(":")[0] for one in found.impossible] == [
        f"{name} of v6.1 cannot be made yet" for name in ("TEST07", "TEST09")
    ]
    program = catalog.harness("mlcommons-bert").definition
    assert "is a program of its own" in demand(catalog, harness=program).impossible[0]


@pytest.mark.parametrize(
    ("round_name", "model", "target"),
    [
        ("v6.1", "resnet", 4096),
        ("v4.1", "retinanet", 256),
        ("v6.0", "retinanet", 256),
        ("v6.1", "3d-unet-99.9", 64),
        ("v6.1", "yolo-99", 64),
        ("v5.1", "stable-diffusion-xl", 128),
        ("v6.0", "pointpainting", 256),
        ("v6.1", "whisper", 4096),
    ],
)
def test_the_audit_of_a_model_is_that_of_mlcommons_in_its_round(catalog, round_name, model, target):
    tests = demand(catalog, round_name=round_name, model=model).tests
    test = next(iter(tests.values()))[0]
    assert test.audit == {
        "mode": 2,
        "accuracy_log_rng_seed": 720381539243781796,
        "accuracy_log_sampling_target": target,
    }


@pytest.mark.parametrize(
    ("round_name", "folder"),
    [("v4.1", "compliance/nvidia"), ("v5.1", "compliance/nvidia"), ("v6.0", "compliance"), ("v6.1", "compliance")],
)
def test_the_script_is_where_the_repository_has_it_in_that_round(catalog, round_name, folder):
    rules = catalog.round_rules(round_name)
    layer = catalog.layer(rules.compliance_layer).definition
    for name, how in rules.compliance.items():
        if name == "TEST05" and round_name != "v4.1":
            continue
        assert how.command[1] == f"/opt/mlcommons-inference/{folder}/{name}/run_verification.py"
        assert f"{folder}/{name}" in layer.git[0].paths
    assert len(layer.git[0].ref) == 40


# -- the order of tests ------------------------------------------------------------------------


def shown(cells):
    return [f"{cell.scenario} {cell.name}" for cell in cells]


def test_compliance_mode_runs_what_its_tests_are_compared_with_and_then_them():
    tests = {"Offline": [a_test(), a_test(name="TEST04", compared_with=("performance",))]}
    cells = cells_of(ALL, mode="compliance", compliance=tests)
    assert shown(cells) == ["Offline accuracy", "Offline performance", "Offline TEST01", "Offline TEST04"]
    only = {"Offline": [a_test(name="TEST04", compared_with=("performance",))]}
    assert shown(cells_of(ALL, mode="compliance", compliance=only)) == ["Offline performance", "Offline TEST04"]


def test_with_everything_else_an_accuracy_comes_in_each_scenario_that_is_compared_with_one():
    tests = {"SingleStream": [a_test()]}
    cells = cells_of(("Offline", "SingleStream"), compliance=tests)
    assert shown(cells) == [
        "Offline accuracy",
        "SingleStream accuracy",
        "Offline performance",
        "SingleStream performance",
        "SingleStream TEST01",
    ]


# -- the step ----------------------------------------------------------------------------------


def a_step(*, compared=(), **choices):
    workload = a_workload(compliance_image="mlorch/compliance:0123", compliance_commit="b66003e1")
    cell = Cell(scenario="Offline", mode="compliance", test=a_test())
    return plan_run(workload, a_run_environment(), cell, "20260101T000000Z-x", Choices(compared=compared, **choices))


def runs(**settings):
    return (
        ComparedRun(mode="accuracy", run_id="a", folder="/results/a"),
        ComparedRun(mode="performance", run_id="p", folder="/results/p", settings=settings),
    )


def test_it_is_a_performance_test_with_the_audit_and_the_settings_of_the_run_that_it_is_compared_with():
    step = a_step(compared=runs(target_qps=1234.5, batch=64, instances=2, threads=1, cpus=[7]))
    assert step.settings["mode"] == "performance"
    assert step.settings["audit"] == {
        "test": "TEST01",
        "settings": {"mode": 2, "accuracy_log_sampling_target": 64},
    }
    assert (step.settings["loadgen"]["target_qps"], step.settings["execution"]["batch"]) == (1234.5, 64)
    assert step.provenance["loadgen.target_qps"] == "performance run"
    assert step.settings["execution"]["cpus"] != [7]
    assert (step.mode, step.name) == ("compliance", "TEST01")


def test_any_other_test_has_no_audit_and_no_verification():
    step = plan_run(a_workload(), a_run_environment(), Cell(scenario="Offline", mode="performance"), "id", Choices())
    assert "audit" not in step.settings
    assert step.compliance is None
    assert len(step.containers) == 1


def test_its_verification_reads_two_results_and_the_test_and_writes_one_folder():
    step = a_step(compared=runs())
    test, verification = step.containers
    assert {mount.target: (mount.source, mount.read_only) for mount in verification.mounts} == {
        f"{COMPARED}/accuracy": ("/results/a", True),
        f"{COMPARED}/performance/run_1": ("/results/p", True),
        TEST: ("/home/u/results/20260101T000000Z-x", True),
        OUTPUT: ("/home/u/results/20260101T000000Z-x/compliance", False),
    }
    assert (verification.image, verification.network, verification.read_only) == (
        "mlorch/compliance:0123",
        "none",
        True,
    )
    assert (verification.capabilities, verification.devices, verification.user) == ((), (), test.user)
    assert verification.command == (
        *("python3", "/verify.py", "-r", COMPARED, "-c", TEST, "-o", OUTPUT),
        "--dtype=int64",
    )


# -- the command line --------------------------------------------------------------------------


@pytest.fixture
def called(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")

    def call(*words: str) -> tuple[int, str, str]:
        status = cli.run(["run", *words])
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return call


def names_of(lines: str) -> list[str]:
    starts = [shlex.split(line) for line in lines.splitlines() if line.startswith("docker ")]
    return [words[words.index("--name") + 1].split("-cpu-")[1][:-5] for words in starts]


def test_a_dry_run_shows_the_tests_and_what_each_is_compared_with(called):
    status, out, err = called("image-fashion", "-t", "cpu", "-s", "Offline", "-m", "compliance", "--dry-run", "--json")
    assert status == 0, err
    told = [one for one in json.loads(out)["containers"] if one["compliance"]]
    first = told[0]["compliance"]
    assert (first["test"], first["round"], first["commit"]) == (
        "TEST01",
        "v6.1",
        "b66003e10e2db4b8c36a448b0545ec90fcc6e9e9",
    )
    ids = {one["mode"]: one["run_id"] for one in first["compared"]}
    runs_before = [one["run_id"] for one in json.loads(out)["containers"] if not one["compliance"]]
    assert list(ids.values()) == runs_before
    assert [one["compliance"]["test"] for one in told] == ["TEST01", "TEST01", "TEST04", "TEST04"]
    status, _, err = called("image-fashion", "-t", "cpu", "-s", "Offline", "-m", "compliance", "--dry-run")
    assert "TEST04 of image-fashion Offline is compared with the performance test" in err


def test_everything_that_a_named_round_asks_is_as_before(called):
    words = ("image-fashion", "-t", "cpu", "-s", "SingleStream", "--round", "v6.1", "--dry-run", "--json")
    status, out, err = called(*words)
    assert status == 0, err
    assert [one["compliance"] for one in json.loads(out)["containers"]] == [None, None]


@pytest.mark.parametrize(
    ("division", "names"),
    [
        ("closed", ["accuracy", "accuracy", "performance", "performance", "test01", "test04", "test01", "test04"]),
        ("open", ["accuracy", "accuracy", "performance", "performance"]),
    ],
)
def test_with_everything_else_the_division_that_is_named_decides(called, division, names):
    words = ("-s", "Offline", "-s", "SingleStream", "--round", "v6.1", "--division", division, "--dry-run")
    status, out, err = called("image-fashion", "-t", "cpu", *words)
    assert status == 0, err
    assert [name.rpartition("-")[2] for name in names_of(out) if not name.endswith("-compl")] == names
    assert ("image-fashion only stands for resnet, so" in err) == (division == "closed"), "hours would be for nothing"


def test_with_everything_else_a_test_that_cannot_be_made_is_told_and_the_rest_is_planned(called):
    words = ("-s", "Offline", "--division", "closed", "--dry-run", "--json")
    status, out, err = called("resnet50", "-t", "cpu", *words)
    assert status == 0, err
    assert "TEST01 of resnet50 cannot be made yet: harness `mlcommons-vision` is a program of its own" in err
    assert not any(one["compliance"] for one in json.loads(out)["containers"])


def test_a_suite_has_the_tests_of_each_of_its_benchmarks(called):
    words = ("--suite", "reference", "-t", "cpu", "-s", "Offline", "--round", "v6.1", "--dry-run", "--json")
    status, out, err = called(*words, "--division", "closed")
    assert status == 0, err
    made = {(one["compliance"] or {}).get("test") for one in json.loads(out)["containers"]}
    assert made == {None, "TEST01", "TEST04", "TEST06"}
    status, out, err = called(*words, "--division", "open")
    assert status == 0, err
    assert not any(one["compliance"] for one in json.loads(out)["containers"])


def test_test06_of_a_model_that_writes_is_told_its_scenario(called):
    words = ("llm-chat", "-t", "cpu", "-s", "Interactive", "-m", "compliance", "--dry-run", "--json")
    status, out, err = called(*words)
    assert status == 0, err
    test, verification = [one for one in json.loads(out)["containers"] if one["compliance"]]
    assert test["settings"]["audit"]["settings"]["min_query_count"] == 100
    assert [word for word in verification["argv"] if "scenario" in word or "dtype" in word] == [
        "--dtype=int32",
        "--scenario=Interactive",
    ]


@pytest.mark.parametrize(
    ("words", "slug", "said"),
    [
        (("image-fashion", "-m", "compliance", "--division", "open"), "no-compliance-test", "the open division"),
        (("bert", "-m", "compliance"), "compliance-not-possible", "is a program of its own"),
        (("image-fashion", "--division", "closed", "--find"), "", "--find and compliance tests (--division closed)"),
        (
            ("llm-chat", "--division", "closed", "--endpoint", "http://127.0.0.1:1", "--model", "m"),
            "compliance-not-possible",
            "(--division closed) cannot be had of an endpoint",
        ),
        (("bert-plumbing", "-m", "compliance"), "no-compliance-test", "stands for no model of a round"),
        (("image-fashion", "-m", "compliance", "--find"), "", "--find and --mode compliance exclude each other"),
        (("image-fashion", "--division", "opne"), "unknown-division", "did you mean `open`"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_made(called, words, slug, said):
    status, _, err = called(*words, "-t", "cpu", "--dry-run")
    assert status == 2
    assert said in err
    assert f"[{slug}]" in err or not slug


# -- a round of one's own ----------------------------------------------------------------------

ROUND = """\
kind: round
name: r1
title: The first
sources: {checker: somewhere}
loadgen: {from: "1.0", to: "1.9", why: so it is}
seeds: {qsl_rng_seed: 1, sample_index_rng_seed: 2, schedule_rng_seed: 3}
compliance_tests: {TEST01: that nothing is made up}
compliance:
  layer: nowhere
  scripts: /opt/scripts
  tests:
    TEST01:
      audit: {mode: 2}
      compared_with: [performance]
      command: [python3, "{scripts}/verify.py", "{results}"]
      files: [verify.txt]
      passes: {verify.txt: TEST PASS}
"""


@pytest.mark.parametrize(
    ("old", "new", "slug", "said"),
    [
        ("the first", "the first", "unknown-layer", "there is no layer `nowhere`"),
        ("layer: nowhere", "layer: loads", "compliance-layer", "is no side image"),
        ("    TEST01:", "    TEST02:", "unknown-compliance-test", "`TEST02`"),
        ("{results}", "{result}", "bad-value", "`{result}` of `command` is none of"),
        ("passes: {verify.txt:", "passes: {other.txt:", "bad-value", "`other.txt` of `passes` is none of `files`"),
    ],
)
def test_a_fault_in_how_a_test_is_made_is_found_at_its_place(tmp_path, old, new, slug, said):
    files = {"recipes/rounds/r1.yaml": ROUND.replace(old, new)}
    with pytest.raises(DefinitionError) as caught:
        load([Root(write(tmp_path / "sample", changes=files), "path:sample")])
    found = [one for one in caught.value.problems() if one.slug == slug and said in one.message]
    assert len(found) == 1
    assert found[0].span.path.endswith("r1.yaml")
    assert found[0].span.line > 8


def test_a_scenario_that_a_benchmark_lacks_is_refused_as_ever():
    with pytest.raises(UsageError):
        cells_of(("Offline",), asked=("Server",), mode="compliance")
