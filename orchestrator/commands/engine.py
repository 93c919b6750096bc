"""`mlorch engine` and `doctor`: the container engine that mlorch uses, and what this machine can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, engine_option, is_terminal, output_option, recipes_option
from orchestrator.commands.groups import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.doctor import Check
    from orchestrator.operations.engine import EngineStatus


@click.group("engine", cls=Group)
def command() -> None:
    """Show, start and stop the container engine.

    mlorch uses the engine that is there: DOCKER_HOST, the docker context, the default
    socket. Where none can build, `ensure` gets one for mlorch alone.
    """


@command.command("status")
@engine_option
@output_option
def status(engine: str, console: Console) -> None:
    """Show the engine that mlorch would use, and what it can do."""
    from orchestrator.operations.engine import engine_status

    found = engine_status(context_for(console, engine=engine), console)
    if console.quiet:
        console.document(found.document())
        return
    _show(console, found)
    if found.why:
        console.warn(f"{found.why}; `mlorch engine ensure` gets what is missing")


@command.command("ensure")
@engine_option
@click.option("--yes", is_flag=True, help="Do it without asking.")
@output_option
def ensure(engine: str, console: Console, *, yes: bool) -> None:
    """Make sure that an engine is there; where none can build, get one for mlorch alone.

    Docker is unpacked and started as root. A plain user gets podman, which later commands then
    use as well: it is unpacked, and has to start a container. It asks first, saying what it is
    about to do; without a terminal it wants --yes.
    """
    from orchestrator.operations.engine import ensure_engine

    def ask(text: str) -> bool:
        console.say(text)
        return click.confirm("Go ahead?", default=False, err=True)

    confirm = ask if is_terminal() else None
    made = ensure_engine(context_for(console, engine=engine), yes=yes, confirm=confirm, talk=console)
    if console.quiet:
        console.document(made.document())
        return
    ready = made.status
    facts = ready.facts
    own = " (mlorch’s own)" if facts.private else ""
    name = "engine" if facts.buildx else facts.name
    console.say(f"{name} {facts.version} at {facts.host}{own} is ready")
    if ready.builder_lacks:
        console.warn(f"{ready.builder_lacks}; {ready.builder_hint}" if ready.builder_hint else ready.builder_lacks)


@command.command("stop")
@output_option
def stop(console: Console) -> None:
    """Stop mlorch's own Docker engine; its images stay, and another engine is never touched."""
    from orchestrator.operations.engine import stop_engine

    done = stop_engine()
    if console.quiet:
        console.document(done.document())
        return
    console.say("stopped" if done.stopped else "mlorch's own engine does not run")
    if done.home is not None:
        console.say(f"its images and programs stay in {done.home}; delete that folder to be rid of them")


def _show(console: Console, found: EngineStatus) -> None:
    from orchestrator.operations.engine import cdi_words

    facts = found.facts
    rows = [
        ("engine", facts.name),
        ("host", f"{facts.host} (mlorch's own)" if facts.private else facts.host),
        ("version", f"{facts.version} (API {facts.api_version}), {facts.platform}"),
        ("builder", f"{found.builder} ({found.builder_lacks})" if found.builder_lacks else found.builder),
        ("image store", "containerd" if facts.containerd_store else facts.storage_driver),
        ("CDI", cdi_words(facts)),
        ("--gpus", "yes" if facts.gpus else "no (the NVIDIA container toolkit is not there)"),
        ("runtimes", ", ".join(facts.runtimes) or "-"),
        ("cgroups", f"v{facts.cgroup_version}"),
        ("security", ", ".join(facts.security) or "-"),
        ("data", facts.root_dir),
    ]
    for label, value in rows:
        console.result(f"{label:12} {value}")


# -- the machine around it -----------------------------------------------------------------


@click.command("doctor")
@engine_option
@recipes_option
@output_option
def doctor(engine: str, recipes: tuple[str, ...], console: Console) -> int:
    """Check this machine: engine, storage, devices, memory, limits, certificates, proxies, archives.

    Exits with 4 where the engine cannot be used, 1 where something else will fail.
    """
    from orchestrator.operations import doctor as operation

    checks = operation.doctor(console, recipes=recipes, engine=engine)
    if console.quiet:
        console.document({"checks": checks})
    else:
        _show_checks(console, checks)
    return operation.exit_code(checks)


def _show_checks(console: Console, checks: Sequence[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        console.result(f"{check.state:4} {check.name:{width}}  {check.what}")
        if check.hint and check.state != "ok":
            console.result(f"     {'':{width}}  -> {check.hint}")
