"""The containers beside a client: started stage by stage, watched while it measures, and ended.

One container holds the network namespace and asks the servers whether they are there (`mlorch_harness.probes`); the
servers and the client are in that namespace, which has a loopback device and nothing else. A server that ends while
the client measures ends the test; one that stops answering makes it INVALID. Where the recipe wants it they stay for
the next test (`kept_servers`).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError, StepFailed
from orchestrator.facts.neutral import neutral
from orchestrator.facts.record import RoleFact
from orchestrator.facts.roles import NULL_SERVER, PROBES, SERVES, log_of_role
from orchestrator.runs.console_log import LARGEST_LOG, ConsoleLog, tail
from orchestrator.runs.deployed import Observation, observed
from orchestrator.runs.failures import out_of_memory
from orchestrator.runs.role_logs import MovingLog
from orchestrator.runs.sweep import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.engines import ContainerExit, Engine
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.roles import PlannedRole, PlannedRoles

OWN_S = 60
"""Seconds until a container of mlorch's own has to be there."""
GRACE_S = 10
"""Seconds that a server has to end after it was asked to."""
SETTLE_S = 1.0
_LONGEST_WHY = 300


@dataclass(slots=True)
class _Running:
    """One container in a thread of its own: how it ended, or what the engine said in its place."""

    name: str
    spec: ContainerSpec
    thread: threading.Thread | None = None
    began: float = 0.0
    ready_s: float | None = None
    exit: ContainerExit | None = None
    error: BaseException | None = None
    faults: list[str] = field(default_factory=list)
    missed: int = 0
    look: Observation = field(default_factory=Observation)
    log: MovingLog | None = None

    @property
    def ended(self) -> bool:
        return self.exit is not None or self.error is not None


