"""The containers of one test from start to end: one of our own harness, or the steps of somebody else's."""

from __future__ import annotations

import contextlib
import stat
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.assets.trees import alone, find_tree, making
from orchestrator.errors import AssetError, MlorchError, StepFailed
from orchestrator.facts.containers import ARTIFACTS
from orchestrator.facts.record import StepFact
from orchestrator.facts.roles import CEILING, log_of_role
from orchestrator.host.left_behind import discard, give, take_over
from orchestrator.host.untrusted import UnreadableFile
from orchestrator.results.examples import FILE as EXAMPLES
from orchestrator.results.measure import ACCURACY
from orchestrator.runs.artifacts import lent
from orchestrator.runs.console_log import ACCURACY_LOG, LARGEST_LOG, LOG, ConsoleLog, tail
from orchestrator.runs.deployed import looked_at
from orchestrator.runs.external import Output, log_of, unmet
from orchestrator.runs.failures import explanation
from orchestrator.runs.kept_servers import KeptServers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchestrator.engines import ContainerExit, Engine
    from orchestrator.facts.containers import ContainerSpec, Deployed
    from orchestrator.facts.external import ExternalRun, PlannedArtifact, PlannedStep
    from orchestrator.facts.record import RoleFact
    from orchestrator.facts.runs import RunStep
    from orchestrator.runs.ceilings import Ceilings
    from orchestrator.runs.roles import Servers
    from orchestrator.runs.runner import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The containers of a test that ran to their end; ``left`` is what was done to its artefacts, by file.

    Of an external harness ``output`` is what its steps printed, ``steps`` what ran, and ``error`` why a step did not
    do its work; ``exit`` is then the one of the LoadGen test, or of the step before it that failed. Where the servers
    of a client were not ready there is none, and ``error`` says why.
    """

    exit: ContainerExit | None
    left: Mapping[str, str]
    output: Output | None = None
    deployed: Deployed | None = None
    steps: tuple[StepFact, ...] = ()
    error: StepFailed | None = None

    @property
    def did_its_work(self) -> bool:
        return self.error is None and self.exit is not None and self.exit.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    exit: ContainerExit
    seconds: float
    timed_out: bool
    deployed: Deployed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Runs the containers of one test on one engine; ``secrets`` are taken out of what they print.

    ``roles`` has what became of the servers beside a client, also where the run is cut short.
    """

    engine: Engine
    watcher: Watcher
    secrets: tuple[str, ...]
    kept: KeptServers = field(default_factory=KeptServers)
    ceilings: Ceilings | None = None
    roles: list[RoleFact] = field(default_factory=list)

    def run(self, step: RunStep, folder: Path) -> Ended:
        """Every container of the test, one after the other; what they print goes to logs in ``folder``.

        Raises what the engine raises; a step that fails ends the test and is told in `Ended`.
        """
        with lent(step.container, step.results_owner) as artifacts:
            for text in artifacts.warnings:
                self.watcher.line(step, text)
            if step.external is None and step.roles is not None:
                ended = self._served(step, artifacts.container, folder)
            elif step.external is None:
                followed = self._follow(step, artifacts.container, folder / LOG)
                error = self._scored(step, followed, folder)
                ended = Ended(exit=followed.exit, left={}, deployed=followed.deployed, error=error)
            else:
                source = next(mount.source for mount in artifacts.container.mounts if mount.target == ARTIFACTS)
                ended = self._steps(step, step.external, folder, source)
            artifacts.keep = ended.did_its_work
        return replace(ended, left=artifacts.left)

    def _served(self, step: RunStep, client: ContainerSpec, folder: Path) -> Ended:
        """A client and its servers. A server that is not ready, or ends too early, is told in `Ended`."""
        test: _Followed | None = None
        error: StepFailed | None = None
        with self._beside(step, folder) as servers:
            try:
                self._measure_ceiling(step, servers, folder)
                with self._watched(servers, client):
                    test = self._follow(step, client, folder / LOG)
                    if test.exit.exit_code != 0:
                        servers.wait_for_end()
                error = servers.gone
                servers.may_stay = error is None and test.exit.exit_code == 0
            except StepFailed as failed:
                error = failed
        if test is None:
            return Ended(exit=None, left={}, error=error)
        return Ended(exit=test.exit, left={}, deployed=test.deployed, error=error or self._scored(step, test, folder))

    @contextmanager
    def _beside(self, step: RunStep, folder: Path) -> Iterator[Servers]:
        """The servers of a test in their namespace; what became of them is in `roles` afterwards."""
        servers: Servers | None = None
        assert step.roles is not None  # whoever has servers has roles

        def say(text: str) -> None:
            self._say(step, text)

        try:
            with self.kept.for_test(self.engine, step.roles, folder, self.secrets, say) as servers:
                servers.may_stay = False
                yield servers
        finally:
            if servers is not None:
                self.roles.extend(servers.facts())

    @contextmanager
    def _watched(self, servers: Servers, client: ContainerSpec) -> Iterator[None]:
        """The servers are there, and where one ends meanwhile the client is stopped. Raises as `start_servers`."""
        if not servers.are_started:
            servers.start_servers()
        with servers.watched(_Limit(self.engine, client.name, None).stop):
            yield

    def _measure_ceiling(self, step: RunStep, servers: Servers, folder: Path) -> None:
        """What the client reaches by itself, for `ceiling.json`; a figure of a while ago where there is one."""
        roles = step.roles
        if roles is None or roles.null_server is None or roles.ceiling is None:
            return
        if self.ceilings is not None:
            told = self.ceilings.put(step, folder)
            if told:
                self._say(step, told)
                return
        servers.measure_ceiling(
            roles.null_server, roles.ceiling, lambda spec: self._follow(step, spec, folder / log_of_role(CEILING)).exit
        )
        if self.ceilings is not None:
            self.ceilings.keep(step, folder)

    def _scored(self, step: RunStep, test: _Followed, folder: Path) -> StepFailed | None:
        """Count the accuracy of a test that ran to its end, where a container of its own does; why it could not be."""
        if step.scoring is None or test.exit.exit_code != 0:
            return None
        for name in (ACCURACY, EXAMPLES):  # only what is counted now is believed
            discard(folder / name)
        self._say(step, "counting the accuracy")
        followed = self._follow(step, step.scoring, folder / ACCURACY_LOG)
        if followed.exit.exit_code == 0:
            return None
        return StepFailed(
            f"the accuracy could not be counted: its container ended with {followed.exit.exit_code}",
            hint=f"{folder / ACCURACY_LOG} has all that it said",
            detail=tail(folder / ACCURACY_LOG),
            slug="accuracy-failed",
        )

    # -- somebody else's harness ---------------------------------------------------------------

    def _steps(self, step: RunStep, external: ExternalRun, folder: Path, artifacts: str) -> Ended:
        output = Output(run=external)
        facts: list[StepFact] = []
        test: _Followed | None = None
        error: StepFailed | None = None
        for number, planned in enumerate(external.steps, 1):
            moved = replace(planned, container=_with_artifacts(planned.container, artifacts))
            self._say(step, f"step {planned.name}")
            followed: _Followed | None = None
            try:
                followed = self._carried_out(step, moved, folder, output)
            except _StepEnded as ended:
                error, followed = ended.error, ended.followed
                if followed is None:  # its servers were never there
                    return Ended(exit=None, left={}, output=output, steps=tuple(facts), error=error)
            if followed is not None and error is None:
                error = _moved(planned, external.steps[number:], folder, Path(artifacts))
            facts.append(_fact(planned, followed))
            if followed is not None and (test is None or planned.role == "run" or error is not None):
                test = followed
            if error is not None:
                break
        assert test is not None  # a program has a LoadGen test, or a step before it failed
        return Ended(
            exit=test.exit,
            left={},
            deployed=test.deployed,
            output=output,
            steps=tuple(facts),
            error=error,
        )

    def _carried_out(self, step: RunStep, planned: PlannedStep, folder: Path, output: Output) -> _Followed | None:
        """One step as its role wants it; None where what it makes is there. Raises `_StepEnded`."""
        if planned.artifact is not None:
            return self._made(step, planned, planned.artifact, folder, output)
        if planned.role == "run" and step.roles is not None:
            return self._client(step, planned, folder, output)
        return self._one(step, planned, folder, output)

    def _one(self, step: RunStep, planned: PlannedStep, folder: Path, output: Output) -> _Followed:
        """One step; raises `_StepEnded` where it did not do its work."""
        discard(folder / log_of(planned))  # an earlier step may have put something there
        followed = self._follow(
            step,
            planned.container,
            folder / log_of(planned),
            judge=lambda text: output.line(planned.name, text),
            limit_s=planned.timeout_s,
        )
        error = _failure(output.run, planned, followed, output, folder)
        if error is not None:
            raise _StepEnded(error, followed)
        return followed

    def _client(self, step: RunStep, planned: PlannedStep, folder: Path, output: Output) -> _Followed:
        """The LoadGen test of a program beside its servers; raises `_StepEnded` where one does not do its work."""
        followed: _Followed | None = None
        with self._beside(step, folder) as servers:
            try:
                with self._watched(servers, planned.container):
                    followed = self._one(step, planned, folder, output)
            except StepFailed as failed:
                raise _StepEnded(failed, None) from None
            except _StepEnded as ended:
                servers.wait_for_end()
                if servers.gone is not None:
                    raise _StepEnded(servers.gone, ended.followed) from None
                raise
            if servers.gone is not None:
                raise _StepEnded(servers.gone, followed)
            servers.may_stay = True
        return followed

    def _made(
        self, step: RunStep, planned: PlannedStep, artifact: PlannedArtifact, folder: Path, output: Output
    ) -> _Followed | None:
        """Run a step whose artefact is not there; None where it is, or another process made it meanwhile."""
        path = Path(artifact.path)
        if find_tree(path) is not None:
            self._say(step, f"step {planned.name}: made before with the same inputs; used again")
            return None

        def waiting() -> None:
            self._say(step, f"step {planned.name}: another mlorch makes this; waiting for it")

        with alone(path, on_wait=waiting):
            if find_tree(path) is not None:
                return None
            followed: _Followed | None = None
            try:
                with making(path, path.parents[1] / "quarantine", lambda _name: True, _require(artifact)) as made:
                    give(made / "out", planned.container.user)
                    container = _made_in(planned.container, artifact, made / "out")
                    followed = self._one(step, replace(planned, container=container), folder, output)
                    take_over(made / "out", step.results_owner)
            except (AssetError, UnreadableFile) as error:
                if followed is None:
                    raise
                raise _StepEnded(error, followed) from None
        return followed

    def _say(self, step: RunStep, text: str) -> None:
        """What mlorch itself does, between the lines of the program."""
        self.watcher.event(step, {"event": "log", "text": text})

    # -- one container -------------------------------------------------------------------------

    def _follow(
        self,
        step: RunStep,
        container: ContainerSpec,
        log: Path,
        *,
        judge: Callable[[str], bool] | None = None,
        limit_s: int | None = None,
    ) -> _Followed:
        """Run one container to its end; it is stopped after ``limit_s`` seconds, and where ``judge`` has enough."""
        clock = _Limit(self.engine, container.name, limit_s)
        started = time.monotonic()
        with log.open("x", encoding="utf-8") as stream, clock.running():
            console = ConsoleLog(
                stream=stream,
                secrets=self.secrets,
                on_event=None if step.external is not None else lambda event: self.watcher.event(step, event),
                on_line=lambda text: self.watcher.line(step, text),
                largest=LARGEST_LOG,
            )

            def on_line(raw: str) -> None:
                try:
                    console.line(raw)
                except OSError as exc:  # explained here, as the engine would take it for trouble of its own
                    raise explanation(exc, log.parent) from exc
                if judge is not None and judge(raw.rstrip("\r\n")):
                    clock.stop()

            with looked_at(self.engine, container) as look:
                ended = self.engine.run(container, on_line)
        seconds = time.monotonic() - started
        return _Followed(exit=ended, seconds=seconds, timed_out=clock.timed_out, deployed=look.deployed)


