"""The reservation of processors between real processes: who waits for whom, and what ends a wait."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.errors import HostLimitError
from orchestrator.facts.processors import Holder
from orchestrator.host import processor_locks
from orchestrator.host.process import this_process
from orchestrator.host.processor_locks import NoLock, holders, lock, lock_name, shared_folder
from orchestrator.operations.run import processors
from orchestrator.runs import reservation

pytestmark = pytest.mark.processes
CHILD = Path(__file__).with_name("lock_child.py")
ROOT = CHILD.parents[2]
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


class Child:
    """A process of `lock_child`; everything that it says is read with a limit of time."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, CHILD, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def line(self) -> str:
        timer = threading.Timer(60, self.process.kill)
        timer.start()
        try:
            return self.process.stdout.readline().rstrip("\n")
        finally:
            timer.cancel()

    def end(self) -> int:
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture
def child(folder):
    started = []

    def start(cpus: str, session: str, *more: object) -> Child:
        started.append(Child(folder, cpus, session, *more))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdin.close()
        one.process.stdout.close()


@pytest.fixture
def folder():
    """A folder that every user may write to, and reach: pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="mlorch-test-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def test_a_second_run_waits_and_says_for_whom_until_the_first_ends(child):
    first = child("0,1", "one")
    assert first.line() == "has 0,1"
    second = child("1,2", "two")
    said = second.line()
    assert said.startswith("waiting for processors 1-2: run run-of-one of user ")
    assert f"(process {first.process.pid}), since 20" in said
    assert " has 1; --cpus takes others" in said
    assert first.end() == 0
    assert second.line().startswith("waited ")
    assert second.line() == "has 1,2"


def test_runs_on_other_processors_do_not_wait(child):
    assert child("0", "one").line() == "has 0"
    assert child("1", "two").line() == "has 1"


def test_a_killed_run_frees_its_processors(child):
    first = child("0", "one")
    assert first.line() == "has 0"
    second = child("0", "two")
    assert second.line().startswith("waiting")
    first.process.kill()
    assert second.line().startswith("waited ")
    assert second.line() == "has 0"


def test_who_waits_hears_of_another_that_came_first(child):
    first = child("0", "one")
    first.line()
    second = child("0", "two")
    assert "run-of-one" in second.line()
    third = child("0", "three")
    assert "run-of-one" in third.line()
    first.end()
    said = {"two": second.line(), "three": third.line()}
    got = "two" if said["two"].startswith("waited") else "three"
    assert said.pop(got).startswith("waited")
    assert said.popitem()[1].startswith(
        ("waiting for processors 0: run run-of-" + got, f"waiting for processors 0: session {got}")
    )


def test_who_has_one_and_waits_for_the_next_is_told_as_well(child):
    child("1", "one").line()
    second = child("0,1", "two")
    assert second.line().startswith("waiting")
    assert child("0", "three").line().startswith("waiting for processors 0: session two of user ")


def test_without_waiting_it_fails_at_once_and_names_the_holder(child):
    first = child("0", "one")
    first.line()
    second = child("0", "two", "no-wait")
    assert second.line().startswith("cpus-busy: processor 0 is taken by run run-of-one of user ")
    assert second.end() == HostLimitError.exit_code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_with_words_and_gives_back_what_it_had(child, number):
    first = child("1", "one")
    first.line()
    second = child("0,1", "two")
    assert second.line().startswith("waiting")
    second.process.send_signal(number)
    said = second.line()
    assert said.startswith("interrupted: interrupted while it waited for processor 1, which run run-of-one")
    assert said.endswith("no test had begun")
    assert second.end() == 130
    assert child("0", "three").line() == "has 0"


def test_many_runs_that_want_each_others_processors_all_get_their_turn(child):
    wanted = ["0,1", "1,0", "1,2,0", "2,1", "0,2", "2,0"]
    everybody = [child(cpus, f"s{number}") for number, cpus in enumerate(wanted)]
    for one in everybody:
        one.process.stdin.close()  # each ends as soon as it had its turn
    assert [one.process.wait(60) for one in everybody] == [0] * len(wanted)
    assert all("has " in one.process.stdout.read() for one in everybody)


@as_root
def test_users_share_the_locks_whoever_makes_the_files_first(child):
    others = child("0", "theirs", NOBODY)
    assert others.line() == "has 0"
    roots = child("0,1", "roots")
    assert " of user nobody (process" in roots.line()
    others.end()
    assert roots.line().startswith("waited ")
    assert roots.line() == "has 0,1"
    assert "of user root" in child("1", "again", NOBODY).line()


@as_root
def test_a_file_that_is_closed_to_a_user_is_told_and_reserved_by_nobody(child, folder):
    closed = folder / lock_name(0)
    closed.touch(mode=0o600)
    theirs = child("0,1", "theirs", NOBODY)
    said = theirs.line()
    assert said.startswith("other runs may use the same processors: ")
    assert "cannot be opened: Permission denied, and belongs to user root" in said
    assert theirs.line() == "has 1"


@pytest.fixture
def held(tmp_path):
    """The file of a processor that this process has, and what another one would be told of it."""
    holder = Holder(session="one", run_id="run-of-one", user="", since="2026", owner=this_process())
    mine = lock(tmp_path, 0, on_wait=lambda _holder: None)
    mine.tell(holder)

    def told() -> str:
        with pytest.raises(HostLimitError) as caught:
            lock(tmp_path, 0, on_wait=lambda _holder: None, wait=False)
        return caught.value.message

    yield tmp_path / lock_name(0), told
    mine.release()


def test_what_a_file_says_of_its_user_counts_only_where_the_kernel_says_nothing(held):
    path, told = held
    path.write_text(path.read_text().replace(f'"uid": {os.getuid()}', '"uid": 4242'))
    assert "run run-of-one of user " in told()
    assert "4242" not in told()


@pytest.mark.parametrize("words", [b"", b"{", b"\xff\xfe", b'{"owner": 3}', b"[" * 900, b"9" * 2000])
def test_nonsense_in_the_file_is_another_mlorch(held, words):
    path, told = held
    path.write_bytes(words)
    assert told() == "processor 0 is taken by another mlorch"


def test_what_a_holder_says_cannot_steer_a_terminal(held):
    path, told = held
    path.write_text(path.read_text().replace("run-of-one", "\\u001b[2J\\n" + "x" * 300)[:1024])
    assert "\x1b" not in told()
    assert "\\x1b[2J\\n" in told()
    assert len(told()) < 300


def refused(folder: Path) -> str:
    with pytest.raises(NoLock) as caught:
        lock(folder, 0, on_wait=lambda _holder: None)
    return str(caught.value)


def test_links_pipes_folders_and_second_names_are_not_locked(tmp_path):
    path, victim = tmp_path / lock_name(0), tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    assert "cannot be opened: Too many levels of symbolic links" in refused(tmp_path)
    path.unlink()
    path.hardlink_to(victim)
    assert "has several names" in refused(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert "is no regular file" in refused(tmp_path)
    path.unlink()
    path.mkdir()
    assert "cannot be opened" in refused(tmp_path) or "is no regular file" in refused(tmp_path)
    assert victim.read_text() == "precious"


def test_a_file_that_was_removed_meanwhile_is_not_what_is_locked(tmp_path):
    """Who waited on the removed file would have a lock that nobody else looks at."""
    first = lock(tmp_path, 0, on_wait=lambda _holder: None)
    waits, got = threading.Event(), []

    def second():
        got.append(lock(tmp_path, 0, on_wait=lambda _holder: waits.set()))

    thread = threading.Thread(target=second)
    thread.start()
    assert waits.wait(60)
    (tmp_path / lock_name(0)).unlink()
    first.release()
    thread.join(60)
    assert os.fstat(got[0].descriptor).st_ino == (tmp_path / lock_name(0)).stat().st_ino
    with pytest.raises(HostLimitError):
        lock(tmp_path, 0, on_wait=lambda _holder: None, wait=False)
    got[0].release()


def test_other_runs_are_seen_without_touching_their_locks(child, folder):
    first, second = child("0,2", "one"), child("3", "two")
    assert (first.line(), second.line()) == ("has 0,2", "has 3")
    found = {holder.session: holder for holder in holders(folder, range(8))}
    assert {session: holder.cpus for session, holder in found.items()} == {"one": (0, 2), "two": (3,)}
    assert found["one"].run_id == "run-of-one"
    second.process.kill()
    second.process.wait()
    assert [holder.session for holder in holders(folder, range(8))] == ["one"]
    first.end()
    assert holders(folder, range(8)) == ()


def test_a_run_in_another_pid_namespace_is_seen_while_it_has_its_lock(child, folder):
    """In a container of a developer: no process can be looked up from here, and the lock is the same."""
    first = child("0", "one")
    assert first.line() == "has 0"
    path = folder / lock_name(0)
    words = json.loads(path.read_text())
    words["owner"] |= {"namespace": "1", "pid": os.getpid()}
    path.write_text(json.dumps(words).ljust(1024))
    assert [holder.session for holder in holders(folder, range(2))] == ["one"]
    first.process.kill()
    first.process.wait()
    assert holders(folder, range(2)) == ()


def test_the_folder_is_chosen_by_what_it_is(tmp_path, monkeypatch):
    plain, link, shared = tmp_path / "plain", tmp_path / "link", tmp_path / "shared"
    plain.mkdir(mode=0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    link.symlink_to(shared)
    monkeypatch.setattr(processor_locks, "FOLDERS", (tmp_path / "absent", plain, link))
    assert shared_folder() is None
    monkeypatch.setattr(processor_locks, "FOLDERS", (plain, link, shared))
    assert shared_folder() == (shared if os.getuid() == 0 else None)
    if os.getuid() == 0:
        os.chown(shared, NOBODY, NOBODY)  # who could take everybody's files away
        assert shared_folder() is None


def test_without_a_folder_for_all_the_run_goes_on_and_says_so(monkeypatch):
    monkeypatch.setattr(reservation, "shared_folder", lambda: None)
    warned = []
    with reservation.reserve([0], "s", say=warned.append, warn=warned.append) as reserved:
        assert reserved.facts.cpus == ()
        assert len(reserved.facts.unreserved) == 1
        reserved.at("r")
        assert reserved.other_runs([0]) == ()
    assert warned == [f"other runs may use the same processors: {reserved.facts.unreserved[0]}"]


@pytest.fixture
def suite_of(monkeypatch, folder):
    """Gives a reservation for several runs, and a function that makes a run on the processors that are named."""
    monkeypatch.setattr(reservation, "shared_folder", lambda: folder)
    monkeypatch.setattr(processors, "processors_of", lambda prepared: prepared.cpus)

    def a_run(*cpus: int):
        runner = SimpleNamespace(session=SimpleNamespace(name="suite"))
        return SimpleNamespace(cpus=cpus, runner=runner, request=SimpleNamespace(wait=False))

    with processors.HeldProcessors() as held:
        yield held, a_run


def test_between_the_runs_of_a_suite_no_other_gets_their_processors(suite_of, child):
    held, a_run = suite_of
    talk = SimpleNamespace(say=None, warn=None)
    first = held.reserve(a_run(0, 1), talk)
    other = child("1", "other")
    assert other.line().startswith("waiting for processors 1: session suite of user ")
    assert held.reserve(a_run(1), talk) is first, "the next run has what is held already"
    held.__exit__()
    assert "waited" in other.line()
    assert other.line() == "has 1"


def test_a_run_of_a_suite_that_needs_more_gets_all_anew(suite_of, child):
    held, a_run = suite_of
    talk = SimpleNamespace(say=None, warn=None)
    held.reserve(a_run(1), talk)
    assert held.reserve(a_run(0), talk).facts.cpus == (0, 1)
    other = child("0", "other", "no-wait")
    assert other.line().startswith("cpus-busy")
    child("2", "third").line()
    with pytest.raises(HostLimitError):
        held.reserve(a_run(2), talk)
    assert held.reserved is None
