"""`mlorch engine`: the container engine that mlorch uses, and its own where there is no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import engine_option, json_option
from orchestrator.commands.groups import Group

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.engines import EngineFacts


@click.group("engine", cls=Group)
def command() -> None:
    """Show, start and stop the container engine.

    mlorch uses the engine that is there: DOCKER_HOST, the docker context, the default
    socket. Where none can build, `ensure` gets one for mlorch alone.
    """


@command.command("status")
@engine_option
@json_option
def status(engine: str, *, as_json: bool) -> int:
    """Show the engine that mlorch would use, and what it can do."""
    from orchestrator.console import Console
    from orchestrator.engines import ENGINES, engine_factory
    from orchestrator.operations.context import engine_name, use_settings
    from orchestrator.operations.sweep import sweep_containers

    console = Console(quiet=as_json)
    chosen = engine_factory(engine_name(use_settings(), engine, tuple(ENGINES)))
    facts = chosen.connect().facts()
    sweep_containers(console)
    if as_json:
        console.document(status_document(facts))
        return 0
    _show(console, facts)
    if why := chosen.unmet_requirement(facts):
        console.warn(f"{why}; `mlorch engine ensure` gets what is missing")
    return 0


@command.command("ensure")
@engine_option
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
def ensure(engine: str, *, yes: bool, as_json: bool) -> int:
    """Make sure that an engine is there; where none can build, get one for mlorch alone.

    Docker is unpacked and started, podman unpacked only. It asks first, saying what it is
    about to do; without a terminal it wants --yes.
    """
    from orchestrator.console import Console
    from orchestrator.engines import ENGINES, engine_factory
    from orchestrator.operations.context import engine_name, is_terminal, use_settings

    console = Console(quiet=as_json)
    chosen = engine_factory(engine_name(use_settings(), engine, tuple(ENGINES)))

    def ask(text: str) -> bool:
        console.say(text)
        return click.confirm("Go ahead?", default=False, err=True)

    facts, did = chosen.ensure(yes=yes, confirm=ask if is_terminal() else None, say=console.say)
    if as_json:
        console.document({**status_document(facts), "did": list(did)})
    else:
        own = " (mlorch’s own)" if facts.private else ""
        name = "engine" if facts.buildx else facts.name
        console.say(f"{name} {facts.version} at {facts.host}{own} is ready")
    return 0


@command.command("stop")
@json_option
def stop(*, as_json: bool) -> int:
    """Stop mlorch's own Docker engine; its images stay, and another engine is never touched."""
    from orchestrator.console import Console
    from orchestrator.engines.private import places
    from orchestrator.engines.private.daemon import stop as stop_daemon

    console, at = Console(quiet=as_json), places()
    stopped = stop_daemon(at)
    if as_json:
        console.document({"stopped": stopped})
    else:
        console.say("stopped" if stopped else "mlorch's own engine does not run")
        if at.home.exists():
            console.say(f"its images and programs stay in {at.home}; delete that folder to be rid of them")
    return 0


def status_document(facts: EngineFacts) -> dict[str, object]:
    """The JSON of `engine status`."""
    from orchestrator.engines import engine_factory
    from orchestrator.engines.cdi import known

    chosen = engine_factory(facts.name)
    why = chosen.unmet_requirement(facts)
    return {
        "host": facts.host,
        "name": facts.name,
        "version": facts.version,
        "api_version": facts.api_version,
        "platform": facts.platform,
        "buildx": facts.buildx,
        "builder": chosen.builder(facts)[0],
        "containerd_store": facts.containerd_store,
        "storage_driver": facts.storage_driver,
        "cdi": facts.cdi,
        "cdi_devices": [device.name for device in known(facts).devices],
        "gpus": facts.gpus,
        "runtimes": list(facts.runtimes),
        "cgroup_version": facts.cgroup_version,
        "root_dir": facts.root_dir,
        "rootless": facts.rootless,
        "private": facts.private,
        "can_build": not why,
        "why": why,
    }


def cdi_words(facts: EngineFacts) -> str:
    """What the engine can be asked for by CDI name."""
    from orchestrator.engines.cdi import known

    if not facts.cdi:
        return "off"
    return ", ".join(device.name for device in known(facts).devices) or "on; no spec names a device"


def _show(console: Console, facts: EngineFacts) -> None:
    from orchestrator.engines import engine_factory

    builds, lack, _ = engine_factory(facts.name).builder(facts)
    rows = [
        ("engine", facts.name),
        ("host", facts.host + (" (mlorch's own)" if facts.private else "")),
        ("version", f"{facts.version} (API {facts.api_version}), {facts.platform}"),
        ("builder", builds + (f" ({lack})" if lack else "")),
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
