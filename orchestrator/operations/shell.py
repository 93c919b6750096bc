"""`mlorch shell`: a shell in exactly the container that `run` would start, with the same mounts and rights."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.servers import CLIENT
from orchestrator.errors import UsageError
from orchestrator.facts.containers import RECORD
from orchestrator.host.left_behind import take_back
from orchestrator.operations.run.prepared import prepare
from orchestrator.results.store import release_reserve
from orchestrator.runs.artifacts import lent_artifacts
from orchestrator.runs.folder import prepare_folder
from orchestrator.runs.roles import Servers
from orchestrator.runs.runner import Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.run.prepared import PreparedRun
    from orchestrator.operations.run.request import RunRequest

SHELL = ("/bin/sh",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What a shell was opened in: the plan of the test, the role, and how its command ended."""

    step: RunStep
    role: str
    folder: Path
    exit_code: int


def shell(
    context: Context, request: RunRequest, progress: Progress, *, role: str = "", command: Sequence[str] = ()
) -> Shell:
    """Run ``command`` (a shell where there is none) in the container of ``role`` of the request's first test.

    What a run would need is built and fetched before. In a run of several containers the network namespace is
    there, and beside a client its servers. The test's folder stays, with the settings that the harness would read.

    Raises what `run` raises before its first test; `UsageError` [unknown-role].
    """
    prepared = prepare(context, request, progress, Watcher())
    planned, cell = next(iter(prepared.tests()))
    step = prepared.step(planned, cell)
    spec = container_of_role(step, role)
    folder = prepared.runner.store.root / step.run_id
    folder.mkdir(parents=True)
    (folder / RECORD).touch()
    prepare_folder(folder, step)
    release_reserve(folder)
    with ExitStack() as stack:
        stack.callback(take_back, folder, step.results_owner)
        spec = stack.enter_context(lent_artifacts(spec, step.results_owner)).container
        _start_beside(prepared, step, role, folder, progress, stack)
        code = prepared.runner.engine.attach(replace(spec, command=tuple(command) or SHELL))
    return Shell(step=step, role=role or CLIENT, folder=folder, exit_code=code)


def container_of_role(step: RunStep, role: str) -> ContainerSpec:
    """The container of a role; of the harness where none is named."""
    if role in {"", CLIENT}:
        return step.container
    found = {one.name: one.container for one in (step.roles.servers if step.roles is not None else ())}
    if step.scoring is not None:
        found["accuracy"] = step.scoring
    for one in step.external.steps if step.external is not None else ():
        found[one.name] = one.container
    if role not in found:
        raise UsageError(
            f"this test has no role `{role}`",
            hint=f"it has: {', '.join([CLIENT, *found])}; servers are there with --roles server,client",
            slug="unknown-role",
        )
    return found[role]


def _start_beside(
    prepared: PreparedRun, step: RunStep, role: str, folder: Path, progress: Progress, stack: ExitStack
) -> None:
    """The namespace of a run of several containers, and beside its client the servers, until ``stack`` ends."""
    if step.roles is None or role == "accuracy":
        return
    servers = Servers(prepared.runner.engine, step.roles, folder, prepared.runner.session.secrets, progress.say)
    stack.enter_context(servers.started())
    if role in {"", CLIENT}:
        servers.start_servers()
