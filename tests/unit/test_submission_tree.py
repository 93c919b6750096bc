"""Writing a tree: whole or not at all, beside what is there already, and into nobody's links."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_submission_build import SYSTEM, World, rounds  # noqa: F401 (a fixture)

from orchestrator.operations.context import Context
from orchestrator.operations.submission_build import BuildRequest, build_submission
from orchestrator.submissions.build.write import write_tree

MODELS = f"results/{SYSTEM}/image-fashion"


@pytest.fixture
def world(tmp_path, monkeypatch, capsys, rounds):  # noqa: F811
    found = World(tmp_path, monkeypatch, capsys, rounds)
    found.pair()
    return found


def tree_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def beside(world) -> list[str]:
    return sorted(path.name for path in world.tmp_path.iterdir() if "tree" in path.name)


def test_a_dry_run_writes_nothing(world):
    assert world.build("--dry-run")[0] == 0
    assert beside(world) == []


def test_a_second_build_adds_and_replaces_its_own_results_only(world):
    world.build()
    (world.tree / "closed" / "Other" / "results").mkdir(parents=True)
    (world.tree / "closed" / "Other" / "results" / "x.txt").write_text("theirs")
    ours = world.root / "results" / "by-hand" / "resnet" / "Offline" / "accuracy.txt"
    ours.parent.mkdir(parents=True)
    ours.write_text("by hand")
    (world.root / "model_mapping.json").write_text(json.dumps({"tiny": "resnet"}))
    world.pair(scenario="Server", second=10)
    document = world.document()
    assert document["written"] == {"added": 1, "replaced": 0, "unchanged": 1}
    assert ours.read_text() == "by hand"
    assert (world.tree / "closed" / "Other" / "results" / "x.txt").read_text() == "theirs"
    assert json.loads((world.root / "model_mapping.json").read_text()) == {"tiny": "resnet", "image-fashion": "resnet"}
    assert {path.name for path in (world.root / MODELS).iterdir()} == {"Offline", "Server"}
    assert beside(world) == ["tree"]


def test_a_build_again_changes_nothing(world):
    world.build()
    before = tree_of(world.tree)
    inodes = {path: path.stat().st_ino for path in (world.root / MODELS).rglob("*")}
    assert world.document()["written"] == {"added": 0, "replaced": 0, "unchanged": 1}
    assert tree_of(world.tree) == before
    assert {path: path.stat().st_ino for path in (world.root / MODELS).rglob("*")} == inodes, "nothing was moved"


@pytest.mark.parametrize("change", ["edited", "removed", "added", "a link"])
def test_a_result_that_is_not_as_it_would_be_is_written_anew(world, change):
    world.build()
    before = tree_of(world.tree)
    folder = world.root / MODELS / "Offline" / "performance" / "run_1"
    log = folder / "mlperf_log_summary.txt"
    if change == "edited":
        log.write_text(log.read_text().replace("VALID", "valid"))
    elif change == "added":
        (folder / "mlperf_log_trace.json").write_text("{}")
    else:
        log.unlink()
    if change == "a link":
        log.symlink_to(next(world.store.root.glob("*performance*/mlperf_log_summary.txt")))
    assert world.document()["written"] == {"added": 0, "replaced": 1, "unchanged": 0}
    assert tree_of(world.tree) == before


def test_what_is_not_asked_for_again_stays(world):
    world.build()
    shutil.rmtree(world.store.root)
    world.pair(scenario="Server", second=10)
    world.build()
    assert {path.name for path in (world.root / MODELS).iterdir()} == {"Offline", "Server"}


def test_a_system_that_was_changed_by_hand_stays_and_the_difference_is_told(world):
    world.build()
    path = world.root / "systems" / f"{SYSTEM}.json"
    system = json.loads(path.read_text())
    path.write_text(json.dumps({**system, "cooling": "water"}))
    complete = world.overlay.read_text()
    world.overlay.write_text(complete)
    document = world.document()
    assert json.loads(path.read_text())["cooling"] == "air", "the overlay was given, and says it"
    assert document["kept"] == {}


def test_a_calibration_of_ones_own_stays(world):
    world.build()
    path = world.root / "documentation" / "calibration.md"
    path.write_text("# Ours\n")
    world.build()
    assert path.read_text() == "# Ours\n"


def test_a_result_that_somebody_else_made_is_not_replaced(world):
    world.build()
    readme = world.root / "measurements" / SYSTEM / "image-fashion" / "Offline" / "README.md"
    readme.write_text("# By hand\n")
    before = tree_of(world.tree)
    code, _, err = world.build()
    assert code == 1
    assert "mlorch did not make" in err
    assert tree_of(world.tree) == before


@pytest.mark.parametrize(
    "place", ["open", "open/Acme", "open/Acme/results", f"open/Acme/results/{SYSTEM}/image-fashion/Offline"]
)
def test_no_link_in_the_tree_is_followed(world, place):
    outside = world.tmp_path / "outside"
    outside.mkdir()
    (world.tree / place).parent.mkdir(parents=True)
    (world.tree / place).symlink_to(outside)
    code, _, err = world.build()
    assert code == 1
    assert "is a link" in err
    assert list(outside.iterdir()) == []


def test_a_log_that_is_a_link_by_now_is_not_read(world):
    run = next(path for path in world.store.root.iterdir() if "performance" in path.name)
    secret = world.tmp_path / "secret"
    (run / "mlperf_log_summary.txt").rename(secret)
    (run / "mlperf_log_summary.txt").symlink_to(secret)
    code, _, err = world.build()
    assert code == 5
    assert "does not verify" in err
    assert not world.tree.exists()


class Killed(BaseException):
    pass


def stop_at(monkeypatch, world_folder, number):
    """Let the process end at the ``number``-th time that something is written or put in its place."""
    count = 0

    def counting(name):
        real = getattr(Path, name)

        def instead(self, *arguments, **more):
            nonlocal count
            if world_folder in self.parents:  # the caches of mlorch are not looked at here
                count += 1
                if count == number:
                    raise Killed
            return real(self, *arguments, **more)

        return instead

    for name in ("rename", "replace", "write_bytes"):
        monkeypatch.setattr(Path, name, counting(name))


def whole(world) -> dict[str, bool]:
    """Of each result that counts, whether all of its files are there."""
    found = {}
    for result in (world.root / "results").glob("*/*/*"):
        described = world.root / "measurements" / result.relative_to(world.root / "results")
        logs = [path for path in result.rglob("*") if path.is_file()]
        found[result.name] = len(logs) == 6 and len(list(described.iterdir())) == 3
    return found


def planned(world):
    request = BuildRequest(
        round="v5.1", submitter="Acme", results=world.store.root, tree=world.tree, overlay=world.overlay, dry=True
    )
    return build_submission(Context(), request).plan


@pytest.mark.parametrize("again", [False, True], ids=["new tree", "tree that is there"])
def test_a_build_that_is_killed_leaves_whole_results_and_the_next_one_ends_it(world, monkeypatch, again):
    world.pair(scenario="Server", second=10)
    first = plan = planned(world)
    if again:
        world.pair(second=20)
        world.pair(scenario="Server", second=30)
        plan = planned(world)
    moments = 0
    while True:
        moments += 1
        shutil.rmtree(world.tree, ignore_errors=True)
        if again:
            write_tree(first, world.tree)
        with monkeypatch.context() as patched:
            stop_at(patched, world.tmp_path, moments)
            try:
                write_tree(plan, world.tree)
                break
            except Killed:
                pass
        assert all(whole(world).values()), moments
        write_tree(plan, world.tree)
        assert whole(world) == {"Offline": True, "Server": True}
        assert beside(world) == ["tree"]
    assert moments > 20
    expected = {f"open/Acme/{path}" for one in plan.results for path in one.files}
    assert expected <= tree_of(world.tree).keys()
