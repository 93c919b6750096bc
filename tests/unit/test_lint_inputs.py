"""What is given to lint: what no person wrote ends at once, what is no file is refused, a folder is linted whole."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from orchestrator.cli import run


def test_the_linter_takes_its_time_only_for_what_a_person_could_have_written(tmp_path, capsys):
    stages = "".join(f"FROM a{index} AS a{index + 1}\n" for index in range(25_000))
    nested = "FROM a\nRUN " + "$(" * 150_000 + "\n"
    long = "ARG A=$A$A$A$A\nFROM " + "$A" * 60 + "\n"
    chain = "".join(f"FROM a{index} AS a{index + 1}\nRUN $(echo $(echo a))\n" for index in range(199))
    for text in (stages, nested, long, chain):
        (tmp_path / "Dockerfile").write_text(text)
        began = time.process_time()  # however busy the machine is
        status = run(["recipes", "lint", str(tmp_path / "Dockerfile"), "--json"])
        assert status in {0, 3}, capsys.readouterr().err
        assert time.process_time() - began < 6
        capsys.readouterr()


def test_lint_refuses_what_is_no_file_and_says_where_nothing_was_checked(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert run(["recipes", "lint", str(path)]) == 2
        assert "no-file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(["recipes", "lint", str(tmp_path / "empty")]) == 5
    assert "0 files checked" not in capsys.readouterr().out


def test_lint_of_a_folder_is_of_all_that_is_in_it(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/os.lock.yaml").write_text("version: 1\nlayer: os\n")
    (tmp_path / "mlorch.yaml").write_text("engin: docker\n")
    (tmp_path / "Dockerfile").write_text("FROM a:latest\n")
    assert run(["recipes", "lint", str(tmp_path), "--json"]) == 3
    problems = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert {Path(problem["path"]).name for problem in problems} == {"os.lock.yaml", "mlorch.yaml", "Dockerfile"}


def test_a_list_of_published_images_beside_recipes_is_no_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("images.yaml").write_text("version: 1\nimages: []\n")
    assert run(["plan", "--target", "cpu", "--recipes", ".", "--json"]) == 0, capsys.readouterr().err
    Path("images.yaml").write_text("version: 1\nimages: []\nlayers: []\n")
    assert run(["plan", "--target", "cpu", "--recipes", ".", "--json"]) == 3, "anything else still is"
