"""A container that is stopped though its engine fails to at first."""

from __future__ import annotations

import threading

from orchestrator.engines import stopper
from orchestrator.engines.stopper import Stopper
from orchestrator.errors import EngineError
from orchestrator.facts.runs import TimeLimit


def test_an_engine_that_cannot_stop_a_container_at_first_is_asked_again(monkeypatch):
    monkeypatch.setattr(stopper, "_AGAIN_S", 0.01)
    stopped, asked = threading.Event(), []

    class Engine:
        def stop(self, name):
            asked.append(name)
            if len(asked) < 3:
                raise EngineError("it is busy", slug="engine-lost")
            stopped.set()

    one = Stopper(Engine(), "c", TimeLimit(total_s=0.01, silence_s=None))
    with one.running():
        assert stopped.wait(5)
    assert asked[:3] == ["c", "c", "c"]
