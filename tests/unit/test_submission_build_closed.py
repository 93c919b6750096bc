"""`mlorch submission build --division closed`: MLPerf's own model, and its compliance tests, or nothing."""

from __future__ import annotations

import hashlib

import pytest
from submission_build_parts import MLPERF, OVERLAY, add_closed
from test_submission_build import LOGS, SYSTEM, World, lacks, rounds  # noqa: F401 (a fixture)

TESTS = {
    "TEST01": [
        "accuracy/mlperf_log_accuracy.json",
        "performance/run_1/mlperf_log_detail.txt",
        "performance/run_1/mlperf_log_summary.txt",
        "verify_accuracy.txt",
        "verify_performance.txt",
    ],
    "TEST04": [
        "performance/run_1/mlperf_log_detail.txt",
        "performance/run_1/mlperf_log_summary.txt",
        "verify_performance.txt",
    ],
}


@pytest.fixture
def world(tmp_path, monkeypatch, capsys, rounds):  # noqa: F811 (the fixture)
    world = World(tmp_path, monkeypatch, capsys, rounds)
    world.overlay.write_text(OVERLAY.replace("image-smoke:", "resnet50:"))
    return world


def add(world, round_name="v5.1", second=0, *, scenario="Offline", **more):
    """A result with its compliance tests; the folders of both."""
    return add_closed(world.store, world.rounds[round_name], scenario, second, **more)


def closed(world, *arguments, **more):
    return world.document("--division", "closed", *arguments, **more)


def files_below(world, folder):
    root = world.tree / "closed" / "Acme"
    return sorted(str(path.relative_to(root / folder)) for path in (root / folder).rglob("*") if path.is_file())


def test_v5_1_has_the_compliance_tests_in_a_folder_beside_the_results(world):
    (performance, _), tests = add(world)
    (result,) = closed(world)["results"]
    assert (result["model"], result["performance"]) == ("resnet", performance.name)
    assert result["tests"] == {"TEST01": tests[0].name, "TEST04": tests[1].name}
    there = [f"{name}/{file}" for name, files in TESTS.items() for file in files]
    assert files_below(world, f"compliance/{SYSTEM}/resnet/Offline") == sorted(
        [*there, "TEST01/accuracy/accuracy.txt"]
    ), "its checker asks for an accuracy.txt"
    assert files_below(world, f"results/{SYSTEM}/resnet/Offline") == LOGS


def test_v6_1_has_them_in_the_result_itself(world):
    add(world, "v6.1", data_samples=50_000)
    closed(world, round_name="v6.1")
    there = [f"{name}/{file}" for name, files in TESTS.items() for file in files]
    assert files_below(world, f"results/{SYSTEM}/resnet/Offline") == sorted(
        [*LOGS, *there, "TEST01/accuracy/accuracy.txt", "README.md", "measurements.json", "user.conf"]
    )


def test_the_log_of_answers_is_cut_and_its_hash_is_of_the_whole(world):
    _, (test01, _) = add(world)
    closed(world)
    folder = world.tree / "closed" / "Acme" / "compliance" / SYSTEM / "resnet" / "Offline" / "TEST01"
    whole = (test01 / "compliance/TEST01/accuracy/mlperf_log_accuracy.json").read_bytes()
    cut = (folder / "accuracy/mlperf_log_accuracy.json").read_bytes()
    assert len(cut) < 10 * 1024 < len(whole)
    assert f"hash={hashlib.sha256(whole).hexdigest()}" in (folder / "accuracy/accuracy.txt").read_text()
    assert (folder / "verify_accuracy.txt").read_text() == "TEST PASS\n"


def test_a_build_again_replaces_the_tests_of_a_result_too(world):
    add(world)
    closed(world)
    _, tests = add(world, second=20)
    document = closed(world)
    assert document["written"] == {"added": 0, "replaced": 1, "unchanged": 0}
    folder = world.tree / "closed" / "Acme" / "compliance" / SYSTEM / "resnet" / "Offline"
    said = world.tree / "closed" / "Acme" / "measurements" / SYSTEM / "resnet" / "Offline" / "README.md"
    assert sorted(path.name for path in folder.iterdir()) == ["TEST01", "TEST04"]
    assert f"| TEST01 run | {tests[0].name} |" in said.read_text()


