"""`submission repair`: what needs no answer is mended, nothing is lost, and every step is on record."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from submission_parts import LLAMA, RESNET, good_tree, write

from orchestrator import api
from orchestrator.cli import run
from orchestrator.errors import StepFailed, UsageError
from orchestrator.submissions.repair import carry
from orchestrator.submissions.repair.plan import Step

ACCURACY = f"{RESNET}/Offline/accuracy"
LOG = f"{ACCURACY}/mlperf_log_accuracy.json"
WHOLE = "[\n" + ",\n".join(f'{{"seq_id": {n}, "qsl_idx": {n}, "data": "00"}}' for n in range(2000)) + "\n]\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One for all tests, so that recipes are read once; what is kept of a tree goes by its path."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tree(tmp_path, monkeypatch, home):
    monkeypatch.setenv("MLORCH_HOME", str(home))
    return good_tree(tmp_path / "tree")


def repaired(tree: Path, **options):
    return api.submission.repair(tree, round="v5.1", **options)


def rules(tree: Path) -> set[str]:
    return set(api.submission.check(tree, round="v5.1")["rules"])


def everything(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, and every folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def long_log(tree: Path, text: str = "accuracy=76.46%, good=38230\n") -> None:
    write(tree / LOG, WHOLE)
    write(tree / ACCURACY / "accuracy.txt", text)


def test_a_good_tree_is_left_alone(tree):
    before = everything(tree.parent)
    done = repaired(tree)
    assert (done["steps"], done["left"], done["kept"], done["good"]) == ([], [], None, True)
    assert {name: data for name, data in everything(tree.parent).items() if not name.startswith("home")} == before


def test_an_accuracy_log_is_truncated_and_its_hash_is_written(tree):
    long_log(tree)
    assert rules(tree) == {"accuracy-hash", "accuracy-log-size"}
    done = repaired(tree)
    assert [step["kind"] for step in done["steps"]] == ["hash", "truncate"]
    assert done["good"]
    data = (tree / LOG).read_bytes()
    assert data == WHOLE[:4096].encode() + b"\n\n...\n\n" + WHOLE[-4096:].encode(), "as MLCommons' program leaves it"
    sha256 = hashlib.sha256(WHOLE.encode()).hexdigest()
    assert (tree / ACCURACY / "accuracy.txt").read_text() == f"accuracy=76.46%, good=38230\n\nhash={sha256}\n"
    kept = Path(done["kept"])
    assert (kept / "files" / LOG).read_text() == WHOLE
    assert (kept / "files" / ACCURACY / "accuracy.txt").read_text() == "accuracy=76.46%, good=38230\n"
    record = json.loads((kept / carry.RECORD).read_text())
    assert (record["status"], record["round"]) == ("done", "v5.1")
    assert [step["path"] for step in record["done"]] == [f"{ACCURACY}/accuracy.txt", LOG]
    assert record["done"][1]["sha256_before"] == sha256
    assert record["done"][1]["sha256_after"] == hashlib.sha256(data).hexdigest()
    assert [json.loads(line) for line in (kept / carry.DONE).read_text().splitlines()] == record["done"]
    assert repaired(tree)["steps"] == []


def test_a_hash_that_is_there_stays_where_it_is_that_of_the_log(tree):
    sha256 = hashlib.sha256(WHOLE.encode()).hexdigest()
    long_log(tree, f"accuracy=76.46%, good=38230\nhash={sha256}\n")
    assert [step["kind"] for step in repaired(tree)["steps"]] == ["truncate"]
    assert rules(tree) == set()


@pytest.mark.parametrize(
    "text", ["accuracy=76.46%, good=38230\nhash=0123abc\n", None], ids=["the hash of another log", "no accuracy.txt"]
)
def test_a_log_whose_hash_cannot_be_kept_is_left(tree, text):
    long_log(tree, text or "")
    if text is None:
        (tree / ACCURACY / "accuracy.txt").unlink()
    done = repaired(tree)
    assert done["steps"] == []
    assert "accuracy-log-size" in {found["rule"] for found in done["left"]}
    assert (tree / LOG).read_text() == WHOLE


def test_a_log_that_was_truncated_without_a_hash_is_left(tree):
    write(tree / LOG, WHOLE[:4096] + "\n\n...\n\n" + WHOLE[-4096:])
    write(tree / ACCURACY / "accuracy.txt", "accuracy=76.46%, good=38230\n")
    done = repaired(tree)
    assert done["steps"] == []
    assert "accuracy-hash" in {found["rule"] for found in done["left"]}


def test_what_git_and_python_leave_goes_out_of_the_tree_and_empty_folders_go(tree):
    code = tree / "closed" / "Acme" / "code" / "resnet"
    write(code / ".cache" / "deep" / "x", "1")
    write(code / "part" / "__pycache__" / "a.pyc", "2")
    write(tree / RESNET / ".DS_Store", "3")
    (tree / "closed" / "Acme" / "documentation" / "old").mkdir(parents=True)
    assert {"hidden-names", "pycache", "empty-folders"} <= rules(tree)
    done = repaired(tree)
    assert rules(tree) == set()
    kept = Path(done["kept"]) / "files" / "closed" / "Acme"
    assert (kept / "code/resnet/.cache/deep/x").read_text() == "1"
    assert (kept / "code/resnet/part/__pycache__/a.pyc").read_text() == "2"
    assert not (code / "part").exists(), "nothing else was in it"
    assert not (tree / "closed" / "Acme" / "documentation").exists()
    assert (code / "README.md").exists()


def test_a_dry_run_says_the_same_and_changes_nothing(tree, capsys):
    long_log(tree)
    write(tree / RESNET / ".DS_Store", "x")
    before = everything(tree)
    planned = repaired(tree, dry=True)
    assert everything(tree) == before
    assert not tree.with_name("tree.kept").exists()
    assert run(["submission", "repair", str(tree), "--round", "v5.1", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{RESNET}/.DS_Store: is moved out of the tree [hidden-names]\n" in out
    assert "3 steps; nothing was changed\n" in out
    assert repaired(tree)["steps"] == planned["steps"]


def test_what_somebody_would_have_to_know_is_left_and_told(tree, capsys):
    write(tree / "closed" / "Acme" / "code" / "a name.txt", "x")
    (tree / RESNET / "Offline" / "performance" / "run_1" / "mlperf_log_summary.txt").unlink()
    assert run(["submission", "repair", str(tree), "--round", "v5.1"]) == 0
    out = capsys.readouterr().out
    assert "nothing can be mended without a question\n" in out
    assert "3 errors left to you: mlorch submission check\n" in out
    assert (tree / "closed" / "Acme" / "code" / "a name.txt").exists()


def test_fields_that_may_be_empty_are_added_and_others_are_left(tree):
    path = tree / "closed" / "Acme" / "systems" / "box.json"
    fields = json.loads(path.read_text())
    for name in ("sw_notes", "accelerator_on-chip_memories", "number_of_nodes"):
        del fields[name]
    fields["system_name"] = "The bóx"
    path.write_text(json.dumps(fields, indent=4, ensure_ascii=False))
    done = repaired(tree)
    assert [(step["kind"], step["value"]) for step in done["steps"]] == [
        ("add-fields", "accelerator_on-chip_memories,sw_notes")
    ]
    assert [found["message"] for found in done["left"]] == ["has no `number_of_nodes`"]
    text = path.read_text()
    assert json.loads(text) == {**fields, "accelerator_on-chip_memories": "", "sw_notes": ""}
    assert '\n    "system_name": "The bóx",\n' in text, "in the form that it had"
    assert (Path(done["kept"]) / "files" / "closed/Acme/systems/box.json").exists()


def test_a_model_of_an_own_name_is_mapped_where_somebody_says_which_it_is(tree):
    for part in ("results/rack", "measurements/rack", "code"):
        folder = tree / "open" / "Acme" / part
        (folder / "llama2-70b-99").rename(folder / "mine")
    assert "model" in rules(tree)
    assert repaired(tree)["steps"] == []
    done = repaired(tree, models=["mine=llama2-70b-99"])
    assert [step["kind"] for step in done["steps"]] == ["map-model"]
    assert json.loads((tree / "open" / "Acme" / "model_mapping.json").read_text()) == {"mine": "llama2-70b-99"}
    assert rules(tree) == set()


@pytest.mark.parametrize("there", [None, {}, {"old": "resnet"}])
def test_several_models_of_one_submitter_are_mapped_in_one_go(tree, there):
    """An empty mapping that is there is one, and of a file that changes three times the first state is kept."""
    mapping = tree / "open" / "Acme" / "model_mapping.json"
    if there is not None:
        write(mapping, json.dumps(there))
    names = ("mine", "mine2", "mine3")
    for part in ("results/rack", "measurements/rack", "code"):
        folder = tree / "open" / "Acme" / part
        for name in names:
            shutil.copytree(folder / "llama2-70b-99", folder / name)
    done = repaired(tree, models=[f"{name}=llama2-70b-99" for name in names])
    assert [step["kind"] for step in done["steps"]] == ["map-model"] * 3
    assert json.loads(mapping.read_text()) == {**(there or {}), **dict.fromkeys(names, "llama2-70b-99")}
    if there is not None:
        assert json.loads((Path(done["kept"]) / "files/open/Acme/model_mapping.json").read_text()) == there


MAPPINGS = [("mine", "bad-model"), ("a/b=resnet", "bad-model"), ("a=b", "unknown-round-model")]


@pytest.mark.parametrize(("model", "slug"), MAPPINGS)
def test_a_mapping_that_is_none_is_refused(tree, model, slug):
    with pytest.raises(UsageError) as raised:
        repaired(tree, models=[model])
    assert raised.value.slug == slug


def test_what_is_taken_away_is_not_kept_in_the_tree(tree):
    write(tree / RESNET / ".DS_Store", "x")
    with pytest.raises(UsageError) as raised:
        repaired(tree, kept=tree / "closed" / "kept")
    assert raised.value.slug == "kept-in-tree"


def test_a_link_on_the_way_is_not_followed(tree, tmp_path):
    """A folder becomes a link between the plan and the step."""
    write(tree / RESNET / ".hidden", "x")
    elsewhere = tmp_path / "elsewhere"
    (tree / "closed").rename(elsewhere)
    (tree / "closed").symlink_to(elsewhere)
    steps = [Step("set-aside", f"{RESNET}/.hidden", "hidden-names", "is moved")]
    with pytest.raises(StepFailed) as raised:
        carry.carry_out(steps, tree, tmp_path / "kept", {})
    assert raised.value.slug == "repair"
    assert (elsewhere / "Acme" / "results" / "box" / "resnet" / ".hidden").exists()
    assert json.loads((tmp_path / "kept" / carry.RECORD).read_text())["status"] == "failed"


def test_a_log_that_changed_since_the_plan_is_left_as_it_is(tree, tmp_path):
    long_log(tree)
    steps = [Step("truncate", LOG, "accuracy-log-size", "is truncated", "0" * 64)]
    with pytest.raises(StepFailed):
        carry.carry_out(steps, tree, tmp_path / "kept", {})
    assert (tree / LOG).read_text() == WHOLE


def test_a_repair_that_was_killed_is_finished_by_the_next(tree, monkeypatch):
    long_log(tree)
    write(tree / RESNET / ".DS_Store", "x")
    really = os.rename
    calls = []

    def killed(*arguments, **more):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return really(*arguments, **more)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        repaired(tree)
    monkeypatch.setattr(os, "rename", really)
    assert (tree / LOG).read_text() == WHOLE
    record = next(tree.with_name("tree.kept").iterdir())
    assert [json.loads(line)["kind"] for line in (record / carry.DONE).read_text().splitlines()] == ["hash"]
    done = repaired(tree, kept=tree.with_name("again"))
    assert [step["kind"] for step in done["steps"]] == ["truncate", "set-aside"]
    assert done["good"]
    assert [path.name for path in (tree / ACCURACY).iterdir() if path.name.startswith(".")] == []


def test_the_open_division_is_mended_too(tree):
    write(tree / LLAMA / "Offline" / "accuracy" / "mlperf_log_accuracy.json", WHOLE)
    text = "{'rouge1': 44.5, 'rouge2': 22.1, 'rougeL': 28.7, 'tokens_per_sample': 294.4}\n"
    write(tree / LLAMA / "Offline" / "accuracy" / "accuracy.txt", text)
    assert [step["kind"] for step in repaired(tree)["steps"]] == ["hash", "truncate"]
