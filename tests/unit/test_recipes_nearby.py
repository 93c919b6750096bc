"""An unknown name that recipes in the current folder have: the hint says how they are named."""

from __future__ import annotations

import json
import os

import pytest

from orchestrator import cli
from orchestrator.definitions.catalog.nearby import nearby
from orchestrator.definitions.catalog.roots import Root

MINE = "# ours\nkind: benchmark\nname: mine  # a model\ntitle: t\nlike: image-fashion\n"


def write(path, text=MINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("recipes/benchmarks/mine.yaml", "`mine` is in ./recipes: add `--recipes ./recipes`"),
        ("own/mine.yml", "`mine` is in ./own: add `--recipes ./own`"),
        ("mine.yaml", "`mine` is in .: add `--recipes .`"),
        (".hidden/mine.yaml", ""),
        ("own/mine.txt", ""),
    ],
)
def test_a_recipe_in_the_current_folder_is_named_with_its_folder(tmp_path, place, said):
    write(tmp_path / place)
    assert nearby("benchmark", "mine", (), tmp_path) == said


def test_recipes_of_other_names_are_named_where_they_usually_are(tmp_path):
    write(tmp_path / "recipes/mine.yaml")
    write(tmp_path / "own/mine.yaml")
    assert nearby("benchmark", "yours", (), tmp_path) == "recipes in ./recipes count with `--recipes ./recipes`"
    assert nearby("target", "mine", (), tmp_path) == ""


def test_what_is_read_already_is_no_hint(tmp_path):
    write(tmp_path / "recipes/mine.yaml")
    for root in (tmp_path, tmp_path / "recipes"):
        assert nearby("benchmark", "yours", [Root(path=root, origin="path:x")], tmp_path) == ""


def test_nothing_that_lies_there_stops_the_error(tmp_path):
    (tmp_path / "recipes").mkdir()
    os.mkfifo(tmp_path / "recipes/pipe.yaml")
    (tmp_path / "recipes/bytes.yaml").write_bytes(b"\xff" * 100)
    (tmp_path / "recipes/large.yaml").write_text(MINE + "#" * 2**17)
    (tmp_path / "recipes/gone.yaml").symlink_to("nowhere")
    (tmp_path / "closed").mkdir(mode=0)
    assert nearby("benchmark", "mine", (), tmp_path) == ""
    assert nearby("benchmark", "mine", (), tmp_path / "nowhere") == ""


@pytest.mark.parametrize("words", [["run", "mine", "-t", "cpu"], ["benchmarks", "show", "mine"]])
def test_the_command_line_says_it(tmp_path, monkeypatch, capsys, words):
    write(tmp_path / "recipes/mine.yaml")
    monkeypatch.chdir(tmp_path)
    assert cli.run([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["slug"] == "unknown-benchmark"
    assert "`mine` is in ./recipes: add `--recipes ./recipes`; " in error["hint"]
