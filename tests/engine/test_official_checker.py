"""`submission check --official`: MLCommons' own checkers, unchanged, in their images, and our verdict beside theirs.

Their repository comes from a mirror, as at a site without GitHub (`git_mirror_parts`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from git_mirror_parts import site_with_mirrors, why_not

sys.path.append(str(Path(__file__).parents[1] / "unit/submissions"))

from submission_parts import RESNET, change_log, good_tree

WHY_NOT = why_not("mlcommons/inference")
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the mirror in its mlorch.yaml."""
    return site_with_mirrors(tmp_path_factory.mktemp("site"))


@pytest.fixture
def official(mlorch, site):
    def check(tree: Path, round_name: str) -> tuple[int, dict]:
        words = ("submission", "check", str(tree), "--round", round_name, "--target", "cpu", "--official", "--json")
        done = mlorch(*words, cwd=site, timeout=900)
        assert done.stdout, done.stderr[-6000:]
        return done.returncode, json.loads(done.stdout)

    return check


@pytest.fixture
def tree(tmp_path):
    return good_tree(tmp_path / "tree")


def test_a_good_tree_that_was_packed_is_taken_by_both_with_the_same_rows(mlorch, official, tree, tmp_path):
    words = ("submission", "pack", str(tree), "--round", "v5.1", "-o", str(tmp_path / "acme.tar.gz"))
    assert mlorch(*words).returncode == 0
    assert (tree / "mlorch-manifest.md").exists(), "and none of both objects to it"
    code, document = official(tree, "v5.1")
    theirs = document["official"]
    assert (code, theirs["ended"], theirs["good"], theirs["errors"]) == (0, True, True, [])
    assert (theirs["rows"], theirs["rows_alike"], theirs["differences"]) == (4, 4, [])


def test_what_only_one_of_both_refuses_is_explained_by_its_defect(official, tree):
    change_log(tree, f"{RESNET}/SingleStream", early_stopping_met=False)
    change_log(tree, f"{RESNET}/Offline", effective_min_duration_ms=60000)
    code, document = official(tree, "v5.1")
    theirs = document["official"]
    assert (code, document["good"], theirs["good"]) == (1, False, False)
    assert f"{RESNET}/Offline" in theirs["refused"]
    assert f"{RESNET}/SingleStream" not in theirs["refused"]
    assert theirs["unexplained"] == 0
    assert ["early-stopping-told"] in [one["why"] for one in theirs["differences"]]


def test_one_that_dies_of_a_tree_is_told_with_its_last_words(official, tree):
    system = tree / "open/Acme/systems/rack.json"
    system.write_text(
        json.dumps({name: value for name, value in json.loads(system.read_text()).items() if name != "status"})
    )
    code, document = official(tree, "v5.1")
    assert (code, document["official"]["ended"]) == (1, False)
    assert "system-fields" in document["rules"], "and ours says what is wrong"


@pytest.mark.parametrize("name", ["v3.0", "v4.1", "v5.0", "v6.1"])
def test_the_checker_of_every_round_comes_to_its_end(official, tree, name):
    """The tree is of v5.1, whose seeds no other round takes; v6.1 looks for measurements elsewhere."""
    code, document = official(tree, name)
    theirs = document["official"]
    assert (code, theirs["ended"], theirs["good"]) == (1, True, False)
    assert theirs["refused"]
    assert theirs["commit"]
