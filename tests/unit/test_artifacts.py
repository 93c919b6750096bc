"""`/artifacts` of a run: for one image and step only, and nothing is used that changed since the last run left it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from run_parts import a_run_environment, a_workload

from orchestrator.host.process import this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.runs.artifacts import lent_artifacts, sweep_artifacts

OWNER = this_user().owner


def a_container(root: Path, *, image="mlorch/image-fashion-cpu:aaaa", scenario="Offline", benchmark=""):
    workload = a_workload(image=image)
    if benchmark:
        workload = replace(workload, benchmark=workload.benchmark.model_copy(update={"name": benchmark}))
    environment = a_run_environment(artifacts=str(root), user=this_user())
    return plan_run(workload, environment, Cell(scenario=scenario, mode="performance"), "id", Choices()).container


def folder_of(container) -> Path:
    return Path(next(mount.source for mount in container.mounts if mount.target == "/artifacts"))


def run(container, inside=lambda _folder: None, *, good=True):
    """One run: ``inside`` is what its container does; gives what it found, and the loan."""
    with lent_artifacts(container, OWNER) as one:
        place = folder_of(one.container)
        found = {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}
        inside(place)
        one.keep = good
    return found, one


def write(name: str, text: str):
    def inside(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return inside


def test_the_next_run_of_a_step_finds_what_the_last_one_left(tmp_path):
    run(a_container(tmp_path), write("openvino/a.blob", "compiled"))
    found, one = run(a_container(tmp_path))
    assert found == {"openvino/a.blob": "compiled"}
    assert (one.warnings, one.left) == ((), {})


@pytest.mark.parametrize(
    "other", [{"image": "mlorch/image-fashion-cpu:bbbb"}, {"scenario": "Server"}, {"benchmark": "other"}]
)
def test_another_image_or_step_never_sees_the_files(tmp_path, other):
    run(a_container(tmp_path), write("a.blob", "of the first"))
    found, one = run(a_container(tmp_path, **other), write("a.blob", "of the second"))
    assert (found, one.warnings) == ({}, ())
    assert run(a_container(tmp_path))[0] == {"a.blob": "of the first"}


def test_a_file_that_was_changed_between_runs_is_not_used(tmp_path):
    container = a_container(tmp_path)
    run(container, lambda folder: [write(name, name)(folder) for name in ("changed", "kept", "deep/changed")])
    for name in ("changed", "deep/changed", "added"):
        write(name, "by somebody")(folder_of(container))
    found, one = run(container)
    assert found == {"kept": "kept"}
    assert sorted(text.split()[1] for text in one.warnings) == ["added", "changed", "deep/changed"]


def test_a_link_is_thrown_away_and_what_it_leads_to_is_not(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("host")
    container = a_container(tmp_path / "artifacts")

    def link(folder: Path) -> None:
        (folder / "file").symlink_to(secret / "file")
        (folder / "folder").symlink_to(secret)

    run(container, link)
    found, one = run(container)
    assert found == {}
    assert len(one.warnings) == 2
    assert list(folder_of(container).iterdir()) == []
    assert (secret / "file").read_text() == "host"


def test_what_a_run_wrote_that_did_not_end_well_is_not_used(tmp_path):
    container = a_container(tmp_path)
    run(container, write("good", "1"))
    run(container, write("half", "1"), good=False)

    def cut_short(folder: Path) -> None:
        write("good", "overwritten")(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(container, cut_short)
    found, one = run(container)
    assert found == {}
    assert one.warnings == ("artefact good is not as the last run left it; thrown away",)


def test_the_list_of_files_lies_where_no_container_can_write(tmp_path):
    container = a_container(tmp_path)
    run(container, write("a", "1"))
    place = folder_of(container)
    assert [path.name for path in place.iterdir()] == ["a"]
    assert place.with_name(f"{place.name}.json").is_file()
    (place.parent / f"{place.name}.json").write_text("{")
    assert run(container)[0] == {}


def test_no_program_with_special_bits_stays_and_it_is_told(tmp_path):
    def plant(folder: Path) -> None:
        (folder / "shell").write_text("x")
        (folder / "shell").chmod(0o4755)
        os.mkfifo(folder / "pipe")

    container = a_container(tmp_path)
    _, one = run(container, plant)
    assert set(one.left) == {"/artifacts/shell", "/artifacts/pipe"}
    assert [(path.name, path.stat().st_mode & 0o7777) for path in folder_of(container).iterdir()] == [("shell", 0o755)]


def test_the_folder_is_of_its_users_alone(tmp_path):
    container = a_container(tmp_path)
    with lent_artifacts(container, OWNER):
        place = folder_of(container)
        assert place.stat().st_mode & 0o077 == 0 or place.parent.stat().st_mode & 0o077 == 0
        assert f"{place.stat().st_uid}:{place.stat().st_gid}" == container.user
    assert f"{place.stat().st_uid}:{place.stat().st_gid}" == OWNER


def test_two_runs_at_once_share_nothing(tmp_path):
    container = a_container(tmp_path)
    run(container, write("a", "1"))
    with lent_artifacts(container, OWNER) as first:
        found, second = run(container, write("b", "2"))
        assert found == {}
        assert folder_of(second.container) != folder_of(first.container)
        assert "another run" in second.warnings[0]
        assert not folder_of(second.container).exists()
        sweep_artifacts(tmp_path, OWNER)
        assert (folder_of(first.container) / "a").read_text() == "1"
        first.keep = True
    assert run(container)[0] == {"a": "1"}


def test_after_a_kill_the_sweep_makes_the_folder_harmless(tmp_path):
    container = a_container(tmp_path)
    place = folder_of(container)
    run(container)
    (place / "shell").write_text("x")
    (place / "shell").chmod(0o6755)
    mark = tmp_path / ".lent" / f"{place.parent.name}+{place.name}"
    mark.touch()  # as a process that was killed leaves it: there, and locked by nobody
    sweep_artifacts(tmp_path, OWNER)
    assert (place / "shell").stat().st_mode & 0o7000 == 0
    assert not mark.exists()
    assert run(container)[0] == {}


def test_a_container_without_artefacts_needs_no_folder(tmp_path):
    container = replace(a_container(tmp_path), mounts=())
    with lent_artifacts(container, OWNER) as one:
        assert one.container == container
    assert list(tmp_path.iterdir()) == []
