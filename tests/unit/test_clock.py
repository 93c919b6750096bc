"""The wall clock jumps by hours while something runs: durations, order and what is remembered stay what they are."""

from __future__ import annotations

import time

import pytest

from orchestrator.harness.sut import Tally
from orchestrator.host import model_files
from orchestrator.host.clock import now, stamp

HOURS = 3 * 3600


@pytest.fixture(params=[-HOURS, HOURS], ids=["back", "forward"])
def jump(request, monkeypatch):
    """Sets the wall clock, when it is called."""

    def set_clock():
        real, real_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: real() + request.param)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + request.param * 10**9)

    return set_clock


def test_a_test_takes_as_long_as_it_takes_and_comes_after_the_one_before(jump):
    before, name = now(), stamp()
    assert abs(before.unix_ns - time.time_ns()) < 10**9 * 60
    jump()
    after = now()
    assert 0 <= after.unix_ns - before.unix_ns < 60 * 10**9
    assert stamp()[:13] == name[:13] or stamp() > name
    assert stamp() >= name


def test_what_is_left_of_a_test_inside_is_counted_by_no_wall_clock(jump):
    pool = Tally(1, lambda _error: None)
    assert pool.seconds == 0
    pool.begin()
    jump()
    assert 0 <= pool.seconds < 60


def test_a_model_that_is_newer_than_the_clock_says_is_hashed_once(jump, tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    (tmp_path / "model.onnx").write_bytes(b"x")
    read = []
    facts = model_files.FileFacts(sha256="a" * 64, size=1, inputs=(), outputs=())
    monkeypatch.setattr(model_files, "_read", lambda *_: read.append(1) or facts)
    jump()
    assert model_files.look(tmp_path, "model.onnx") == model_files.look(tmp_path, "model.onnx") == facts
    assert read == [1]
