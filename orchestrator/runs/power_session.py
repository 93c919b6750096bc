"""One session of MLCommons' power client, in a container beside the test that it measures twice.

The client runs the test itself in MLCommons' way; here its command asks mlorch for it, so that the test has its own
container and the client's one reaches nothing but its two servers (`host.power_relay`). What it leaves is taken whole
or not at all.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError, StepFailed
from orchestrator.facts.power import LOADGEN, PERFORMANCE, POWER, RANGING, SESSION, TESTING
from orchestrator.host.left_behind import discard, give
from orchestrator.host.power_relay import PowerRelay, Workload
from orchestrator.host.untrusted import UnreadableFile, opened
from orchestrator.runs.console_log import LARGEST_LOG, ConsoleLog, tail
from orchestrator.runs.one_container import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from orchestrator.engines import Engine
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.power import PlannedPower
    from orchestrator.runs.one_container import Followed

LOG = "console-power.log"
LOGS = ("mlperf_log_detail.txt", "mlperf_log_summary.txt")
"""What the client looks for of a test."""
FILES = (
    *(f"{POWER}/{name}" for name in ("client.json", "client.log", "ptd_logs.txt", "server.json", "server.log")),
    *(f"{run}/{name}" for run in (RANGING, TESTING) for name in (*LOGS, "spl.txt")),
    f"{TESTING}/ptd_out.txt",
)
"""What a whole session leaves."""
LARGEST = 1 << 30
"""Bytes of one of them."""
ASK_S, END_S = 240, 900
"""Seconds until the client has to ask for a test, and to end after the last one: its server starts PTDaemon (up to 30 s
each time), waits 10 s before and after each test, and sends what it has."""
GRACE_S, STOP_AGAIN_S = 10, 2.0
_ENDED = object()


class PowerSession:
    """The client's container and what comes out of it; ``folder`` is the run's, ``exchange`` is shared with it."""

    def __init__(
        self, engine: Engine, planned: PlannedPower, folder: Path, exchange: Path, secrets: tuple[str, ...]
    ) -> None:
        self._engine, self._planned, self._folder, self._exchange = engine, planned, folder, exchange
        self._secrets = secrets
        self._news: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._client = _shared(planned.client, exchange)
        self._waiting: Workload | None = None
        self._ended: Followed | None = None
        self._error: BaseException | None = None
        self._lost = ""
        self._phase = "the ranging run"
        self._stop_test: Callable[[], None] = lambda: None

    # -- from its start to its end -------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """The client runs; whatever happens, it has ended after the ``with``."""
        for name in (LOADGEN, SESSION):
            (self._exchange / name).mkdir()
            give(self._exchange / name, self._client.user)
        give(self._exchange, self._client.user)
        relay = PowerRelay(
            self._exchange, self._client.user, self._planned.server, self._news.put, self._server_is_gone
        )
        thread = threading.Thread(target=self._follow, name="power client")
        thread.start()
        try:
            yield
        finally:
            relay.close()
            while thread.is_alive():
                if self._ended is None and self._error is None:
                    with contextlib.suppress(MlorchError):
                        self._engine.stop(self._client.name, grace_s=GRACE_S)
                thread.join(timeout=GRACE_S)

    def wait_for(self, test: str) -> StepFailed | None:
        """Until the client asks for a test (``ranging`` or ``run_1``); why it will not, where it does not."""
        self._phase = "the ranging run" if test == RANGING else "the test"
        asked = self._next(ASK_S)
        if isinstance(asked, Workload):
            self._waiting = asked
            return None
        return self._failure(
            f"before {self._phase}" if asked is _ENDED else f"and did not ask for {self._phase} in time"
        )

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """While a container of the test runs: it is stopped where the power server is gone meanwhile."""
        ended = threading.Event()

        def stop() -> None:
            while not ended.is_set():
                with contextlib.suppress(MlorchError):  # it may not be there yet
                    self._engine.stop(name, grace_s=GRACE_S)
                ended.wait(STOP_AGAIN_S)

        self._stop_test = lambda: threading.Thread(target=stop, daemon=True).start()
        try:
            if self._lost:
                self._stop_test()
            yield
        finally:
            self._stop_test = lambda: None
            ended.set()

    def hand_over(self, test: str, logs: Path) -> StepFailed | None:
        """Give the client the logs of a test that ran to its end, in ``logs``; why that cannot be."""
        assert self._waiting is not None  # it was asked for
        to = self._exchange / LOADGEN / test
        try:
            _copied(logs, to, LOGS)
        except UnreadableFile as error:
            self.refuse()
            return error
        give(to, self._client.user)
        if self._lost:
            self.refuse()
            return self._server_failure()
        self._waiting.answer(done=True)
        return None

    def refuse(self) -> None:
        """Tell the client that the test failed: it ends."""
        if self._waiting is not None:
            self._waiting.answer(done=False)

    def wait_for_end(self) -> StepFailed | None:
        """Until the client has what its server measured; why it has not."""
        ended = self._next(END_S)
        if ended is _ENDED and self._ended is not None and self._ended.exit.exit_code == 0:
            return None
        return self._failure("after the test" if ended is _ENDED else "and did not end after the test")

    def lost(self) -> StepFailed | None:
        """That the server was gone while a test ran; None where it is there."""
        return self._server_failure() if self._lost else None

    def collect(self) -> StepFailed | None:
        """Put what the session left into the run's folder, whole or not at all; why it is not whole."""
        made = self._folder / f".{PERFORMANCE}.new"
        discard(made)
        try:
            _copied(self._exchange / SESSION, made, FILES)
        except OSError:  # a full disk
            discard(made)
            raise
        except UnreadableFile as error:
            discard(made)
            return self._failure(f"and left no whole session: {error.reason}", str(error))
        discard(self._folder / PERFORMANCE)
        made.rename(self._folder / PERFORMANCE)
        return None

    # -- inside --------------------------------------------------------------------------------

    def _follow(self) -> None:
        def console(stream: TextIO) -> ConsoleLog:
            return ConsoleLog(
                stream=stream, secrets=self._secrets, on_event=None, on_line=lambda _text: None, largest=LARGEST_LOG
            )

        try:
            self._ended = follow(self._engine, self._client, self._folder / LOG, console)
        except BaseException as error:  # noqa: BLE001 (raised by whoever waits for it)
            self._error = error
        self._news.put(_ENDED)

    def _server_is_gone(self, why: str) -> None:
        if not self._lost:
            self._lost = why
            self._stop_test()

    def _next(self, limit_s: float) -> object:
        """What the client does next: a `Workload`, `_ENDED`, or None where it is nothing in time. Raises its error."""
        until = time.monotonic() + limit_s
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                found = self._news.get(timeout=min(left, 1.0))
                if found is _ENDED and self._error is not None:
                    raise self._error
                return found
        return None

    def _failure(self, when: str, more: str = "") -> StepFailed:
        if self._lost:
            return self._server_failure()
        log = self._folder / LOG
        how = "runs" if self._ended is None else f"ended with {self._ended.exit.exit_code}"
        return StepFailed(
            f"MLCommons' power client {how} {when}",
            hint=f"{more + '; ' if more else ''}its log, {log}, says why",
            slug="power-client",
            detail=tail(log),
        )

    def _server_failure(self) -> StepFailed:
        return StepFailed(
            f"the power server {self._planned.server.address} {self._lost} ({self._phase})",
            hint=f"look at the director's log; what the client heard is in {self._folder / LOG}",
            slug="power-server",
        )


def _shared(client: ContainerSpec, exchange: Path) -> ContainerSpec:
    """The client's container with the folder that it shares now, in the place of the one that was planned."""
    from dataclasses import replace

    (mount,) = client.mounts
    return replace(client, mounts=(replace(mount, source=str(exchange)),))


def _copied(source: Path, to: Path, names: tuple[str, ...]) -> None:
    """Copies of files below ``source``, as input: regular and limited. Raises `UnreadableFile` for one that is none."""
    for name in names:
        with opened(source, name, LARGEST) as stream:
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                shutil.copyfileobj(stream, out)
        path.chmod(0o644)
