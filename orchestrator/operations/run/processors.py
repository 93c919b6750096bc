"""The processors of a run: what is said of those that were asked for, and the reservation around its tests."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.plan.run.processors import core_advice, require_allowed, whole_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from orchestrator.operations.progress import Talk
    from orchestrator.operations.run.plan import PlannedRun
    from orchestrator.operations.run.prepared import PreparedRun
    from orchestrator.plan.run.workload import RunEnvironment
    from orchestrator.runs.reservation import Reserved


def check_processors(environment: RunEnvironment, talk: Talk) -> None:
    """Refuse processors that cannot be had (`UsageError` [cpus-not-allowed]), and advise on threads of one core."""
    require_allowed(environment.host, environment.cpus)
    advice = core_advice(environment.host, environment.cpus)
    if advice:
        talk.warn(advice)


def processors_of(run: PlannedRun) -> tuple[int, ...]:
    """All processors that the tests of a run are given, and the other threads of their cores."""
    host, idle = run.environment.host, on_idle_host(run)
    first_tests = {planned.plan.benchmark: (planned, cell) for planned, cell in reversed(list(run.tests()))}
    cpus: set[int] = set()
    for planned, cell in first_tests.values():  # all tests of a benchmark have the same processors
        for container in idle.step(planned, cell).containers:
            cpus.update(container.cpus or host.allowed_cpus)  # a container that is not limited uses all
    return whole_cores(host, tuple(sorted(cpus)))


def on_idle_host(run: PlannedRun) -> PlannedRun:
    """The run on this host as if it did nothing else.

    What memory another run has now says nothing of what is free when this one's turn comes.
    """
    host = run.environment.host
    return replace(run, environment=replace(run.environment, host=replace(host, memory_available=host.memory_total)))


class HeldProcessors:
    """Processors that several runs have one after the other: reserved for the first, and had until the block ends.

    So no other mlorch slips in between them, while images of the next are built.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._cpus: tuple[int, ...] = ()
        self.reserved: Reserved | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def reserve(self, prepared: PreparedRun, talk: Talk) -> Reserved:
        """The processors of a run, and those of the runs before it. Raises as `reserve`."""
        from orchestrator.runs.reservation import reserve

        session, wait = prepared.runner.session.name, prepared.request.wait
        wanted = tuple(sorted({*processors_of(prepared), *self._cpus}))
        if self.reserved is None or wanted != self._cpus:
            # All anew and not only what is missing: whoever has some and waits for others may wait for ever.
            self._stack.close()
            self.reserved = None
            held = reserve(wanted, session, wait=wait, say=talk.say, warn=talk.warn)
            self.reserved, self._cpus = self._stack.enter_context(held), wanted
        return self.reserved


@contextmanager
def with_processors(prepared: PreparedRun, talk: Talk, held: HeldProcessors | None = None) -> Iterator[PreparedRun]:
    """The run with its processors reserved for as long as the block lasts, or as ``held`` has them.

    Raises as `reserve`.
    """
    from orchestrator.host.facts import host_facts
    from orchestrator.runs.sweep import sweep_and_warn

    runner = prepared.runner
    with ExitStack() as stack:
        held = held or stack.enter_context(HeldProcessors())
        before, reserved = held.reserved, held.reserve(prepared, talk)
        if reserved is not before and reserved.facts.waited_s:
            # Whom it waited for may have been killed, and its container still run; what was free then is not what is.
            sweep_and_warn(runner.engine, talk.warn)
            prepared = replace(prepared, environment=replace(prepared.environment, host=host_facts()))
        yield replace(prepared, runner=replace(runner, reserved=reserved))
