"""docs/student-cluster.md, command by command: from nothing to an archive that the round's checker takes."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

DOCS = Path(__file__).parents[2] / "docs" / "student-cluster.md"
BLOCKS = dict(re.findall(r"^```(\w*)\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL))
COMMANDS = BLOCKS[""].splitlines()
SHORTER = {
    "run": ("--official", ("--duration", "1s")),
    "build": ("", ("--short",)),
    "check": ("", ("--skip", "min-duration", "--json")),
    "pack": ("", ("--skip", "min-duration")),
}
"""What is another here than on the page: a test of a second, not of ten minutes, and so the rule of that left out."""


@pytest.fixture(scope="module")
def followed(mlorch, tmp_path_factory):
    """The reader's folder after all commands, and what each answered by its verb."""
    folder = tmp_path_factory.mktemp("team")
    name, _, text = BLOCKS["yaml"].removeprefix("# ").partition("\n")
    (folder / name).write_text(text)
    answers = {}
    for command in COMMANDS:
        program, *words = shlex.split(command)
        assert program == "mlorch"
        verb = words[1] if words[0] == "submission" else words[0]
        without, more = SHORTER.get(verb, ("", ()))
        assert without in (*words, ""), command
        done = mlorch(*(word for word in words if word != without), *more, cwd=folder, timeout=900)
        answers[verb] = done.stdout
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return folder, answers


def test_it_is_at_most_five_commands_and_none_asks_for_root():
    assert len(COMMANDS) <= 5
    assert not [command for command in COMMANDS if re.search(r"\b(sudo|su|chown)\b", command)]


def test_the_check_finds_nothing_but_the_warning_that_the_page_tells(followed):
    document = json.loads(followed[1]["check"])
    assert (document["good"], document["results"], document["rows"]) == (True, 1, 1)
    assert document["rules"] == {"accuracy-samples": 1}


def test_the_archive_holds_the_tree_and_verifies(followed):
    folder, answers = followed
    with tarfile.open(folder / "our-team.tar.gz") as tar:
        packed = set(tar.getnames())
    tree = folder / "tree"
    assert packed == {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert "as its manifest says" in answers["verify"]
