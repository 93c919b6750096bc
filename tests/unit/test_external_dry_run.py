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


def test_the_document_has_every_container_and_what_is_beyond_the_contract(printed):
    containers = json.loads(printed("--json").out)["containers"]
    scripts = ["tools/compile_net.py", "app/bench.py", "tools/score.py"]
    assert [script in one["argv"] for script, one in zip(scripts, containers, strict=True)] == [True] * 3
    assert len({one["run_id"] for one in containers}) == 1
    assert all("it keeps its traces there" in "".join(one["deviations"]) for one in containers)


def test_a_step_that_makes_an_artefact_can_write_it_and_the_others_cannot(printed):
    containers = json.loads(printed("--json").out)["containers"]
    mounts = [[word for word in one["argv"] if "target=/artifacts/compile" in word] for one in containers]
    assert [word.endswith(",readonly") for (word,) in mounts] == [False, True, True]


def test_the_lines_make_the_files_and_start_the_containers_one_after_the_other(printed):
    shown = printed()
    before, docker, containers = shown.out.partition("\ndocker ")
    assert (docker + containers).count(" run --rm --name mlorch-") == 3
    mounts = [word for word in shlex.split(docker + containers) if word.startswith("type=bind,")]
    sources = {re.search("source=([^,]+)", word)[1] for word in mounts}
    made = shlex.split(before)
    for source in sources:
        assert "/assets/" in source or any(f"{word}/".startswith(f"{source}/") for word in made), source
    at = next(number for number, word in enumerate(made) if word.endswith("/config/user.conf"))
    assert made[at - 1] == ">"
    assert "*.Offline.target_qps = 30000\n" in made[at - 2]
    assert "beyond the run contract: writable /opt/suite/cache: it keeps its traces there" in shown.err


def test_the_lines_make_a_file_that_stands_in_for_a_command_executable(printed, tmp_path):
    recipe = tmp_path / "recipes/suite.yaml"
    stand_in = '    - {path: /usr/bin/sudo, text: "exit 0", executable: true}\n  user: runner\n'
    recipe.write_text(recipe.read_text().replace("  user: runner\n", stand_in))
    before, _, _ = printed().out.partition("\ndocker ")
    made = shlex.split(before)
    assert made[made.index("chmod") + 2].endswith("/config/2-sudo")