class _StepEnded(Exception):
    """A step ended and did not do its work; what it left in a folder that was being made is thrown away."""

    def __init__(self, error: StepFailed, followed: _Followed | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.followed = followed


class _Limit:
    """Stops a container, by its name, when its time is over or when it is known to have failed."""

    def __init__(self, engine: Engine, name: str, seconds: int | None) -> None:
        self._engine = engine
        self._name = name
        self._seconds = seconds
        self._stopping = False
        self.timed_out = False

    @contextmanager
    def running(self) -> Iterator[None]:
        if self._seconds is None:
            yield
            return
        timer = threading.Timer(self._seconds, self._time_is_over)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def stop(self) -> None:
        """Stop the container, once; whoever calls goes on reading what it prints meanwhile."""
        if not self._stopping:
            self._stopping = True
            threading.Thread(target=self._stop, daemon=True).start()

    def _time_is_over(self) -> None:
        self.timed_out = True
        self._stop()

    def _stop(self) -> None:
        with contextlib.suppress(MlorchError):  # whoever follows the container hears of it as well
            self._engine.stop(self._name)


def _with_artifacts(container: ContainerSpec, source: str) -> ContainerSpec:
    """The container with the folder of artefacts that this run was lent, and what is mounted from inside of it."""
    planned = next(mount.source for mount in container.mounts if mount.target == ARTIFACTS)
    mounts = []
    for mount in container.mounts:
        if mount.source == planned or mount.source.startswith(f"{planned}/"):
            mount = replace(mount, source=source + mount.source.removeprefix(planned))  # noqa: PLW2901
            if mount.target != ARTIFACTS:
                Path(mount.source).mkdir(exist_ok=True)
                give(Path(mount.source), container.user)
        elif mount.target.startswith(f"{ARTIFACTS}/"):  # where an artefact will be, so that no engine makes it as root
            (Path(source) / mount.target.removeprefix(f"{ARTIFACTS}/")).mkdir(exist_ok=True)
        mounts.append(mount)
    return replace(container, mounts=tuple(mounts))


def _moved(ended: PlannedStep, later: Iterable[PlannedStep], folder: Path, artifacts: Path) -> StepFailed | None:
    """Whether a step replaced what later steps are to have mounted from its own folders: /results and /artifacts.

    The engine follows a link of a mount's source with all rights that it has, to any place of the host.
    """
    for planned in later:
        lent_folder = Path(next(mount.source for mount in planned.container.mounts if mount.target == ARTIFACTS))
        for mount in planned.container.mounts:
            source, target = Path(mount.source), Path(mount.target)
            if folder in source.parents:
                own, name, may_lack = folder, source.relative_to(folder), False
            elif lent_folder in source.parents:
                own, name, may_lack = artifacts, source.relative_to(lent_folder), True
            elif Path(ARTIFACTS) in target.parents:
                own, name, may_lack = artifacts, target.relative_to(ARTIFACTS), True
            else:
                continue
            if not _is_in_its_place(own, name, may_lack=may_lack):
                return StepFailed(
                    f"step `{ended.name}` replaced or removed {name} in a folder of its own, which step "
                    f"`{planned.name}` is to find at {mount.target}",
                    hint="a program may write there, and must leave the folder or file itself in its place",
                    slug="mount-changed",
                )
    return None


def _is_in_its_place(own: Path, name: Path, *, may_lack: bool) -> bool:
    """Whether every part of ``name`` below ``own`` is a folder, or at its end a regular file; no link."""
    at = own
    for part in name.parts:
        at /= part
        try:
            mode = at.lstat().st_mode
        except OSError:
            return may_lack
        is_file = stat.S_ISREG(mode) and at == own / name and not may_lack
        if not stat.S_ISDIR(mode) and not is_file:
            return False
    return True


def _made_in(container: ContainerSpec, artifact: PlannedArtifact, folder: Path) -> ContainerSpec:
    """The container with another folder for what it makes, which is not in its place before it is whole."""
    mounts = []
    for mount in container.mounts:
        is_made = mount.source == artifact.source
        mounts.append(replace(mount, source=str(folder)) if is_made else mount)
    return replace(container, mounts=tuple(mounts))


def _require(artifact: PlannedArtifact) -> Callable[[Mapping[str, str]], None]:
    def check(hashes: Mapping[str, str]) -> None:
        absent = [name for name in artifact.files if name not in hashes]
        if absent:
            raise AssetError(
                f"the step did not make {', '.join(absent)} in {artifact.target}",
                hint=f"it made: {', '.join(sorted(hashes)[:8]) or 'nothing'}",
                slug="artifact-missing",
            )

    return check


def _failure(
    external: ExternalRun, planned: PlannedStep, followed: _Followed, output: Output, folder: Path
) -> StepFailed | None:
    """Why a step that ended did not do its work. A container that was killed for memory is told by its caller."""
    log = folder / log_of(planned)
    if followed.timed_out:
        return StepFailed(
            f"step `{planned.name}` was stopped after {planned.timeout_s:,} s, its limit",
            hint=f"`timeout` of the step is the limit; the whole log is in {log}",
            slug="timeout",
            detail=tail(log),
        )
    error = unmet(external, output, planned.name, followed.exit.exit_code)
    if error is not None:
        error.detail = tail(log)
        error.hint = f"{error.hint}; the whole log is in {log}" if error.hint else f"the whole log is in {log}"
    return error


def _fact(planned: PlannedStep, followed: _Followed | None) -> StepFact:
    return StepFact(
        name=planned.name,
        role=planned.role,
        argv=planned.container.command,
        exit_code=None if followed is None else followed.exit.exit_code,
        seconds=0.0 if followed is None else round(followed.seconds, 3),
        artifact=planned.artifact.key if planned.artifact else "",
        reused=followed is None,
    )
