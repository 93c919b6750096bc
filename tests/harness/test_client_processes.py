"""A client of several processes: what they do between them, and that none is left, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("msgspec")
pytest.importorskip("uvloop")

from endpoint_parts import LIMIT, Heard, talk
from little_servers import STREAM, Script, chunk, event, good, serving

from orchestrator.harness.client.asking import Asking, Target
from orchestrator.harness.client.processes import ClientError

ROOT = Path(__file__).parents[2]


def children() -> set[int]:
    """The client's processes below this one."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"orchestrator.harness.client.process" in words:
            found.add(int(place.name))
    return found


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_answers_come_back_to_the_numbers_that_asked():
    with serving(Script(good)) as first, serving(Script(good)) as second:
        heard = talk((first, second), 40, in_flight=4, processes=3)
    assert heard.error is None
    assert sorted(heard.replies) == list(range(40))
    assert all(reply.tokens == [100, 101, 102, 103] for reply in heard.replies.values())
    assert sorted(heard.firsts) == [(number, [100]) for number in range(40)]
    assert children() == set()


def test_text_comes_back_where_there_are_no_numbers():
    with serving(Script(lambda asked: good(asked, numbers=False))) as url:
        heard = talk(url, 2, processes=2)
    assert (heard.replies[1].tokens, heard.replies[1].text, heard.replies[1].count) == (None, " 0 1 2 3", 4)


def test_no_more_requests_are_under_way_than_were_allowed_to_all_processes_together():
    lock, under, most = threading.Lock(), [0], [0]

    def counted(asked):
        with lock:
            under[0] += 1
            most[0] = max(most[0], under[0])
        time.sleep(0.02)
        with lock:
            under[0] -= 1
        return good(asked)

    with serving(Script(counted)) as url:
        assert talk(url, 30, in_flight=3, processes=2).error is None
    assert most[0] == 3


class _Started:
    """A client of two processes with answers that never end, in a loop of the caller's."""

    def __init__(self, stall_s=120.0):
        self._stall_s = stall_s

    async def __aenter__(self):
        self._never = threading.Event()
        self._serving = serving(Script(self._answer))
        url = self._serving.__enter__()
        self._greeted = False
        self.asking = Asking(Target(urls=(url,), model="small", limit=LIMIT, ready_s=5, stall_s=self._stall_s), 64, 2)
        self.heard = Heard(6)
        abouts = await self.asking.open()
        dialect = await self.asking.agree(abouts, ("tokens",), lambda _: [1, 2, 3])
        self.asking.listen(dialect, lambda _: dialect.body("small", [1, 2, 3], LIMIT), lambda _: 7, self.heard)
        for number in range(6):
            self.asking.submit(number, number)
        while len(self.heard.firsts) < 6:  # noqa: ASYNC110 (it is told in this loop)
            await asyncio.sleep(0.01)
        return self

    def _answer(self, asked):
        if not self._greeted:
            self._greeted = True
            return good(asked)
        return [STREAM, chunk(event("a", 1)), self._never]

    async def __aexit__(self, *_):
        self._never.set()
        await self.asking.close()
        self._serving.__exit__(None, None, None)


def test_a_process_that_is_killed_ends_the_test_with_its_reason():
    async def killed():
        async with _Started() as client:
            there = children()
            assert len(there) == 2
            os.kill(min(there), signal.SIGKILL)
            await asyncio.wait_for(client.heard.over.wait(), 10)
            return client.heard

    heard = asyncio.run(killed())
    assert isinstance(heard.error, ClientError)
    assert "of 2 of the client was killed by SIGKILL" in str(heard.error)
    assert "with 3 requests under way" in str(heard.error)
    assert sorted(heard.lost_ones) == [(number, True) for number in range(6)]
    assert children() == set()


def test_a_process_that_is_stopped_ends_the_test_and_is_ended_with_it(monkeypatch):
    monkeypatch.setattr("orchestrator.harness.client.processes.END_S", 0.5)

    async def stopped():
        async with _Started(stall_s=2.0) as client:
            for pid in children():  # both: one that is left would tell that its server stopped
                os.kill(pid, signal.SIGSTOP)
            await asyncio.wait_for(client.heard.over.wait(), 15)
            return client.heard

    heard = asyncio.run(stopped())
    assert isinstance(heard.error, ClientError)
    assert "of 2 of the client did nothing for" in str(heard.error)
    assert children() == set()


def test_a_process_with_a_fault_of_its_own_ends_the_test_and_says_what(capfd):
    async def broken():
        async with _Started() as client:
            client.asking._processes._all[1].channel.send("no message")
            await asyncio.wait_for(client.heard.over.wait(), 10)
            return client.heard

    heard = asyncio.run(broken())
    assert "process 2 of 2 of the client ended with 70" in str(heard.error)
    assert "ValidationError" in capfd.readouterr().err
    assert children() == set()


PARENT = """
import asyncio, sys
sys.path[:0] = [PATHS]
from test_client_processes import _Started, children
async def stay():
    async with _Started():
        print(*children(), flush=True)
        await asyncio.sleep(60)
asyncio.run(stay())
"""


def test_a_client_that_is_killed_leaves_no_process():
    paths = f"{str(ROOT)!r}, {str(ROOT / 'tests')!r}, {str(Path(__file__).parent)!r}"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("PATHS", paths)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    left = [int(word) for word in parent.stdout.readline().split()]
    assert len(left) == 2
    parent.kill()
    parent.wait()
    until = time.monotonic() + 10
    while any(map(is_there, left)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_there, left))
    parent.stdout.close()


def test_a_process_that_ends_as_it_starts_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with serving(Script(good)) as url, pytest.raises(ClientError, match="process 1 of 2 of the client ended with 1"):
        talk(url, processes=2)


def test_a_process_that_cannot_be_started_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    with serving(Script(good)) as url, pytest.raises(ClientError, match="cannot be started"):
        talk(url, processes=2)
