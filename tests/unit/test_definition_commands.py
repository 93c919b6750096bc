"""`recipes`, `benchmarks` and `targets` as a person or a program calls them."""

from __future__ import annotations

import json
import re
import sys

import pytest
from sample_recipes import FILES, layer, write

from orchestrator.cli import run
from orchestrator.definitions.kinds.targets import Target
from orchestrator.host.accelerators import this_machine
from orchestrator.host.detect import best, presence, presences


@pytest.fixture
def called(capsys, monkeypatch, tmp_path):
    """Runs a command line in an empty folder; gives exit status, stdout, stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture
def mine(tmp_path):
    return write(tmp_path / "mine")


# -- recipes -----------------------------------------------------------------------------


def test_list_and_show(called, mine):
    status, out, _ = called("recipes", "list", "model", "--recipes", mine, "--json")
    listed = {entry["name"]: entry for entry in json.loads(out)["recipes"]}
    assert status == 0
    assert (listed["net"]["origin"], listed["resnet8-fashion"]["origin"]) == (f"path:{mine}", "builtin")
    status, out, _ = called("recipes", "show", "net", "--recipes", mine)
    assert (status, out) == (0, FILES["recipes/models/net.yaml"])
    assert called("recipes", "show", "model/net", "--recipes", mine, "--json")[0] == 0
    assert "net" in called("recipes", "--recipes", mine)[1]


def test_a_name_of_two_kinds_asks_which(called, mine):
    write(mine, only={"recipes/x.yaml": layer("net", "side")})
    status, _, err = called("recipes", "show", "net", "--recipes", mine)
    assert status == 2
    assert "`layer/net` or `model/net`" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recipes", "lsit"), "did you mean `list`?"),
        (("recipes", "list", "modle"), "did you mean `model`?"),
        (("recipes", "show", "image-smok"), "did you mean `image-smoke`"),
        (("recipes", "show", "modle/x"), "did you mean `model`?"),
        (("recipes", "schema", "x"), "there are: target"),
        (("recipes", "new", "layer", "../x"), "cannot be a name"),
        (("recipes", "--recipes", "nowhere"), "no folder `nowhere`"),
        (("recipes", "--recipes", "https://host.example/r"), "no ref is given"),
        (("benchmarks", "show", "image-smok"), "did you mean `image-smoke`"),
        (("targets", "show", "cpuu"), "did you mean `cpu`"),
        (("targets", "show", "gpu"), "did you mean `cuda`?"),
        (("targets", "show", "Radeon"), "did you mean `rocm`?"),
        (("plan", "--target", "intel"), "did you mean `xpu`?"),
    ],
)
def test_usage_errors_suggest(called, arguments, words):
    status, out, err = called(*arguments)
    assert (status, out) == (2, "")
    assert words in err


def test_lint_of_everything_is_clean(called):
    status, out, err = called("recipes", "lint")
    assert (status, err) == (0, "")
    assert "no faults" in out


def test_lint_tells_every_fault_of_the_files_and_no_other(called, mine, tmp_path):
    write(mine, only={"recipes/other.yaml": layer("other", "frame")})
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        FILES["recipes/benchmarks/classify.yaml"].replace("model: net", "model: nett").replace("[engine]", "[engin]")
    )
    status, out, err = called("recipes", "lint", bad, "--recipes", mine)
    assert (status, out) == (3, "")
    assert [line.partition(" error: ")[0] for line in err.splitlines() if " error: " in line] == [
        f"{bad}:6:8:",
        f"{bad}:9:14:",
    ]
    assert "did you mean `net`?" in err
    assert "Traceback" not in err


def test_lint_as_json(called, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: layer\nname: X\n")
    status, out, _ = called("recipes", "lint", bad, "--json")
    error = json.loads(out)["error"]
    assert (status, error["exit_code"], error["path"], error["line"]) == (3, 3, str(bad), 1)
    assert {problem["slug"] for problem in error["problems"]} == {"missing-key", "bad-value"}
    good = tmp_path / "good.yaml"
    good.write_text(layer("good", "side"))
    status, out, err = called("recipes", "lint", good, "--json")
    assert status == 3, "its template is not among the built-in ones"
    good.write_text(layer("good", "side").replace("plain.Dockerfile.j2", "debs.Dockerfile.j2"))
    status, out, err = called("recipes", "lint", good, "--json")
    assert (status, json.loads(out), err) == (0, {"checked": 1, "problems": []}, "")


def test_lint_finds_names_that_templates_lack(called, mine):
    write(mine, only={"dockerfiles/plain.Dockerfile.j2": "FROM scratch\nLABEL x={{ nothing_of_the_kind }}\n"})
    status, _, err = called("recipes", "lint", mine, "--recipes", mine)
    assert status == 3
    assert "nothing_of_the_kind" in err
    assert "plain.Dockerfile.j2:2" in err


def test_lint_of_settings_and_locks(called, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    settings, lock = tmp_path / "elsewhere/mlorch.yaml", tmp_path / "os.lock.yaml"
    settings.write_text("engin: docker\n")
    lock.write_text(FILES["images/os.lock.yaml"].replace("size: 9", "size: nine"))
    status, _, err = called("recipes", "lint", settings, lock)
    assert status == 3
    assert "mlorch.yaml:1:1: error: unknown key `engin`" in err
    assert "os.lock.yaml:6:" in err


def test_settings_bring_recipes_and_a_target(called, mine, tmp_path):
    (tmp_path / "work/mlorch.yaml").write_text(f"recipes: [{mine}]\ntarget: chip\n")
    assert "chip *" in called("targets")[1]
    (tmp_path / "work/mlorch.yaml").write_text("target: [x]\n")
    status, _, err = called("targets")
    assert status == 3
    assert "mlorch.yaml:1:9: error" in err


def test_schema_and_new(called, tmp_path):
    status, out, _ = called("recipes", "schema", "layer")
    assert (status, json.loads(out)["title"]) == (0, "layer of mlorch")
    status, out, _ = called("recipes", "new", "harness", "own", "-o", tmp_path / "r")
    assert (status, out.strip()) == (0, f"{tmp_path}/r/harnesses/own.yaml")
    before = (tmp_path / "r/harnesses/own.yaml").read_text()
    assert called("recipes", "new", "harness", "own", "-o", tmp_path / "r")[0] == 1
    assert (tmp_path / "r/harnesses/own.yaml").read_text() == before
    assert called("recipes", "lint", tmp_path / "r")[0] == 0


def test_a_new_benchmark_can_be_planned_as_it_stands_and_says_what_to_change(called, tmp_path):
    assert called("recipes", "new", "benchmark", "my-own", "-o", tmp_path / "r/recipes")[0] == 0
    text = (tmp_path / "r/recipes/benchmarks/my-own.yaml").read_text()
    before_model = text.partition("model: ")[0]
    assert "CHANGE: your model" in before_model
    assert called("recipes", "lint", tmp_path / "r")[0] == 0
    status, out, _ = called("plan", "--recipes", tmp_path / "r", "--target", "cpu", "--benchmark", "my-own", "--json")
    assert (status, "mlorch/my-own-cpu:" in json.loads(out)["images"][0]) == (0, True)


# -- benchmarks --------------------------------------------------------------------------


def test_benchmarks_as_json_keep_their_contract(called):
    status, out, _ = called("benchmarks", "list", "--json")
    document = json.loads(out)
    assert status == 0
    assert document["round"] == "v6.1"
    found = {each["name"]: each for each in document["benchmarks"]}
    keys = {"name", "loadgen_name", "checker_name", "categories", "scenarios", "accuracy", "compliance", "targets"}
    assert all(keys <= each.keys() for each in found.values())
    smoke = found["image-smoke"]
    assert {"cpu", "cuda", "openvino"} <= set(smoke["targets"])
    assert smoke["runs"] == ["Offline", "SingleStream", "MultiStream", "Server"]
    assert (smoke["official"], smoke["loadgen_name"]) == (False, None), "a reference workload claims nothing"
    assert set(smoke["scenarios"]) == {"datacenter", "edge"}


def test_targets_that_take_a_choice_of_the_recipe_are_counted(called):
    found = {each["name"]: each for each in json.loads(called("benchmarks", "list", "--json")[1])["benchmarks"]}
    assert (found["llm-chat"]["targets"], found["llm-chat"]["targets_by_choice"]) == (
        ["cpu"],
        {"openvino": ["serving=openvino"]},
    )
    assert found["llama2-70b"]["targets_by_choice"]["rocm"] == ["implementation=amd"]
    assert found["image-smoke"]["targets_by_choice"] == {}
    (row,) = (line for line in called("benchmarks", "list")[1].splitlines() if line.strip().startswith("llm-chat"))
    assert "cpu (openvino)" in row
    assert re.search("on openvino +with --set serving=openvino", called("benchmarks", "show", "llm-chat")[1])
    model = json.loads(called("benchmarks", "show", "llama2-70b-99.9", "--json")[1])
    assert {"cuda", "rocm", "xpu"} <= set(model["targets"]), "of a round's model all that can run it"


def test_a_benchmark_is_shown_with_what_it_must_reach(called, mine):
    status, out, _ = called("benchmarks", "show", "classify", "--recipes", mine)
    assert status == 0
    assert "top1 of at least 89.1 %" in out
    assert "not an MLPerf submission" in out
    assert "target_latency_ns 1000" in out
    assert "classify" in called("benchmarks", "--recipes", mine)[1]


# -- targets -----------------------------------------------------------------------------


def target(**more: object) -> Target:
    base = {
        "kind": "target",
        "name": "chip",
        "title": "A chip",
        "platforms": ["linux/amd64"],
        "base": "os",
        "runtime": "userland",
        "frameworks": {"engine": "engine"},
    }
    return Target.model_validate({**base, **more})


def test_a_list_of_benchmarks_follows_every_edit_though_it_is_kept(called, mine):
    first = called("benchmarks", "list", "--recipes", mine, "--json")
    assert called("benchmarks", "list", "--recipes", mine, "--json") == first
    (mine / "recipes" / "other.yaml").write_text(
        (mine / "recipes" / "benchmarks" / "classify.yaml").read_text().replace("name: classify", "name: other", 1)
    )
    names = [
        each["name"] for each in json.loads(called("benchmarks", "list", "--recipes", mine, "--json")[1])["benchmarks"]
    ]
    assert {"classify", "other"} <= set(names)
    (mine / "recipes" / "other.yaml").write_text("kind: benchmark\nname: other\ntitel: x\n")
    status, _, err = called("benchmarks", "list", "--recipes", mine, "--json")
    assert status == 3
    assert "other.yaml" in err


def test_a_kept_list_needs_no_recipe_to_be_read(called, mine, monkeypatch):
    first = called("benchmarks", "list", "--recipes", mine)
    monkeypatch.setattr("orchestrator.definitions.catalog.load", lambda *_: pytest.fail("the recipes were read again"))
    assert called("benchmarks", "list", "--recipes", mine) == first


def test_recipes_that_were_checked_once_are_read_when_they_are_asked_for(called, mine, monkeypatch):
    first = called("targets", "--recipes", mine)
    read = []
    module = sys.modules["orchestrator.definitions.catalog.load"]  # the package has a function of the same name
    real = module.read_document
    monkeypatch.setattr(module, "read_document", lambda path: read.append(str(path)) or real(path))
    assert called("targets", "--recipes", mine) == first
    assert any(path.endswith("targets/chip.yaml") for path in read)
    assert not any("/models/" in path or "/benchmarks/" in path for path in read)


def test_a_fault_in_any_recipe_is_told_though_all_were_checked_before(called, mine):
    assert called("targets", "--recipes", mine)[0] == 0
    (mine / "recipes" / "models" / "net.yaml").write_text("kind: model\nname: net\ntitel: x\n")
    status, _, err = called("targets", "--recipes", mine)
    assert status == 3
    assert "net.yaml:3:1" in err


def test_a_benchmark_in_short_is_found_though_the_recipes_were_checked_before(called, mine):
    assert called("targets", "--recipes", mine)[0] == 0
    (mine / "recipes" / "short.yaml").write_text("kind: benchmark\nname: short\ntitle: Short\nlike: classify\n")
    for _ in range(2):
        status, out, _ = called("benchmarks", "show", "short", "--recipes", mine, "--json")
        assert (status, json.loads(out)["definition"]["name"]) == (0, "short")


def test_benchmarks_are_words_of_plan_build_and_render_as_of_run(called):
    named = called("plan", "image-fashion", "--target", "cpu", "--json")
    assert named == called("plan", "-b", "image-fashion", "--target", "cpu", "--json")
    assert called("plan", "image-fashion", "-b", "image-fashion", "--target", "cpu", "--json") == named
    assert called("render", "image-fashion", "--target", "cpu", "--json")[0] == 0
    status, _, err = called("plan", "cuda")
    assert status == 2
    assert "--target cuda" in err


def test_targets_as_json_keep_their_contract(called):
    status, out, _ = called("targets", "--json")
    found = {each["name"]: each for each in json.loads(out)["targets"]}
    assert status == 0
    assert {"name", "present", "driver_ok", "container_ok", "devices", "why"} <= set(found["cpu"])
    assert called("targets", "show", "cpu")[0] == 0


def on(target: Target, machine: str):
    """What a machine without any device has of a target."""
    return presence(target, this_machine(machine=machine))


def test_a_target_is_present_where_what_its_recipe_names_is_there(tmp_path):
    (tmp_path / "chip0").touch()
    there = {"detect": {"paths": [f"{tmp_path}/chip[0-9]"]}}
    away = {"detect": {"paths": [f"{tmp_path}/chop*"]}}
    assert on(target(detect={"always": True}), "x86_64").present
    assert on(target(**there), "x86_64").present
    assert on(target(**there), "x86_64").driver_ok is None, "nothing has asked the driver"
    assert not on(target(**away), "x86_64").present
    assert "chop" in on(target(**away), "x86_64").why
    assert not on(target(**there), "aarch64").present
    assert "linux/arm64" in on(target(**there), "aarch64").why
    assert not on(target(), "x86_64").present


def test_the_best_target_is_the_present_one_of_highest_priority(tmp_path):
    plain = target(name="plain", detect={"always": True})
    twin = target(name="almost", detect={"always": True})
    fast = target(name="fast", priority=9, detect={"paths": [str(tmp_path)]})
    absent = target(name="absent", priority=99, detect={"paths": [f"{tmp_path}/no"]})

    def taken(*targets: Target):
        found = best(targets, presences(targets, this_machine(machine="x86_64")))
        return found.name if found else None

    assert taken(plain, fast, absent) == "fast"
    assert taken(plain, twin) == "almost"
    assert taken(absent) is None
