"""Two `mlorch run` on one host: beside each other, or one after the other; and a program that is no mlorch at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess

import pytest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two runs side by side need two processors"),
]
TEST = ("run", "image-smoke", "--mode", "performance", "--scenario", "SingleStream", "--duration", "5s", "--json")


@pytest.fixture(scope="module")
def _built(mlorch):
    """The image is there before two runs want it at once."""
    done = mlorch("build", "--target", "cpu", "--benchmark", "image-smoke", timeout=1800)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def at_once(mlorch, tmp_path, _built):
    """Starts a run for each list of options, all at once; gives the record of each, and what it said."""

    def start(*options):
        running = [
            subprocess.Popen(
                [*mlorch.command, *TEST, "-o", str(tmp_path), *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for more in options
        ]
        ended = []
        try:
            for process in running:
                out, err = process.communicate(timeout=600)
                assert process.returncode in {0, 1}, err  # 1 is INVALID, on a machine that others use
                result = json.loads(out)["results"][0]
                ended.append((record_of(result), err))
        finally:
            for process in running:
                process.kill()
        return ended

    return start


def record_of(result):
    with open(result["record"], encoding="utf-8") as stream:  # noqa: PTH123 (a path of a document)
        record = json.load(stream)
    assert record["status"] == "done", record["error"]
    return record


def overlap(one, other) -> bool:
    return max(one["started"]["unix_ns"], other["started"]["unix_ns"]) < min(
        one["ended"]["unix_ns"], other["ended"]["unix_ns"]
    )


def test_runs_on_processors_of_their_own_run_side_by_side_and_tell_of_each_other(at_once):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    (one, _), (other, _) = at_once(("--cpus", str(first)), ("--cpus", str(second)))
    assert (one["container"]["cpus"], other["container"]["cpus"]) == ([first], [second])
    assert one["container_facts"]["cpus"] == [first]
    assert (one["settings"]["execution.cpus"]["source"]) == "command line"
    assert first in one["reservation"]["cpus"]
    assert second in other["reservation"]["cpus"]
    assert overlap(one, other)
    seen = {run["session"] for record in (one, other) for run in record["disturbance"]["other_runs"]}
    assert seen & {one["session"], other["session"]}


def test_runs_on_the_same_processors_wait_for_each_other_and_say_so(at_once):
    earlier, later = sorted(at_once((), ()), key=lambda ended: ended[0]["started"]["unix_ns"])
    assert not overlap(earlier[0], later[0])
    assert later[0]["reservation"]["waited_s"] > 0
    assert earlier[0]["session"] in {holder["session"] for holder in later[0]["reservation"]["waited_for"]}
    assert "waiting for processors" in later[1]
    assert f"run {earlier[0]['run_id']}" in later[1] or f"session {earlier[0]['session']}" in later[1]


def _busy(cpu: int) -> None:
    os.sched_setaffinity(0, [cpu])
    while True:
        pass


def test_a_program_that_uses_the_processors_too_marks_the_result(at_once):
    cpu = min(os.sched_getaffinity(0))
    loops = [multiprocessing.get_context("fork").Process(target=_busy, args=(cpu,), daemon=True) for _ in range(2)]
    for loop in loops:
        loop.start()
    try:
        ((record, _),) = at_once(("--cpus", str(cpu)))
    finally:
        for loop in loops:
            loop.kill()
            loop.join()
    found = record["disturbance"]
    assert found["window"] == "test"
    assert found["unknown"] == []
    assert found["others"] > 0.3  # two loops and one test have a third each
    assert 0 < found["own"] < 0.75  # what a scheduler gives in 5 s is not exact
    assert any(reason.startswith("other programs used") for reason in found["reasons"])
