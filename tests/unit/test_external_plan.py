"""The plan of somebody else's harness: what its texts become, what it may, and what LoadGen must repeat."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from external_plan_parts import PROGRAM, external

from orchestrator.definitions.catalog import builtin_root
from orchestrator.definitions.catalog.choose import with_choices
from orchestrator.definitions.catalog.load import gather
from orchestrator.definitions.kinds.external import Program
from orchestrator.definitions.kinds.parameters import Parameter
from orchestrator.definitions.variations import parse_changes
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.facts.containers import Mount
from orchestrator.plan.build.content import program_id
from orchestrator.plan.build.planner import build_plans
from orchestrator.plan.run.external.plan import plan_external


def test_the_run_step_gets_its_words_and_its_own_limits():
    run, parameters = plan_external(external())
    (step,) = run.steps
    assert step.container.command == ("python3", "/opt/theirs/main.py", "--scenario=server")
    assert step.container.env == {"HOME": "/scratch", "THREADS": "4"}
    assert step.container.name == "mlorch-r1"
    assert step.timeout_s == 7200
    assert parameters == {"threads": 4, "batch": 8, "precision": "fp32"}


def test_an_accuracy_test_has_its_words_and_a_second_container_that_scores():
    run, _ = plan_external(external(mode="accuracy"))
    test, score = run.steps
    assert test.container.command[-2:] == ("--accuracy", "/results/acc")
    assert (score.role, score.container.name) == ("accuracy", "mlorch-r1-score")
    assert score.container.mounts == test.container.mounts
    assert run.accuracy_step == "score"
    assert run.expected == {"scenario": "Server", "test_mode": "AccuracyOnly"}


def test_user_conf_has_every_setting_in_the_units_of_loadgen_and_they_are_expected_back():
    run, _ = plan_external(external())
    conf = next(file for file in run.files if file.name == "user.conf")
    assert conf.text.splitlines() == [
        "*.Server.min_duration = 10000",
        "*.Server.min_query_count = 662",
        "*.Server.performance_sample_count_override = 20",
        "*.Server.target_qps = 1200.5",
        "*.Server.target_latency = 100",
        "*.Server.target_latency_percentile = 99",
    ]
    assert run.expected == {
        "scenario": "Server",
        "test_mode": "PerformanceOnly",
        "min_duration_ms": 10_000,
        "max_duration_ms": 0,
        "performance_sample_count": 20,
        "target_qps": 1200.5,
        "target_latency_ns": 100_000_000,
        "min_query_count": 662,
        "target_latency_percentile": 0.99,
    }


def test_a_json_file_keeps_numbers_and_truth_values_and_replaces_a_file_of_the_image():
    run, _ = plan_external(external())
    name, text = next((file.name, file.text) for file in run.files if file.name.endswith("site.json"))
    assert json.loads(text) == {"n": 8, "on": True, "m": "x4"}
    mounts = run.steps[0].container.mounts
    assert Mount(source=f"/host/results/r1/config/{name}", target="/opt/theirs/site.json") in mounts
    assert Mount(source="/host/results/r1/config", target="/config") in mounts


def test_writable_folders_are_memory_or_artefacts_and_run_programs_only_where_said():
    container = plan_external(external())[0].steps[0].container
    kept = Mount(source="/host/artifacts/i/s/opt-theirs-build", target="/opt/theirs/build", read_only=False)
    assert kept in container.mounts
    assert container.tmpfs["/opt/theirs/tmp"] == "rw,nosuid,nodev,mode=1777,exec,uid=1000,gid=1000,size=1073741824"
    assert container.read_only


def test_deviations_are_given_and_told_with_their_reasons():
    deviations = [
        {"what": "shm", "value": "32g", "reason": "tensors are shared between processes"},
        {"what": "ulimit", "value": "memlock=unlimited", "reason": "pinned host memory"},
        {"what": "capability", "value": "SYS_NICE", "reason": "it binds its memory itself"},
        {"what": "pids", "value": "32768", "reason": "a thread per request"},
    ]
    run, _ = plan_external(external({"deviations": deviations}))
    container = run.steps[0].container
    assert container.shm == 32 * 2**30
    assert container.ulimits == {"memlock": (-1, -1)}
    assert container.capabilities == ("SYS_NICE",)
    assert container.pids == 32_768
    assert container.network == "none"
    assert run.deviations[0] == "shm 32g: tensors are shared between processes"


@pytest.mark.parametrize(
    ("deviation", "message"),
    [
        ({"what": "shm", "value": "0", "reason": "it has none at all"}, "a size of `0` cannot be meant"),
        ({"what": "shm", "value": "32", "reason": "it lacks a unit"}, "a size of `32` cannot be meant"),
        ({"what": "shm", "value": "99t", "reason": "it wants a lot"}, "a size of `99t` cannot be meant"),
        ({"what": "shm", "value": "32GB", "reason": "it wants a lot"}, "`32GB` is no size"),
        ({"what": "pids", "value": "0", "reason": "it wants no process"}, "pids cannot be `0`"),
        ({"what": "pids", "value": "9999999", "reason": "it wants a lot"}, "from 16 to 4,194,304"),
        ({"what": "pids", "value": "unlimited", "reason": "it wants a lot"}, "pids cannot be `unlimited`"),
        ({"what": "ulimit", "value": "memlock", "reason": "it forgot the number"}, "write NAME=NUMBER"),
        ({"what": "ulimit", "value": "memlock=10", "reason": "it wants little"}, "ulimit memlock cannot be `10`"),
        ({"what": "ulimit", "value": "nofile=unlimited", "reason": "it wants all"}, "nofile cannot be unlimited"),
        ({"what": "ulimit", "value": "stack=" + "9" * 40, "reason": "it wants all"}, "ulimit stack cannot be"),
        ({"what": "ulimit", "value": "rtprio=100", "reason": "it wants all"}, "from 0 to 99"),
        ({"what": "ulimit", "value": "nproc=5", "reason": "it wants few"}, "there is no ulimit `nproc`"),
        (
            {"what": "capability", "value": "SYS_ADMIN", "reason": "it mounts things"},
            "capability cannot be `SYS_ADMIN`",
        ),
        ({"what": "network", "value": "host", "reason": "it wants the host's"}, "network cannot be `host`"),
        ({"what": "shm", "value": "32g", "reason": ""}, "reason"),
        ({"what": "privileged", "value": "true", "reason": "it always was so"}, "what"),
    ],
)
def test_rights_over_the_host_cannot_be_asked_for(deviation, message):
    with pytest.raises(ValueError, match=message.replace("`", ".")):
        Program.model_validate({**PROGRAM, "deviations": [deviation]})


def test_parameters_are_laid_over_each_other_and_the_command_line_wins():
    overlay = {"overlays": [{"when": {"scenario": ["Server"]}, "parameters": {"batch": "{cpus // 2}"}}]}
    assert plan_external(external(overlay))[1]["batch"] == 2
    assert plan_external(external(overlay, chosen={"batch": "16"}))[1]["batch"] == 16
    assert plan_external(external(overlay, scenario="Offline"))[1]["batch"] == 8


@pytest.mark.parametrize(
    ("chosen", "slug", "text"),
    [
        ({"bach": "8"}, "unknown-parameter", "did you mean `batch`?"),
        ({"batch": "many"}, "bad-parameter", "it takes a whole number"),
        ({"batch": "65"}, "bad-parameter", "it takes at most 64"),
        ({"threads": "0"}, "bad-parameter", "it takes at least 1"),
        ({"precision": "fp8"}, "bad-parameter", "it takes one of fp32, int8"),
    ],
)
def test_a_parameter_that_is_not_there_or_does_not_fit_is_refused(chosen, slug, text):
    with pytest.raises(UsageError) as caught:
        plan_external(external(chosen=chosen))
    assert (caught.value.slug, caught.value.hint) == (slug, text)


def test_an_undefined_name_names_the_harness_and_the_nearest_one():
    steps = [{"name": "test", "role": "run", "argv": ["x", "--n={cpuz}"]}]
    with pytest.raises(DefinitionError) as caught:
        plan_external(external({"steps": steps, "accuracy": None}))
    assert caught.value.slug == "template"
    assert caught.value.message == "harness `theirs`: there is no value `cpuz`"
    assert caught.value.hint == "did you mean `cpus`?"


def test_a_limit_that_user_conf_cannot_say_is_refused():
    with pytest.raises(UsageError, match="no whole number of milliseconds"):
        plan_external(external(settings={"target_latency_ns": 1_500_000}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [{"name": "a", "role": "prepare", "argv": ["x"]}], "accuracy": None}, "exactly one step"),
        ({"accuracy": {**PROGRAM["accuracy"], "step": "nope"}}, "step `nope`"),
        ({"steps": list(reversed(PROGRAM["steps"]))}, "stand in their order"),
        ({"files": [{"path": "a.json", "format": "json", "text": "x"}]}, "made of `values`"),
    ],
)
def test_a_program_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Program.model_validate({**PROGRAM, **change})


def test_a_value_that_the_program_has_no_word_for_is_told_with_those_it_has():
    with pytest.raises(DefinitionError) as refused:
        plan_external(external(scenario="MultiStream"))
    (problem,) = refused.value.problems()
    assert "there is no value `words.scenario`" in problem.message
    assert problem.hint == "the program cannot do scenario `MultiStream`: it has words for Server, Offline"


def test_a_need_of_one_step_is_given_to_no_other():
    program = {
        "deviations": [
            {"what": "network", "value": "bridge", "steps": ["score"], "reason": "it downloads what it scores with"},
            {"what": "shm", "value": "1g", "reason": "its workers share memory"},
        ]
    }
    run, _ = plan_external(external(program, mode="accuracy"))
    test, score = run.steps
    assert (test.container.network, score.container.network) == ("none", "bridge")
    assert test.container.shm == score.container.shm == 2**30
    assert "network bridge (step score): it downloads what it scores with" in run.deviations


def test_a_need_of_a_step_that_is_not_there_is_a_fault():
    deviation = {"what": "network", "value": "bridge", "steps": ["scroe"], "reason": "it downloads weights"}
    with pytest.raises(ValueError, match="network is for step `scroe`, and there is none"):
        Program.model_validate({**PROGRAM, "deviations": [deviation]})


def test_a_figure_is_read_only_of_the_model_that_has_it():
    figures = [
        {"name": "ROUGE1", "pattern": "rouge1=([0-9.]+)", "when": {"param.precision": "fp32"}},
        {"name": "top1", "pattern": "top1=([0-9.]+)", "when": {"param.precision": "int8"}},
        {"name": "tokens", "pattern": "tokens=([0-9.]+)"},
    ]
    program = {"accuracy": {"step": "score", "figures": figures}}
    run, _ = plan_external(external(program, mode="accuracy", chosen={"precision": "int8"}))
    assert [figure.name for figure in run.figures] == ["top1", "tokens"]


def test_a_step_may_take_days():
    steps = [{"name": "test", "role": "run", "argv": ["python3"], "timeout": "240h"}]
    run, _ = plan_external(external({"steps": steps, "accuracy": None}))
    assert run.steps[0].timeout_s == 864_000


def test_variables_of_the_program_are_those_of_every_step_and_a_steps_own_count_more():
    program = {**PROGRAM, "env": {"THREADS": "1", "OFFLINE": "{param.precision}"}}
    run, _ = plan_external(external(program, mode="accuracy"))
    test, score = (step.container.env for step in run.steps)
    assert (test["THREADS"], test["OFFLINE"]) == ("4", "fp32")
    assert (score["THREADS"], score["OFFLINE"]) == ("1", "fp32")


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("1-x", "/opt/x"), ("/opt/x", "/opt/x")])
def test_two_files_in_one_place_are_refused(paths):
    with pytest.raises(DefinitionError) as caught:
        plan_external(external({"files": [{"path": path, "text": "t"} for path in paths]}))
    assert "cannot both be there" in caught.value.message


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "[" * 9000])
def test_a_text_that_json_has_no_number_for_stays_text(text):
    values = {"path": "a.json", "format": "json", "values": {"x": text}}
    run, _ = plan_external(external({"files": [values]}))
    assert json.loads(run.files[0].text) == {"x": text}


def test_an_artefact_is_another_one_where_a_file_that_its_step_reads_says_something_else():
    steps = [
        {"name": "first", "role": "prepare", "argv": ["one", "{param.batch}"], "artifact": {"files": ["x"]}},
        {"name": "second", "role": "prepare", "argv": ["two"], "artifact": {"files": ["y"]}},
        *PROGRAM["steps"],
    ]
    files = [{"path": "build.txt", "text": "{param.precision}"}, {"path": "user.conf", "format": "user.conf"}]

    def keys(settings=None, **chosen):
        run, _ = plan_external(external({"steps": steps, "files": files}, chosen=chosen, settings=settings))
        return [step.artifact.key for step in run.steps if step.artifact]

    first, second = keys()
    assert keys(settings={"target_qps": 9.0}) == [first, second]
    assert not {first, second} & set(keys(precision="int8"))
    assert not {first, second} & set(keys(batch="9"))  # the second step finds what the first one made


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"type": "int", "default": "many"}, "it cannot be `many`: it takes a whole number"),
        ({"type": "int", "default": "0", "min": 1}, "at least 1"),
        ({"type": "int", "default": "1", "min": 3, "max": 2}, "`min` 3 is above `max` 2"),
        ({"default": "x", "max": 2}, "`min` and `max` are for numbers, this is text"),
        ({"default": "c", "choices": ["a", "b"]}, "it takes one of a, b"),
        ({"default": "a", "choices": ["a", "a"]}, "twice"),
        ({"type": "bool", "default": "yes"}, "true or false"),
    ],
)
def test_a_parameter_that_its_own_default_does_not_fit_is_refused(parameter, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Parameter.model_validate(parameter)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"writable": [{"path": "/opt/a", "size": "0", "reason": "it writes there"}]}, "a size of `0`"),
        ({"writable": [{"path": "/opt/a", "size": "99t", "reason": "it writes there"}]}, "at most 16t"),
        ({"steps": [{"name": "t", "role": "run", "argv": ["t"], "timeout": "0s"}]}, "`0s` is no time limit"),
        ({"steps": [{"name": "t", "role": "run", "argv": ["t"], "timeout": "99999h"}]}, "at most 90 days"),
        ({"steps": [{"name": "t", "role": "run", "argv": ["t"], "workdir": "build"}]}, "`build` is no folder"),
        ({"steps": [{"name": "t", "role": "run", "argv": ["t"], "workdir": "/opt/../etc"}]}, "is no folder"),
        ({"expect": {"exit_codes": []}}, "exit_codes"),
        ({"expect": {"exit_codes": [256]}}, "exit_codes"),
        (
            {"deviations": [{"what": "shm", "value": f"{size}g", "reason": "it shares"} for size in (1, 2)]},
            "two deviations give step `test` its shm",
        ),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Program.model_validate({**PROGRAM, **change})


def test_a_folder_to_start_in_that_is_none_once_it_is_filled_is_told():
    steps = [{"name": "t", "role": "run", "argv": ["t"], "workdir": "{scenario}"}]
    with pytest.raises(DefinitionError, match="is `Server` here, no folder of the container"):
        plan_external(external({"steps": steps, "accuracy": None}))


def test_an_artefact_outlives_another_title_and_no_other_program():
    """A title stands in the image, so it is another image; what a step makes in it is the same."""

    def planned(*changes):
        catalog = gather([builtin_root()]).catalog
        catalog = with_choices(catalog, ["resnet50"], parse_changes(changes)) if changes else catalog
        (plan,) = build_plans(catalog, target="cpu", benchmarks=["resnet50"])
        return plan

    plain, titled = planned(), planned("title=Another title", "note=another note", "accuracy.factor=0.9")
    assert plain.image != titled.image
    assert program_id(plain) == program_id(titled)

    steps = [
        {"name": "first", "role": "prepare", "argv": ["one"], "artifact": {"files": ["x"]}},
        *PROGRAM["steps"],
    ]

    last = plain.layers[-1]
    upon_another = replace(last, inputs={**last.inputs, "parent": "0" * 64})
    assert program_id(replace(plain, layers=(*plain.layers[:-1], upon_another))) != program_id(plain)

    def key(identity, image):
        test = external({"steps": steps})
        test = replace(test, program_id=identity, container=replace(test.container, image=image))
        return plan_external(test)[0].steps[0].artifact.key

    assert key("p1", "i1") == key("p1", "i2")
    assert key("p1", "i1") != key("p2", "i1")
    assert key("", "i1") != key("", "i2")
