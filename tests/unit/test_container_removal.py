"""Containers are removed whatever happens: beside other work where they ended, at once where they did not."""

from __future__ import annotations

import threading

import pytest

from orchestrator.engines.containers import Removals, removed_after
from orchestrator.errors import EngineError


class Engine:
    """Stops and removes; a removal waits until `go` is set."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.go = threading.Event()
        self.go.set()

    def stop(self, container: str, grace_s: int = 10) -> None:
        self.done.append(("stop", container))

    def remove(self, container: str) -> None:
        self.go.wait(10)
        self.done.append(("remove", container))


def test_a_container_that_ended_is_removed_while_the_caller_goes_on():
    engine, removals = Engine(), Removals()
    engine.go.clear()
    with removed_after(engine, "c", removals):
        pass
    assert engine.done == [], "the caller goes on before it is gone"
    engine.go.set()
    removals.wait()
    assert engine.done == [("remove", "c")]


def test_a_name_is_free_once_its_container_is_gone():
    engine, removals = Engine(), Removals()
    for container in ("c1", "c2"):
        removals.wait("name")
        assert engine.done == ([] if container == "c1" else [("remove", "c1")])
        with removed_after(engine, container, removals, name="name"):
            pass
    removals.wait()


@pytest.mark.parametrize("removals", [None, Removals()])
def test_a_container_that_did_not_end_is_stopped_and_removed_before_the_error_is_seen(removals):
    engine = Engine()
    with pytest.raises(KeyboardInterrupt), removed_after(engine, "c", removals):
        raise KeyboardInterrupt
    assert engine.done == [("stop", "c"), ("remove", "c")]


def test_an_engine_that_is_gone_at_the_end_spoils_nothing(capsys):
    class Gone(Engine):
        def remove(self, container: str) -> None:
            raise EngineError("gone", slug="engine-lost")

    removals = Removals()
    with removed_after(Gone(), "c", removals):
        pass
    removals.wait()
    with removed_after(Gone(), "c"):
        pass
    assert capsys.readouterr().err == ""
