"""`mlorch doctor`: what this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import engine_option, output_option, recipes_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.doctor import Check


@click.command("doctor")
@engine_option
@recipes_option
@output_option
def command(engine: str, recipes: tuple[str, ...], console: Console) -> int:
    """Check this machine: engine, storage, devices, memory, limits, certificates, proxies, archives.

    Exits with 4 where the engine cannot be used, 1 where something else will fail.
    """
    from orchestrator.operations.doctor import doctor, exit_code

    checks = doctor(console, recipes=recipes, engine=engine)
    if console.quiet:
        console.document({"checks": checks})
    else:
        _show(console, checks)
    return exit_code(checks)


def _show(console: Console, checks: Sequence[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        console.result(f"{check.state:4} {check.name:{width}}  {check.what}")
        if check.hint and check.state != "ok":
            console.result(f"     {'':{width}}  -> {check.hint}")
