"""`mlorch submission build`: which runs become results of a round's tree, and every file of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from results_parts import SAMPLES, record_of
from submission_build_parts import OVERLAY, add_pair, add_test, model_files, rules_of

from orchestrator import cli
from orchestrator.facts.power import PowerCheck, PowerFact
from orchestrator.facts.processors import Disturbance
from orchestrator.facts.record import FileHash
from orchestrator.facts.record_file import from_json
from orchestrator.host.files import sha256_file
from orchestrator.results.store import Store

SYSTEM = "2x-Some-Processor-9000-onnxruntime-1.32.0"


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    """The rules of two rounds; recipes are read once for all tests, into one cache."""
    home = tmp_path_factory.mktemp("home")
    return home, rules_of("v5.1", "v6.1")


@pytest.fixture
def world(tmp_path, monkeypatch, capsys, rounds):
    """A folder of results, and the command over it."""
    return World(tmp_path, monkeypatch, capsys, rounds)


class World:
    def __init__(self, tmp_path, monkeypatch, capsys, rounds):
        (home, self.rounds), self.capsys, self.tmp_path = rounds, capsys, tmp_path
        self.store = Store(tmp_path / "results")
        self.tree = tmp_path / "tree"
        self.overlay = tmp_path / "overlay.yaml"
        self.overlay.write_text(OVERLAY)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("MLORCH_HOME", str(home))

    def pair(self, round_name="v5.1", scenario="Offline", second=0, **more):
        add_pair(self.store, self.rounds[round_name], scenario, second, **more)

    def test(self, mode, round_name="v5.1", scenario="Offline", second=0, **more):
        return add_test(self.store, self.rounds[round_name], scenario, mode, second, **more)

    def build(self, *arguments, round_name="v5.1", overlay=True):
        given = ["--overlay", str(self.overlay)] if overlay else []
        fixed = ["--round", round_name, "--submitter", "Acme", "-o", str(self.tree), *given, *arguments]
        code = cli.run(["submission", "build", *fixed])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def document(self, *arguments, code=0, **more):
        status, out, err = self.build("--json", *arguments, **more)
        assert status == code, err
        return json.loads(out)

    @property
    def root(self) -> Path:
        return self.tree / "open" / "Acme"

    def files(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


LOGS = [
    "accuracy/accuracy.txt",
    "accuracy/mlperf_log_accuracy.json",
    "accuracy/mlperf_log_detail.txt",
    "accuracy/mlperf_log_summary.txt",
    "performance/run_1/mlperf_log_detail.txt",
    "performance/run_1/mlperf_log_summary.txt",
]


def test_the_tree_of_v5_1_has_exactly_these_files(world):
    world.pair()
    world.pair(scenario="Server", second=10)
    code, out, _ = world.build()
    assert code == 0
    assert "image-fashion" in out
    expected = ["code/image-fashion/mlorch/README.md", "documentation/calibration.md", "model_mapping.json"]
    expected += [f"systems/{SYSTEM}.json"]
    for scenario in ("Offline", "Server"):
        described = f"measurements/{SYSTEM}/image-fashion/{scenario}"
        expected += [f"{described}/{SYSTEM}_mlorch_{scenario}.json", f"{described}/README.md", f"{described}/user.conf"]
        expected += [f"results/{SYSTEM}/image-fashion/{scenario}/{name}" for name in LOGS]
    assert world.files() == sorted(expected)


def test_the_tree_of_v6_1_describes_a_result_in_its_own_folder(world):
    world.pair("v6.1")
    assert world.build(round_name="v6.1")[0] == 0
    result = f"results/{SYSTEM}/image-fashion/Offline"
    expected = [f"{result}/{name}" for name in (*LOGS, "README.md", "measurements.json", "user.conf")]
    expected += ["src/image-fashion/mlorch/README.md", "documentation/calibration.md", "model_mapping.json"]
    assert world.files() == sorted([*expected, f"systems/{SYSTEM}.json"])


def test_logs_are_copied_and_the_accuracy_is_in_the_words_that_the_checkers_look_for(world):
    performance, accuracy = world.test("performance"), world.test("accuracy", second=1)
    world.build()
    result = world.root / "results" / SYSTEM / "image-fashion" / "Offline"
    copied = result / "performance/run_1/mlperf_log_detail.txt"
    assert copied.read_bytes() == (performance / "mlperf_log_detail.txt").read_bytes()
    assert copied.stat().st_nlink == 1, "the tree may be changed by hand, and the results may not"
    whole = (accuracy / "mlperf_log_accuracy.json").read_bytes()
    assert (result / "accuracy/mlperf_log_accuracy.json").read_bytes() == whole, "it is short"
    lines = (result / "accuracy/accuracy.txt").read_text().splitlines()
    assert lines[0] == f"accuracy=90.625%, total={SAMPLES}"
    assert f"hash={hashlib.sha256(whole).hexdigest()}" in lines


def test_a_long_accuracy_log_is_cut_and_its_hash_is_of_the_whole(world):
    world.test("performance")
    folder = world.test("accuracy", second=1, accuracy_entries=1000)
    world.build()
    whole = (folder / "mlperf_log_accuracy.json").read_bytes()
    accuracy = world.root / "results" / SYSTEM / "image-fashion" / "Offline" / "accuracy"
    cut = (accuracy / "mlperf_log_accuracy.json").read_bytes()
    assert cut == whole[:4096] + b"\n\n...\n\n" + whole[-4096:]
    assert len(cut) <= 10 * 1024, "the checkers' limit"
    assert f"hash={hashlib.sha256(whole).hexdigest()}" in (accuracy / "accuracy.txt").read_text()


def test_a_system_without_accelerators_says_so_in_words_that_the_checkers_take(world):
    world.pair()
    world.build()
    system = json.loads((world.root / "systems" / f"{SYSTEM}.json").read_text())
    assert system["accelerators_per_node"] == "0", "the number 0 counts as empty"
    assert system["accelerator_model_name"] == "N/A"
    assert (system["host_processors_per_node"], system["host_processor_core_count"]) == (2, 2)
    assert system["framework"] == "onnxruntime 1.32.0"
    assert (system["division"], system["submitter"]) == ("open", "Acme")
    assert system["cooling"] == "air", "the overlay"


def test_a_workload_that_only_stands_for_a_model_keeps_its_name_and_says_what_it_is(world):
    world.pair()
    world.pair(second=10, benchmark="image-smoke", benchmark_title="Smoke")
    world.build()
    assert json.loads((world.root / "model_mapping.json").read_text()) == {
        "image-fashion": "resnet",
        "image-smoke": "resnet",
    }
    folder = world.root / "measurements" / SYSTEM / "image-fashion" / "Offline"
    said = json.loads((folder / f"{SYSTEM}_mlorch_Offline.json").read_text())
    assert said["mlorch"]["stands_for"] == "resnet"
    assert "trained by mlorch" in said["retraining"]
    assert said["input_data_types"] == "uint8"
    assert said["starting_weights_filename"].startswith("model.onnx (sha256 efef")


def test_a_benchmark_of_mlperf_has_the_name_of_its_model(world):
    world.overlay.write_text(OVERLAY.replace("image-smoke:", "resnet50:"))
    world.pair(benchmark="resnet50", benchmark_title="ResNet-50")
    world.build()
    assert (world.root / "results" / SYSTEM / "resnet" / "Offline").is_dir()
    assert not (world.root / "model_mapping.json").exists()


def test_user_conf_and_readme_repeat_the_test(world):
    world.pair(scenario="Server")
    world.build()
    folder = world.root / "measurements" / SYSTEM / "image-fashion" / "Server"
    conf = (folder / "user.conf").read_text().splitlines()
    assert "*.Server.target_qps = 7000" in conf
    assert "*.Server.min_duration = 600000" in conf
    assert "*.Server.performance_sample_count_override = 1024" in conf
    readme = (folder / "README.md").read_text()
    command = "mlorch run image-fashion --target cpu --scenario Server --mode performance --round v5.1"
    assert f"{command} --target-qps 7000 --duration 600s" in readme
    assert f"sha256:{'34' * 32}" in readme


def test_nothing_of_the_host_is_in_what_is_written(world):
    world.pair()
    world.build()
    texts = [path.read_text() for path in world.root.rglob("*") if path.is_file() and "mlperf_log" not in path.name]
    for word in ("secret-host", "/home/", "/srv/", str(world.tmp_path)):
        assert not [text for text in texts if word in text], word


# -- what is taken, and what is not --------------------------------------------------------


def lacks(document):
    return {
        (one["benchmark"], *one["scenarios"]): " ".join([*one["why"], *one["command"]]) for one in document["lacks"]
    }


def test_the_newest_results_are_taken_and_older_ones_counted(world):
    world.pair()
    world.pair(second=20)
    document = world.document()
    (result,) = document["results"]
    assert (result["performance"][-4:], result["accuracy"][-4:]) == ("0014", "0015")
    assert document["others"] == 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"case": "server-invalid", "scenario": "Server"}, "INVALID"),
        ({"seconds": 5}, "LoadGen was asked for 5 s, and v5.1 asks for 600 s"),
        ({"round": "v6.1"}, "the rules and seeds of v6.1"),
        ({"round_name": "v6.1", "round": "v5.1"}, "LoadGen's seeds are not those of v5.1"),
        ({"stands_for": "no-such-model"}, "`no-such-model` is no model of v5.1"),
        ({"stands_for": ""}, "it stands for no model"),
    ],
)
def test_a_performance_that_does_not_count_is_left_out_with_its_reason(world, changes, why):
    scenario = changes.get("scenario", "Offline")
    world.test("performance", **changes)
    world.test("accuracy", scenario=scenario, second=1)
    status, out, _ = world.build("--dry-run", "--json")
    assert status == 0
    document = json.loads(out)
    assert document["results"] == []
    assert why in lacks(document)["image-fashion", scenario]
    assert world.build()[0] == 5
    assert not world.tree.exists()


def test_what_lacks_is_named_with_the_command_that_makes_it(world):
    for second, scenario in enumerate(("SingleStream", "MultiStream")):
        world.test("performance", scenario=scenario, second=second)
    world.test("performance", scenario="Offline", second=5, seconds=5)
    world.test("accuracy", scenario="Offline", second=6)
    found = lacks(world.document("--dry-run"))
    start = "mlorch run image-fashion --target cpu --scenario"
    assert (
        f"{start} MultiStream --scenario SingleStream --mode accuracy --round v5.1"
        in found["image-fashion", "MultiStream", "SingleStream"]
    )
    assert f"{start} Offline --mode performance --round v5.1 --official" in found["image-fashion", "Offline"]


def test_where_nothing_can_be_taken_what_helps_is_said(world):
    code, _, err = world.build()
    assert code == 5
    assert "`mlorch run BENCHMARK --round v5.1 --division open --official`" in err
    world.pair(seconds=5)
    code, _, err = world.build()
    assert code == 5
    assert "--short takes tests that are too short for the round" in err
    world.overlay.unlink()
    code, _, err = world.build("--short")
    assert code == 2
    assert "--dry-run prints one to fill in" in err


def test_after_the_tree_comes_its_check(world):
    world.pair()
    assert f"next: mlorch submission check {world.tree} --round v5.1\n" in world.build()[2]


def test_short_tests_are_taken_where_that_is_asked_for_and_told(world):
    world.pair(seconds=5)
    (result,) = world.document("--short")["results"]
    assert "LoadGen was asked for 5 s, and v5.1 asks for 600 s" in result["remarks"]
    assert "Offline's query had 100 samples, and v5.1 asks for 24,576" in result["remarks"]


def test_performance_and_accuracy_are_of_one_image_and_one_model(world):
    world.test("performance")
    world.test("accuracy", second=1, image=replace(record_of("accuracy").image, digest=f"sha256:{'99' * 32}"))
    world.test("performance", scenario="Server", second=2)
    world.test("accuracy", scenario="Server", second=3, model=model_files(**{"model.onnx": "00" * 32}))
    found = lacks(world.document("--dry-run"))
    assert all("of different images, rules, models or data" in why for why in found.values())
    assert found


def test_a_run_whose_files_changed_is_left_out_for_an_older_one(world):
    world.pair()
    world.test("accuracy", second=20)
    folder = world.test("performance", second=21)
    detail = folder / "mlperf_log_detail.txt"
    detail.write_text(detail.read_text().replace("VALID", "VALiD", 1))
    (result,) = world.document()["results"]
    assert result["performance"].endswith("-0000")
    (world.store.root / result["performance"] / "mlperf_log_summary.txt").write_text("other")
    document = world.document("--dry-run")
    assert "does not verify: mlperf_log_" in lacks(document)["image-fashion", "Offline"]


def test_a_disturbed_result_is_taken_only_where_there_is_no_other_and_told(world):
    noisy = Disturbance(window="test", seconds=600.0, cpus=(0, 1), reasons=("others used 40 % of the time",))
    world.test("performance")
    world.test("performance", second=1, disturbance=noisy)
    world.test("accuracy", second=2)
    world.test("performance", scenario="Server", second=3, disturbance=noisy)
    world.test("accuracy", scenario="Server", second=4)
    offline, server = world.document()["results"]
    assert (offline["scenario"], offline["performance"][-4:], offline["remarks"]) == (
        "Offline", "0000", [f"its accuracy is of {SAMPLES} samples, resnet has 50,000 in v5.1: its checker objects"],
    )  # fmt: skip
    assert "disturbed: others used 40 % of the time" in server["remarks"]


def test_an_accuracy_below_its_goal_stands_in_the_open_division_and_is_told(world):
    world.test("performance")
    world.test("accuracy", second=1, right=6)
    (result,) = world.document()["results"]
    assert any("is below" in remark for remark in result["remarks"])


def test_a_limit_on_latency_that_is_longer_than_the_model_s_is_told(world):
    world.pair(scenario="Server")
    (result,) = world.document()["results"]
    said = "LoadGen's limit on latency was 20 ms, and v5.1 asks for 15 of resnet: the checker refuses it"
    assert said in result["remarks"]


def test_changed_rules_are_told(world):
    world.pair(changed_rules=("accuracy.factor=0 (0.99 in the recipe)",))
    (result,) = world.document()["results"]
    assert "not by its recipe's rules: accuracy.factor=0 (0.99 in the recipe)" in result["remarks"]


def test_a_metric_that_is_not_mlperfs_is_told_and_not_passed_off_as_it(world):
    world.pair(stands_for="bert-99")
    (result,) = world.document()["results"]
    assert any("its accuracy is no F1" in remark for remark in result["remarks"])
    text = (world.root / "results" / SYSTEM / "image-fashion" / "Offline" / "accuracy" / "accuracy.txt").read_text()
    assert '"f1"' not in text
    assert "# top1: 0.90625 of 64 samples" in text


def test_only_the_runs_that_are_named_are_looked_at(world):
    world.pair()
    world.pair(second=20)
    world.pair(scenario="Server", second=30)
    names = [path.name for path in sorted(world.store.root.iterdir())][:2]
    (result,) = world.document(*names)["results"]
    assert [result["performance"], result["accuracy"]] == names


def test_two_frameworks_are_two_systems(world):
    world.pair()
    packages = {"python": "3.11.2", "packages": {"onnxruntime": "1.33.0"}}
    world.pair(scenario="Server", second=10, container_facts=packages)
    document = world.document()
    assert [one["system"] for one in document["results"]] == [SYSTEM, SYSTEM.replace("1.32.0", "1.33.0")]
    code, _, err = world.build("--system-name", "ours")
    assert code == 2
    assert "2 systems" in err


def test_the_system_has_the_name_that_is_given(world):
    world.pair()
    assert world.document("--system-name", "ours")["results"][0]["system"] == "ours"
    assert (world.root / "systems" / "ours.json").is_file()


# -- what the submitter says ---------------------------------------------------------------


def test_fields_that_nobody_said_are_named_and_an_overlay_to_fill_in_is_printed(world):
    world.pair()
    code, _, err = world.build(overlay=False)
    assert code == 2
    assert "host_storage_capacity" in err
    assert "weight_data_types" in err
    assert not world.tree.exists()
    _, out, _ = world.build("--dry-run", overlay=False)
    text = out[out.index("system:") :]
    assert "  cooling: …" in text.splitlines()
    filled = text.replace("status: …", "status: rdi").replace("system_type: …", "system_type: edge")
    world.overlay.write_text(filled)
    assert world.build()[0] == 0


def test_a_fault_of_the_overlay_is_told_at_its_place(world):
    world.pair()
    world.overlay.write_text("system:\n  status: sometimes\n  coolin: air\n")
    code, _, err = world.build()
    assert code == 3
    assert "overlay.yaml:2:11" in err
    assert "overlay.yaml:3:3" in err
    assert "cooling" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--division", "network"], "network division"),
        (["--submitter", "../x"], "cannot be the name of a submitter"),
        (["--system-name", ".x"], "cannot be the name of a system"),
        (["--round", "v4.1"], "no tree of round v4.1"),
    ],
)
def test_what_cannot_be_built_is_refused(world, arguments, words):
    world.pair()
    code, _, err = world.build(*arguments)
    assert code == 2
    assert words in err


def with_power(world, **changes):
    """A pair whose performance was measured with power, in a session that is whole."""
    check = PowerCheck(name="Check UUID", passed=True)
    power = PowerFact(server="d:4950", ntp="d:123", image="i", commit="c", watts=40.0, checks=(check,))
    folder = world.test("performance", power=replace(power, **changes))
    record = from_json((folder / "run.json").read_text(), path="run.json")
    files = dict(record.files)
    for name in SESSION:
        path = folder / "performance" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
        files[f"performance/{name}"] = FileHash(sha256=sha256_file(path), size=path.stat().st_size)
    world.store.finish(replace(record, files=files))
    world.test("accuracy", second=1)


SESSION = [
    *(f"power/{name}" for name in ("client.json", "client.log", "ptd_logs.txt", "server.json", "server.log")),
    *(f"ranging/{name}" for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt", "spl.txt")),
    "run_1/spl.txt",
]


def test_a_session_with_power_stands_in_the_tree_and_what_its_submitter_must_write_is_told(world):
    with_power(world)
    status, out, err = world.build()
    assert status == 0
    assert {name.partition("/performance/")[2] for name in world.files()} >= set(SESSION)
    assert "analyzer_table.md and power_settings.md are yours to write" in out + err


@pytest.mark.parametrize(
    "changes",
    [{"faults": ("power/server.json: it ran in its debug mode",)}, {"checks": ()}],
    ids=["a fault", "unchecked"],
)
def test_power_that_is_not_by_the_rules_stays_out_of_the_tree_and_its_test_does_not(world, changes):
    with_power(world, **changes)
    status, out, err = world.build()
    assert status == 0
    assert "its power is not in the tree" in out + err
    assert not [name for name in world.files() if "/power/" in name or "/ranging/" in name or "spl.txt" in name]


def test_a_run_whose_power_a_simulated_analyser_measured_is_not_taken(world):
    with_power(world, simulated=True)
    status, out, err = world.build()
    assert "measured by a simulated analyser" in out + err
    assert (status != 0, world.files()) == (True, [])