class Servers:
    """What runs beside one client. ``on_gone`` is called once, from any thread, when a server ends too early."""

    def __init__(
        self,
        engine: Engine,
        roles: PlannedRoles,
        folder: Path,
        secrets: tuple[str, ...],
        say: Callable[[str], None],
    ) -> None:
        """``folder`` is the first test's, under its id."""
        self.roles, self.by = roles, folder.name
        self._engine, self._folder, self._secrets, self._say = engine, folder, secrets, say
        self._running: dict[str, _Running] = {}
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._measuring = False
        self._on_gone: Callable[[], None] | None = None
        self._held = False
        self.gone: StepFailed | None = None
        """Why the test has no result: the first server that ended while the client measured."""
        self.may_stay = False
        """The test did its work, so that the next one may have these servers as well."""

    # -- what the caller does -----------------------------------------------------------------

    @contextmanager
    def started(self) -> Iterator[None]:
        """The namespace, until the end of the ``with``; whatever was started is ended then, the last one first."""
        try:
            self.begin()
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """The namespace; `end` has to follow, also where this raises `StepFailed` (`not-ready`, `role-ended`)."""
        probes = self._start(PROBES, self.roles.probes, on_event=self._probed)
        self._wait(lambda: self._held, probes, "hold the network namespace", OWN_S)

    def measure_ceiling(
        self, null: ContainerSpec, ceiling: ContainerSpec, follow: Callable[[ContainerSpec], ContainerExit]
    ) -> None:
        """What the client reaches against a server that answers at once. Raises `StepFailed` where it is not known."""
        self._say("measuring what the client reaches against a server that answers at once")
        running = self._start(NULL_SERVER, null, on_line=self._serves)
        self._wait(lambda: running.ready_s is not None, running, "serve", OWN_S)
        ended = follow(ceiling)
        if ended.exit_code != 0:
            raise StepFailed(
                f"the client's ceiling could not be measured: its container ended with {ended.exit_code}",
                slug="ceiling",
            )
        self._stop(running)

    def start_servers(self) -> None:
        """Those that are not there yet: every stage when the one before is ready. Raises `role-ended`, `not-ready`."""
        if self.are_started:
            return
        for stage in sorted({role.stage for role in self.roles.servers}):
            roles = [role for role in self.roles.servers if role.stage == stage]
            started = [self._start(role.name, role.container) for role in roles]
            for role, running in zip(roles, started, strict=True):
                self._say(f"waiting for {role.name}")
                self._wait_ready(role, running)

    @contextmanager
    def watched(self, on_gone: Callable[[], None]) -> Iterator[None]:
        """While the client runs: ``on_gone`` is called where a server ends, and `gone` says why."""
        with self._lock:
            self._measuring, self._on_gone = True, on_gone
            ended = [one for one in self._running.values() if one.ended and self._is_server(one)]
        for one in ended:
            self._note_end(one)
        try:
            yield
        finally:
            with self._lock:
                self._measuring = False

    def wait_for_end(self) -> None:
        """A client that failed may have heard of a server's end before the engine did: give that a moment."""
        until = time.monotonic() + SETTLE_S
        while self.gone is None and time.monotonic() < until:
            time.sleep(0.05)

    # -- from test to test --------------------------------------------------------------------

    @property
    def are_started(self) -> bool:
        return any(role.name in self._running for role in self.roles.servers)

    @property
    def well(self) -> bool:
        """Whether all are there and none had a fault in the last test."""
        names = (PROBES, *(role.name for role in self.roles.servers))
        found = [self._running.get(name) for name in names]
        return self.gone is None and all(one is not None and not one.ended and not one.faults for one in found)

    def leave(self) -> None:
        """The test is over, and they stay: its folder does not change any more."""
        for running in self._running.values():
            if running.log is not None:
                running.log.leave()

    def go_on(self, folder: Path, say: Callable[[str], None]) -> None:
        """For the next test, whose folder this is. Raises `OSError` where their logs cannot go on there."""
        self._folder, self._say = folder, say
        for running in self._running.values():
            running.missed = 0
            if running.log is not None:
                running.log.go_on(folder / log_of_role(running.name))

    def facts(self) -> tuple[RoleFact, ...]:
        """What became of each server, for the record."""
        found = []
        ids = self._ids()
        for role in self.roles.servers:
            running = self._running.get(role.name)
            if running is None:
                continue
            found.append(
                RoleFact(
                    name=role.name,
                    role=role.role,
                    image=role.container.image,
                    deployed=running.look.deployed,
                    container_id=running.exit.container_id if running.exit else ids.get(role.container.name, ""),
                    exit_code=None if running.exit is None else running.exit.exit_code,
                    out_of_memory=running.exit is not None and running.exit.out_of_memory,
                    ready_s=running.ready_s,
                    missed=running.missed,
                    faults=tuple(running.faults),
                    started_by="" if self._folder.name == self.by else self.by,
                )
            )
        return tuple(found)

    def _ids(self) -> dict[str, str]:
        """The containers that run, by name."""
        if all(running.ended for running in self._running.values()):
            return {}
        with contextlib.suppress(MlorchError):
            return {one.name: one.container_id for one in self._engine.containers(f"{RUN_LABEL}={self.by}")}
        return {}

    # -- one container ------------------------------------------------------------------------

    def _start(
        self,
        name: str,
        spec: ContainerSpec,
        on_event: Callable[[Mapping[str, object]], None] | None = None,
        on_line: Callable[[_Running, str], None] = lambda *_: None,
    ) -> _Running:
        running = _Running(name=name, spec=spec, began=time.monotonic())
        self._running[name] = running
        running.thread = threading.Thread(target=self._follow, args=(running, on_event, on_line), name=name)
        running.thread.start()
        return running

    def _follow(
        self,
        running: _Running,
        on_event: Callable[[Mapping[str, object]], None] | None,
        on_line: Callable[[_Running, str], None],
    ) -> None:
        try:
            running.log = MovingLog(self._folder / log_of_role(running.name))
            with contextlib.closing(running.log):
                console = ConsoleLog(
                    stream=running.log,
                    secrets=self._secrets,
                    on_event=on_event,
                    on_line=lambda text: on_line(running, text),
                    largest=LARGEST_LOG,
                )
                with observed(self._engine, running.spec) as running.look:
                    running.exit = self._engine.run(running.spec, console.line)
        except BaseException as error:  # noqa: BLE001 (raised by whoever waits for it)
            running.error = error
        self._note_end(running)
        self._news.put(None)

    def _note_end(self, running: _Running) -> None:
        """A server that ended while the client measures, or the namespace's own container."""
        with self._lock:
            if not self._measuring or self.gone is not None:
                return
            self.gone = self._too_early(running, "while the client measured")
            running.faults.append(self.gone.message)
            on_gone = self._on_gone
        if on_gone is not None:
            on_gone()

    def _is_server(self, running: _Running) -> bool:
        return running.name == PROBES or any(role.name == running.name for role in self.roles.servers)

    def _stop(self, running: _Running) -> None:
        """Ask it to end, and wait until it is gone."""
        while running.thread is not None and running.thread.is_alive():
            with contextlib.suppress(MlorchError):  # an engine that is gone is told by whoever asks it next
                self._engine.stop(running.spec.name, grace_s=GRACE_S)
            running.thread.join(timeout=GRACE_S)

    def end(self) -> None:
        """End whatever was started, the last one first."""
        with self._lock:
            self._measuring = False
        for running in reversed(list(self._running.values())):
            self._stop(running)

    # -- waiting ------------------------------------------------------------------------------

    def _wait_ready(self, role: PlannedRole, running: _Running) -> None:
        whose = "`probe.startup_s` of its server's recipe is the limit; "
        self._wait(lambda: running.ready_s is not None, running, "answer", role.probe.startup_s, whose)

    def _wait(
        self, there: Callable[[], bool], running: _Running, what: str, limit_s: float, whose_limit: str = ""
    ) -> None:
        """Until ``there``, for ``limit_s`` seconds. Raises what the engine said, or `StepFailed`."""
        until = time.monotonic() + limit_s
        while not there():
            if running.error is not None:
                raise running.error
            if running.exit is not None:
                raise self._too_early(running, "before it was ready")
            probes = self._running[PROBES]
            if probes.ended:
                raise probes.error or self._too_early(probes, f"before {running.name} was ready")
            left = until - time.monotonic()
            if left <= 0:
                log = self._folder / log_of_role(running.name)
                raise StepFailed(
                    f"`{running.name}` did not {what} within {limit_s:g} s",
                    hint=f"{whose_limit}the whole log is in {log}",
                    slug="not-ready",
                    detail=tail(log),
                )
            with contextlib.suppress(queue.Empty):
                self._news.get(timeout=min(left, 1.0))

    def _too_early(self, running: _Running, when: str) -> StepFailed:
        log = self._folder / log_of_role(running.name)
        ended = running.exit
        if ended is not None and ended.out_of_memory:
            return out_of_memory(
                f"`{running.name}` was killed {when}", running.spec.memory or 0, "the role fewer streams", log
            )
        how = f"with {ended.exit_code}" if ended is not None else f"({running.error})"
        return StepFailed(
            f"`{running.name}` ended {how} {when}",
            hint=f"the whole log is in {log}",
            slug="role-ended",
            detail=tail(log),
        )

    # -- what the probes say, and the null server ---------------------------------------------

    def _serves(self, running: _Running, line: str) -> None:
        if line.startswith(SERVES):
            running.ready_s = round(time.monotonic() - running.began, 3)
            self._news.put(None)

    def _probed(self, event: Mapping[str, object]) -> None:
        kind, name = event.get("event"), event.get("name")
        if kind == "holding":
            self._held = True
        running = self._running.get(name) if isinstance(name, str) else None
        if running is not None:
            self._told(running, str(kind), event)
        self._news.put(None)

    def _told(self, running: _Running, kind: str, event: Mapping[str, object]) -> None:
        why = neutral(str(event.get("why", "")))[:_LONGEST_WHY]
        with self._lock:
            if kind == "ready":
                running.ready_s = round(time.monotonic() - running.began, 3)
            elif kind == "missed" and self._measuring:
                running.missed += 1
            elif kind == "unhealthy" and self._measuring:
                running.faults.append(f"`{running.name}` failed its probe while the client measured: {why}")