def test_a_workload_that_only_stands_for_a_model_is_refused(world):
    add(world, benchmark="image-fashion", official=False)
    document = closed(world, "--dry-run")
    assert document["results"] == []
    said = lacks(document)["image-fashion", "Offline"]
    assert "it only stands for resnet, and the closed division takes MLPerf's own model and data" in said
    assert not document["lacks"][0]["command"], "no run of it mends that"
    code, _, err = world.build("--division", "closed")
    assert (code, "it only stands for resnet" in err) == (5, True)


def test_mlperfs_benchmark_with_another_model_is_none_of_its_own(world):
    add(world, official=False)
    assert "it only stands for resnet" in lacks(closed(world, "--dry-run"))["resnet50", "Offline"]
    (result,) = world.document()["results"]
    assert (result["model"], result["stands_for"]) == ("resnet50", "resnet"), "in the open division neither"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tests": ("TEST04",)}, "TEST01: it was not made"),
        ({"said": "TEST FAIL: Test score invalid"}, "TEST01: FAILED; TEST01, verify_accuracy.txt: TEST FAIL: Test"),
        ({"right": 6}, "is below"),
        ({"changed_rules": ("scenarios.Offline.min_query_count=1 (2 in the recipe)",)}, "not by its recipe's rules"),
        ({"stands_for": "bert-99"}, "its accuracy is no F1"),
        ({"scenario": "Interactive"}, "v5.1 has no Interactive of resnet"),
    ],
)
def test_what_the_closed_division_does_not_take_is_told(world, changes, why):
    add(world, **changes)
    document = closed(world, "--dry-run")
    assert document["results"] == []
    assert any(why in " ".join(one["why"]) for one in document["lacks"]), document["lacks"]


def test_what_the_checker_of_v6_1_refuses_is_refused(world):
    add(world, "v6.1")
    document = closed(world, "--dry-run", round_name="v6.1")
    assert "its accuracy is of 64 samples, resnet has 50,000" in lacks(document)["resnet50", "Offline"]


def test_the_command_that_makes_the_tests_is_named(world):
    add(world, tests=())
    said = lacks(closed(world, "--dry-run"))["resnet50", "Offline"]
    command = "mlorch run resnet50 --target cpu --scenario Offline --mode compliance --round v5.1 --duration 600s"
    assert said.endswith(command)


def test_tests_of_other_runs_are_not_these(world):
    _, tests = add(world)
    for mode in ("performance", "accuracy"):
        world.test(mode, second=30, **MLPERF)
    (result,) = closed(world)["results"]
    assert set(result["tests"].values()) == {path.name for path in tests}, "the older runs have tests"
    assert result["performance"].endswith("-0000")


def test_scenarios_without_which_none_is_taken_are_named(world):
    add(world)
    document = closed(world, "--dry-run")
    (lack,) = document["lacks"]
    assert lack["scenarios"] == ["SingleStream", "MultiStream"]
    assert "v5.1 asks for them of resnet on a system of edge" in lack["why"][0]
    assert lack["command"][:8] == [
        "mlorch",
        "run",
        "resnet50",
        "--target",
        "cpu",
        "--scenario",
        "SingleStream",
        "--scenario",
    ]


def test_a_scenario_that_no_system_of_its_category_shows_is_told(world):
    add(world, scenario="Server", latency_ms=15)
    (result,) = closed(world)["results"]
    assert "no system of edge shows Server of resnet: the checker refuses it" in result["remarks"]


def test_a_verdict_that_was_edited_is_not_believed(world):
    _, (test01, _) = add(world, said="TEST FAIL")
    for path in (test01 / "compliance" / "TEST01").glob("verify_*"):
        path.write_text("TEST PASS\n")
    document = closed(world, "--dry-run")
    assert document["results"] == []


def test_the_network_division_is_refused_with_the_reason(world):
    add(world)
    code, _, err = world.build("--division", "network")
    assert (code, "[submission-division]" in err, "two machines" in err) == (2, True, True)
