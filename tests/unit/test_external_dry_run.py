"""The dry run of somebody else's harness: every container, the files that it gets, and its deviations."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from orchestrator.cli import run

DOCS = Path(__file__).parents[2] / "docs" / "add-a-harness.md"
BLOCK = re.compile(r"^```yaml\n# (recipes/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ASKED = ("run", "suite-fashion", "-t", "cpu", "-s", "Offline", "-m", "accuracy", "--dry-run")


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """What a command prints in a folder with the recipes of docs/add-a-harness.md."""
    for name, text in BLOCK.findall(DOCS.read_text()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("ref: COMMIT", "ref: " + "a" * 40))
    (tmp_path / "mlorch.yaml").write_text("recipes: [recipes]\n")
    monkeypatch.chdir(tmp_path)

    def run_it(*words):
        assert run([*ASKED, *words]) == 0
        return capsys.readouterr()

    return run_it


def test_the_document_has_every_container_and_file_and_what_is_beyond_the_contract(printed):
    (test,) = json.loads(printed("--json").out)["containers"]
    assert [(step["name"], step["role"]) for step in test["steps"]] == [
        ("compile", "prepare"),
        ("bench", "run"),
        ("score", "accuracy"),
    ]
    assert test["argv"] == test["steps"][1]["argv"]
    assert "tools/compile_net.py" in test["steps"][0]["argv"]
    assert test["files"]["config/user.conf"].startswith("*.Offline.min_duration = 10000\n")
    assert any("it keeps its traces there" in text for text in test["deviations"])


def test_a_step_that_makes_an_artefact_can_write_it_and_the_others_cannot(printed):
    (test,) = json.loads(printed("--json").out)["containers"]
    mounts = [[word for word in step["argv"] if "target=/artifacts/compile" in word] for step in test["steps"]]
    assert [word.endswith(",readonly") for (word,) in mounts] == [False, True, True]


def test_the_lines_make_the_files_and_start_the_containers_one_after_the_other(printed):
    shown = printed()
    before, docker, containers = shown.out.partition("\ndocker ")
    assert (docker + containers).count(" run --rm --name mlorch-") == 3
    mounts = [word for word in shlex.split(docker + containers) if word.startswith("type=bind,")]
    sources = {re.search("source=([^,]+)", word)[1] for word in mounts}
    made = shlex.split(before)
    assert {source for source in sources if "/assets/" not in source} <= set(made)
    at = next(number for number, word in enumerate(made) if word.endswith("/config/user.conf"))
    assert made[at - 1] == ">"
    assert "*.Offline.target_qps = 30000\n" in made[at - 2]
    assert "beyond the run contract: writable /opt/suite/cache: it keeps its traces there" in shown.err
