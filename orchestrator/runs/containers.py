"""The containers of one test from start to end: one of our own harness, or the steps of somebody else's."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.assets.trees import alone, find_tree, making
from orchestrator.engines.stopper import Stopper
from orchestrator.errors import AssetError, StepFailed
from orchestrator.facts.containers import ARTIFACTS
from orchestrator.facts.roles import CEILING, log_of_role
from orchestrator.host.left_behind import discard, give, take_over
from orchestrator.host.untrusted import UnreadableFile
from orchestrator.results.compliance import LOG as COMPLIANCE_LOG
from orchestrator.results.examples import FILE as EXAMPLES
from orchestrator.results.measure import ACCURACY
from orchestrator.runs.artifacts import lent_artifacts
from orchestrator.runs.console_log import ACCURACY_LOG, LARGEST_LOG, LOG, ConsoleLog, tail
from orchestrator.runs.ended import Ended
from orchestrator.runs.external import Output, log_of
from orchestrator.runs.kept_servers import KeptServers
from orchestrator.runs.one_container import Followed, follow
from orchestrator.runs.step_end import StepEnded, fact_of, failure_of, require_files
from orchestrator.runs.step_mounts import replaced_mount, with_artifacts, with_folder_to_make
from orchestrator.runs.time_limits import limit_of_scoring, limit_of_step, timeout_failure
from orchestrator.runs.verification import make_room, not_comparable, verification_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TextIO

    from orchestrator.engines import Engine
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.external import ExternalRun, PlannedArtifact, PlannedStep
    from orchestrator.facts.record import RoleFact, StepFact
    from orchestrator.facts.runs import RunStep, TimeLimit
    from orchestrator.runs.ceilings import Ceilings
    from orchestrator.runs.roles import Servers
    from orchestrator.runs.runner import Watcher


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
        with lent_artifacts(step.container, step.results_owner) as artifacts:
            for text in artifacts.warnings:
                self.watcher.line(step, text)
            if step.power is not None:
                ended = self._powered(step, artifacts.container, folder)
            elif step.external is None and step.roles is not None:
                ended = self._served(step, artifacts.container, folder)
            elif step.external is None:
                followed = self._follow(step, artifacts.container, folder / LOG)
                error = timeout_failure(step, followed, folder / LOG)
                error = error or self._scored(step, followed, folder) or self._verified(step, followed, folder)
                ended = Ended(exit=followed.exit, left={}, deployed=followed.deployed, error=error)
            else:
                source = next(mount.source for mount in artifacts.container.mounts if mount.target == ARTIFACTS)
                ended = self._steps(step, step.external, folder, source)
            artifacts.keep = ended.did_its_work
        return replace(ended, left=artifacts.left, artifacts=artifacts.found)

    def _powered(self, step: RunStep, container: ContainerSpec, folder: Path) -> Ended:
        """A test measured with power, beside its servers where it has some. What ends it early is told in `Ended`."""
        from orchestrator.runs.power_run import measure_with_power

        follow: Callable[..., Followed] = partial(self._follow, step)
        with nullcontext() if step.roles is None else self._beside(step, folder) as servers:
            try:
                if servers is not None:
                    self._measure_ceiling(step, servers, folder)
                    servers.start_servers()  # a model takes its time to load, and the analyser need not see that
                    follow = partial(self._follow_beside, step, servers)
                ended = measure_with_power(
                    step, container, folder, self.engine, self.secrets, partial(self._say, step), follow
                )
            except StepFailed as failed:  # of its servers
                ended = Ended(exit=None, left={}, error=failed)
            if servers is not None:
                servers.may_stay = ended.did_its_work
        return ended

    def _follow_beside(
        self, step: RunStep, servers: Servers, container: ContainerSpec, log: Path, *, counts: bool
    ) -> Followed:
        """One container; a client is stopped where a server ends. Raises `StepFailed` where one did."""
        if container.network != step.container.network:
            return self._follow(step, container, log, counts=counts)
        with self._watched(servers, container):
            followed = self._follow(step, container, log, counts=counts)
            if followed.exit.exit_code != 0:
                servers.wait_for_end()
        if servers.gone is not None:
            raise servers.gone
        return followed

    def _served(self, step: RunStep, client: ContainerSpec, folder: Path) -> Ended:
        """A client and its servers. A server that is not ready, or ends too early, is told in `Ended`."""
        test: Followed | None = None
        error: StepFailed | None = None
        with self._beside(step, folder) as servers:
            try:
                self._measure_ceiling(step, servers, folder)
                with self._watched(servers, client):
                    test = self._follow(step, client, folder / LOG)
                    if test.exit.exit_code != 0:
                        servers.wait_for_end()
                error = servers.gone or timeout_failure(step, test, folder / LOG)
                servers.may_stay = error is None and test.exit.exit_code == 0
            except StepFailed as failed:
                error = failed
        if test is None:
            return Ended(exit=None, left={}, error=error)
        error = error or self._scored(step, test, folder) or self._verified(step, test, folder)
        return Ended(exit=test.exit, left={}, deployed=test.deployed, error=error)

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
        servers.start_servers()
        with servers.watched(Stopper(self.engine, client.name, None).stop):
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

    def _scored(self, step: RunStep, test: Followed, folder: Path) -> StepFailed | None:
        """Count the accuracy of a test that ran to its end, where a container of its own does; why it could not be."""
        if step.scoring is None or test.exit.exit_code != 0:
            return None
        for name in (ACCURACY, EXAMPLES, ACCURACY_LOG):  # only what is counted now is believed
            discard(folder / name)
        self._say(step, "counting the accuracy")
        followed = self._follow(step, step.scoring, folder / ACCURACY_LOG, limit=limit_of_scoring(step))
        if followed.timed_out:
            return timeout_failure(step, followed, folder / ACCURACY_LOG)
        if followed.exit.exit_code == 0:
            return None
        return StepFailed(
            f"the accuracy could not be counted: its container ended with {followed.exit.exit_code}",
            hint=f"{folder / ACCURACY_LOG} has all that it said",
            detail=tail(folder / ACCURACY_LOG),
            slug="accuracy-failed",
        )

    def _verified(self, step: RunStep, test: Followed, folder: Path) -> StepFailed | None:
        """Have MLCommons' script compare a compliance test that ran to its end; why that could not be done."""
        planned = step.compliance
        if planned is None or test.exit.exit_code != 0:
            return None
        error = not_comparable(planned)
        if error is not None:
            return error
        make_room(folder, planned)
        self._say(step, f"verifying {planned.test.name}")
        log = folder / COMPLIANCE_LOG
        followed = self._follow(step, planned.verification, log, limit=limit_of_scoring(step))
        return timeout_failure(step, followed, log) or verification_failure(folder, planned, followed.exit.exit_code)

    # -- somebody else's harness ---------------------------------------------------------------

    def _steps(self, step: RunStep, external: ExternalRun, folder: Path, artifacts: str) -> Ended:
        output = Output(run=external)
        facts: list[StepFact] = []
        test: Followed | None = None
        error: StepFailed | None = None
        for number, planned in enumerate(external.steps, 1):
            moved = replace(planned, container=with_artifacts(planned.container, artifacts))
            self._say(step, f"step {planned.name}")
            followed: Followed | None = None
            try:
                followed = self._carried_out(step, moved, folder, output)
            except StepEnded as ended:
                error, followed = ended.error, ended.followed
                if followed is None:  # its servers were never there
                    return Ended(exit=None, left={}, output=output, steps=tuple(facts), error=error)
            if followed is not None and error is None:
                error = replaced_mount(planned, external.steps[number:], folder, Path(artifacts))
            facts.append(fact_of(planned, followed))
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

    def _carried_out(self, step: RunStep, planned: PlannedStep, folder: Path, output: Output) -> Followed | None:
        """One step as its role wants it; None where what it makes is there. Raises `StepEnded`."""
        if planned.artifact is not None:
            return self._made(step, planned, planned.artifact, folder, output)
        if planned.role == "run" and step.roles is not None:
            return self._client(step, planned, folder, output)
        return self._one(step, planned, folder, output)

    def _one(self, step: RunStep, planned: PlannedStep, folder: Path, output: Output) -> Followed:
        """One step; raises `StepEnded` where it did not do its work."""
        discard(folder / log_of(planned))  # an earlier step may have put something there
        followed = self._follow(
            step,
            planned.container,
            folder / log_of(planned),
            judge=lambda text: output.line(planned.name, text),
            limit=limit_of_step(step, planned),
        )
        error = failure_of(output.run, planned, followed, output, folder)
        if error is not None:
            raise StepEnded(error, followed)
        return followed

    def _client(self, step: RunStep, planned: PlannedStep, folder: Path, output: Output) -> Followed:
        """The LoadGen test of a program beside its servers; raises `StepEnded` where one does not do its work."""
        followed: Followed | None = None
        with self._beside(step, folder) as servers:
            try:
                with self._watched(servers, planned.container):
                    followed = self._one(step, planned, folder, output)
            except StepFailed as failed:
                raise StepEnded(failed, None) from None
            except StepEnded as ended:
                servers.wait_for_end()
                if servers.gone is not None:
                    raise StepEnded(servers.gone, ended.followed) from None
                raise
            if servers.gone is not None:
                raise StepEnded(servers.gone, followed)
            servers.may_stay = True
        return followed

    def _made(
        self, step: RunStep, planned: PlannedStep, artifact: PlannedArtifact, folder: Path, output: Output
    ) -> Followed | None:
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
            followed: Followed | None = None
            try:
                with making(path, path.parents[1] / "quarantine", lambda _name: True, require_files(artifact)) as made:
                    give(made / "out", planned.container.user)
                    container = with_folder_to_make(planned.container, artifact, made / "out")
                    followed = self._one(step, replace(planned, container=container), folder, output)
                    take_over(made / "out", step.results_owner)
            except (AssetError, UnreadableFile) as error:
                if followed is None:
                    raise
                raise StepEnded(error, followed) from None
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
        limit: TimeLimit | None = None,
        counts: bool = True,
    ) -> Followed:
        """Run one container to its end; it is stopped at its limit (the test's), and where ``judge`` has enough.

        Of one that does not count nobody hears: its phases are not the test's.
        """

        def event(found: Mapping[str, object]) -> None:
            if counts:
                self.watcher.event(step, found)

        def console(stream: TextIO) -> ConsoleLog:
            return ConsoleLog(
                stream=stream,
                secrets=self.secrets,
                on_event=None if step.external is not None else event,
                on_line=lambda text: self.watcher.line(step, text) if counts else None,
                largest=LARGEST_LOG,
            )

        return follow(self.engine, container, log, console, judge=judge, limit=limit or step.limit)
