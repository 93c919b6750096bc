"""A test measured with power: clocks compared, the test twice for MLCommons' power client, its session checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import StepFailed
from orchestrator.facts.containers import ARTIFACTS, RECORD, RESULTS
from orchestrator.facts.power import MOST_APART_S, RANGING, TESTING
from orchestrator.host.left_behind import discard, give, take_back
from orchestrator.host.other_clocks import ntp_clock, power_server_clock
from orchestrator.host.scratch import scratch_folder
from orchestrator.results.power import CHECK_LOG
from orchestrator.runs.console_log import LOG, tail
from orchestrator.runs.ended import Ended
from orchestrator.runs.power_session import PowerSession
from orchestrator.runs.step_mounts import with_artifacts
from orchestrator.runs.time_limits import timeout_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.engines import Engine
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.power import Clock, PlannedPower, PowerServer
    from orchestrator.facts.runs import RunStep
    from orchestrator.runs.one_container import Followed

RANGING_LOG = "console-ranging.log"
SETTINGS = "settings.json"


class Follow(Protocol):
    """Runs a container of the test to its end; ``counts`` says that its phases are those of the test itself."""

    def __call__(self, container: ContainerSpec, log: Path, *, counts: bool) -> Followed: ...


def measure_with_power(
    step: RunStep,
    container: ContainerSpec,
    folder: Path,
    engine: Engine,
    secrets: tuple[str, ...],
    say: Callable[[str], None],
    follow: Follow,
) -> Ended:
    """The ranging run and the test; ``container`` is the test's, with what it was lent. Raises as the engine does."""
    planned = step.power
    assert planned is not None  # whoever measures with power has it planned
    try:
        clocks = _agreeing_clocks(planned.server)
    except StepFailed as refused:
        return Ended(exit=None, left={}, error=refused)
    (shared,) = planned.client.mounts
    with scratch_folder(Path(shared.source).parent, "session-") as exchange:
        session = PowerSession(engine, planned, folder, exchange, secrets)
        run = _Run(step, planned, container, folder, session, say, follow)
        with session.running():
            test, error = run.both()
            error = error or session.wait_for_end()
        if error is None:
            error = session.collect()
    if error is None:
        discard(folder / RANGING)  # its logs are in the session
        say("checking the session by MLCommons' check.py")
        error = _checked(planned, folder, follow)
    ended = Ended(exit=None, left={}, error=error, clocks=clocks)
    return ended if test is None else replace(ended, exit=test.exit, deployed=test.deployed)


def _agreeing_clocks(server: PowerServer) -> tuple[Clock, ...]:
    """The clocks, which are compared and never set. Raises `StepFailed`: [power-server], [power-clock]."""
    clocks = (
        ntp_clock(server.ntp_host, server.ntp_port, server.ntp_address),
        power_server_clock(server.host, server.port, server.address),
    )
    for clock in clocks:
        if not clock.agrees:
            way = "ahead of" if clock.ahead_s > 0 else "behind"
            raise StepFailed(
                f"the clock of {clock.of} is {abs(clock.ahead_s):.3f} s {way} this host's; "
                f"{MOST_APART_S:g} s are the most by which they may differ",
                hint="have chrony or ntpd set both by one time server; mlorch sets no clock",
                slug="power-clock",
            )
    return clocks


@dataclass(frozen=True, slots=True)
class _Run:
    """The two runs of one session."""

    step: RunStep
    planned: PlannedPower
    container: ContainerSpec
    folder: Path
    session: PowerSession
    say: Callable[[str], None]
    follow: Follow

    def both(self) -> tuple[Followed | None, StepFailed | None]:
        """The test, and why it or what came before it is no measurement with power."""
        artifacts = next(mount.source for mount in self.container.mounts if mount.target == ARTIFACTS)
        ranging = with_artifacts(self.planned.ranging, artifacts)
        own = Path(next(mount.source for mount in ranging.mounts if mount.target == RESULTS))
        _prepare(own, self.folder, ranging.user)
        _, error = self._one(RANGING, ranging, own, self.folder / RANGING_LOG)
        if error is not None:
            return None, error
        return self._one(TESTING, self.container, self.folder, self.folder / LOG)

    def _one(
        self, test: str, container: ContainerSpec, logs: Path, log: Path
    ) -> tuple[Followed | None, StepFailed | None]:
        self.say("waiting for the power server" if test == RANGING else "waiting for the power server, after ranging")
        error = self.session.wait_for(test)
        if error is not None:
            return None, error
        self.say("ranging: the test as it will be, to find the analyser's ranges" if test == RANGING else "testing")
        with self.session.watched(container.name):
            followed = self.follow(container, log, counts=test == TESTING)
        error = self.session.lost() or timeout_failure(self.step, followed, log) or _failed(test, followed, log)
        if error is not None:
            self.session.refuse()
            return followed, error
        take_back(logs if test == RANGING else self.folder, self.step.results_owner)
        return followed, self.session.hand_over(test, logs)


def _prepare(own: Path, folder: Path, user: str) -> None:
    """The folder of the ranging run: the same settings, and a place for the record, which is mounted over it."""
    own.mkdir()
    for name, text in ((SETTINGS, (folder / SETTINGS).read_text(encoding="utf-8")), (RECORD, "")):
        (own / name).write_text(text, encoding="utf-8")
        (own / name).chmod(0o644)
    give(own, user)


def _failed(test: str, followed: Followed, log: Path) -> StepFailed | None:
    """Why there is nothing to hand over after the ranging run; of the test itself its own end is judged as ever."""
    if followed.exit.exit_code == 0:
        return None
    what = "ranging run" if test == RANGING else "test"
    return StepFailed(
        f"the {what} ended with status {followed.exit.exit_code}, so no power was measured",
        hint=f"the whole log is in {log}",
        slug="harness-failed",
        detail=tail(log),
    )


def _checked(planned: PlannedPower, folder: Path, follow: Follow) -> StepFailed | None:
    """Have MLCommons' check.py judge the session; a session that it does not take is no failure, one unjudged is."""
    from orchestrator.results.power import checks_of

    log = folder / CHECK_LOG
    discard(log)  # the test may have put something there
    ended = follow(planned.check, log, counts=False)
    if checks_of(folder):
        return None
    return StepFailed(
        f"MLCommons' check.py judged nothing: its container ended with {ended.exit.exit_code}",
        hint=f"{log} has all that it printed",
        slug="power-check",
        detail=tail(log),
    )
