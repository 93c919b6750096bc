"""What a run is planned to do: settings and where they came from, processors, memory, what a container is given."""

from __future__ import annotations

import itertools

import pytest
from run_parts import GIB, a_benchmark, a_host, a_run_environment, a_target, a_workload

from orchestrator.engines.docker.containers import argv as docker_argv
from orchestrator.engines.printers import printer
from orchestrator.errors import HostLimitError, UsageError
from orchestrator.facts.host import NumaNode
from orchestrator.facts.rounds import OfficialTest
from orchestrator.plan.run.cells import Cell, cells_of, duration_ms
from orchestrator.plan.run.planner import plan_run, run_id
from orchestrator.plan.run.processors import cpu_set, memory_limit, memory_nodes
from orchestrator.plan.run.settings import Choices

OFFLINE = Cell(scenario="Offline", mode="performance")
ALL = ("Offline", "Server", "SingleStream", "MultiStream")


def planned(cell=OFFLINE, choices=None, workload=None, environment=None):
    return plan_run(workload or a_workload(), environment or a_run_environment(), cell, "rid", choices or Choices())


# -- processors and memory ---------------------------------------------------------------


def test_one_thread_of_each_core():
    assert cpu_set(a_host()) == (0, 1)


def test_only_allowed_processors_even_when_they_are_second_threads():
    assert cpu_set(a_host(allowed_cpus=(2,))) == (2,)


def test_no_allowed_processor_is_an_error():
    with pytest.raises(HostLimitError):
        cpu_set(a_host(allowed_cpus=()))


def test_memory_nodes_are_those_of_the_processors_and_have_memory():
    nodes = (
        NumaNode(node=0, cpus=(0, 2), memory=GIB),
        NumaNode(node=1, cpus=(1, 3), memory=GIB),
        NumaNode(node=2, cpus=(), memory=GIB),
    )
    assert memory_nodes(a_host(nodes=nodes), (0,)) == (0,)
    assert memory_nodes(a_host(nodes=nodes), (0, 1)) == (0, 1)
    assert memory_nodes(a_host(), (0, 1)) == ()


def test_memory_leaves_headroom_and_respects_the_cgroup():
    assert 14 * GIB < memory_limit(a_host()) < 16 * GIB
    assert memory_limit(a_host(memory_limit=4 * GIB)) < 4 * GIB


def test_too_little_memory_is_told_before_the_start():
    with pytest.raises(HostLimitError, match=r"too little memory.*GiB") as error:
        planned(workload=a_workload(model_bytes=10 * GIB))
    assert error.value.slug == "memory"
    assert error.value.exit_code == 4


# -- settings ----------------------------------------------------------------------------


def test_settings_document_is_the_contract():
    document = planned().settings
    assert document["version"] == 2
    assert document["task"] == "image-classification"
    assert document["backend"] == "onnxruntime"
    assert document["providers"] == ["CPUExecutionProvider"]
    assert document["model"] == {
        "path": "/models/resnet8/model.onnx",
        "inputs": [
            {"name": "x", "dtype": "float32", "scale": 0.5, "array": "inputs", "varies": False, "joined": False}
        ],
        "outputs": ["logits"],
    }
    assert document["dataset"] == {
        "arrays": {"inputs": "/data/fashion/images.npy", "labels": "/data/fashion/labels.npy"},
        "samples": 10000,
        "performance_samples": 10000,
        "show": True,
    }
    assert document["execution"]["cpus"] == [0, 1]
    assert document["loadgen"]["target_qps"] is None


def test_later_sources_win_and_are_named():
    server = Cell(scenario="Server", mode="performance")
    step = planned(server, Choices(system={"target_qps": 500.0, "batch": 4}))
    assert step.settings["loadgen"]["target_qps"] == 500.0
    assert step.provenance["loadgen.target_qps"] == "system"
    assert step.settings["execution"]["batch"] == 4
    assert step.provenance["loadgen.target_latency_ns"] == "recipe"
    assert step.provenance["loadgen.min_duration_ms"] == "default"
    told = planned(server, Choices(system={"target_qps": 500.0}, target_qps=7.0, min_duration_ms=1000))
    assert told.settings["loadgen"]["target_qps"] == 7.0
    assert told.provenance["loadgen.target_qps"] == "command line"
    assert told.settings["loadgen"]["min_duration_ms"] == 1000


@pytest.mark.parametrize(("cpus", "applies"), [(2, True), (4, False)])
def test_what_was_found_on_another_number_of_processors_is_not_used(cpus, applies):
    found = {"target_qps": 500.0, "instances": 2, "threads": 1, "batch": 4, "cpus": cpus}
    step = planned(OFFLINE, Choices(system=found))
    assert len(step.settings["execution"]["cpus"]) == 2
    assert step.settings["execution"]["batch"] == (4 if applies else None)
    assert step.settings["loadgen"]["target_qps"] == (500.0 if applies else None)
    assert "cpus" not in step.settings["loadgen"]


def test_a_recipe_may_set_the_duration():
    benchmark = a_benchmark(scenarios={"Offline": {"min_duration_ms": 4000, "min_query_count": 9}})
    step = planned(workload=a_workload(benchmark=benchmark))
    assert step.settings["loadgen"]["min_duration_ms"] == 4000
    assert step.provenance["loadgen.min_duration_ms"] == "recipe"
    assert step.settings["loadgen"]["min_query_count"] == 9


@pytest.mark.parametrize(
    ("scenario", "queries"), [("SingleStream", 64), ("MultiStream", 662), ("Server", 662), ("Offline", 24576)]
)
def test_official_is_600_seconds_and_the_rounds_least_counts(scenario, queries):
    counts = {"SingleStream": 64, "MultiStream": 662, "Server": 662, "Offline": 24576}
    rules = OfficialTest(round="v9", min_duration_ms=600_000, min_queries=counts)
    workload = a_workload(official=rules)
    step = planned(Cell(scenario=scenario, mode="performance"), Choices(official=True), workload=workload)
    assert step.settings["loadgen"]["min_duration_ms"] == 600_000
    assert step.settings["loadgen"]["max_duration_ms"] == 0
    assert step.settings["loadgen"]["min_query_count"] == queries
    assert step.provenance["loadgen.min_duration_ms"] == "round v9"
    longer = Choices(official=True, min_duration_ms=900_000)
    step = planned(Cell(scenario=scenario, mode="performance"), longer, workload=workload)
    assert step.settings["loadgen"]["min_duration_ms"] == 900_000
    assert step.provenance["loadgen.min_duration_ms"] == "command line"


# -- cells -------------------------------------------------------------------------------


def test_accuracy_once_then_every_scenario():
    cells = cells_of(ALL)
    assert cells[0] == Cell(scenario="Offline", mode="accuracy")
    assert [cell.scenario for cell in cells[1:]] == list(ALL)
    assert {cell.mode for cell in cells[1:]} == {"performance"}


def test_official_has_accuracy_in_each_scenario():
    assert len(cells_of(ALL, every_accuracy=True)) == 8


def test_asked_scenario_only():
    assert cells_of(ALL, asked=("Server",), mode="accuracy") == (Cell(scenario="Server", mode="accuracy"),)
    with pytest.raises(UsageError, match="Server"):
        cells_of(("Offline",), asked=("Server",))


def test_run_id_says_all():
    assert run_id("20261124T014100Z", "b", "cpu", OFFLINE, "3f2a") == "20261124T014100Z-b-cpu-offline-performance-3f2a"


@pytest.mark.parametrize(
    ("text", "ms"), [("10m", 600_000), ("30s", 30_000), ("600s", 600_000), ("250ms", 250), ("1.5h", 5_400_000)]
)
def test_durations(text, ms):
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "soon", "-5s", "0s", "10 parsecs", "99h", "1e9"])
def test_bad_durations(text):
    with pytest.raises(UsageError):
        duration_ms(text)


# -- the container -----------------------------------------------------------------------


def test_the_container_is_locked_down():
    spec = planned().container
    assert spec.network == "none"
    assert spec.read_only
    assert spec.user == "1000:1000"
    assert spec.capabilities == ()
    assert {m.target: m.read_only for m in spec.mounts} == {
        "/models/resnet8": True, "/data/fashion": True, "/results": False, "/results/run.json": True,
        "/artifacts": False,
    }  # fmt: skip
    assert set(spec.tmpfs) == {"/scratch", "/tmp"}
    assert all("uid=1000,gid=1000" in options for options in spec.tmpfs.values())
    assert spec.labels["org.mlorch.run"] == "rid"


def test_docker_line_is_what_would_run():
    words = docker_argv(planned().container)
    assert words[:3] == ["docker", "run", "--rm"]
    pairs = list(itertools.pairwise(words))
    memory = str(memory_limit(a_host()))
    for pair in [
        ("--user", "1000:1000"), ("--network", "none"), ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges:true"), ("--cpuset-cpus", "0,1"), ("--memory", memory),
        ("--memory-swap", memory), ("--mount", "type=bind,source=/cache/my data,target=/data/fashion,readonly"),
        ("--mount", "type=bind,source=/home/u/results/rid,target=/results"),
        ("--label", "org.mlorch.run=rid"),
    ]:  # fmt: skip
        assert pair in pairs
    assert "--read-only" in words
    assert words[-4:] == ["mlorch/image-fashion-cpu:0123", "python3", "-m", "mlorch_harness"]
    line = printer("docker").line(planned().container)
    assert "'type=bind,source=/cache/my data,target=/data/fashion,readonly'" in line


def test_the_printed_line_does_not_claim_to_belong_to_this_process():
    """Else the sweep of another mlorch would remove the container of whoever copied the line."""
    container = planned().container
    assert "org.mlorch.owner" in container.labels
    assert "org.mlorch.owner" not in printer("docker").line(container)
    assert "org.mlorch.run" in printer("docker").line(container)


def test_a_limit_that_the_host_cannot_give_is_told_and_not_lowered():
    workload = a_workload(target=a_target(ulimits={"memlock": "unlimited", "nofile": "65536"}))
    with pytest.raises(HostLimitError, match=r"memlock=unlimited.*8388608") as error:
        planned(workload=workload, environment=a_run_environment(limits={"memlock": 8388608, "nofile": None}))
    assert error.value.exit_code == 4
    assert error.value.hint
    with pytest.raises(HostLimitError, match="nofile=65536"):
        planned(workload=workload, environment=a_run_environment(limits={"memlock": None, "nofile": 20000}))
    given = planned(
        workload=workload, environment=a_run_environment(limits={"memlock": None, "nofile": 65536})
    ).container.ulimits
    assert given == {"memlock": (-1, -1), "nofile": (65536, 65536)}


def test_the_same_inputs_give_the_same_step():
    assert planned() == planned()
