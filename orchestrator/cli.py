"""The command line: a lazy table of commands, and the one place that turns failures into exit codes.

Only click is imported here. A command's module is imported when it is named, so
``mlorch --help`` costs little more than ``import click`` (see `benchmarks/`).
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

import click

from orchestrator import __version__
from orchestrator.commands.groups import LazyCommands
from orchestrator.errors import BUG_EXIT_CODE, InterruptedRun, MlorchError, StepFailed, UsageError
from orchestrator.host.signals import signals_interrupt
from orchestrator.host.streams import make_usable

COMMANDS: dict[str, str] = {
    "run": "Run benchmarks in containers under LoadGen; build what is missing.",
    "build": "Build the images of a target; what is there is not built again.",
    "plan": "Show what a build would do and why; no engine needed.",
    "render": "Write the Dockerfiles; no engine and no network needed.",
    "shell": "Open a shell in the container that a run would start.",
    "tune": "Search a harness's parameters for this system; show what was tried.",
    "campaign": "Run many tests from one file; go on after anything.",
    "results": "List, show, compare, sign, verify and report results.",
    "submission": "Build a submission to MLPerf from results; check one, write its summary.",
    "benchmarks": "List and show benchmarks.",
    "targets": "List and show hardware targets.",
    "recipes": "List, show, lint and start recipes; print their JSON Schema.",
    "assets": "List, get and verify models and datasets.",
    "images": "List, pull, push, verify, sign, lock, bundle and prune images.",
    "ci": "Write a workflow for GitHub Actions or GitLab CI.",
    "engine": "Show, start and stop the container engine.",
    "doctor": "Check this machine: what is missing, and what to do.",
}


ELSEWHERE = {"plan": "build:plan", "render": "build:render", "doctor": "engine:doctor"}
"""Commands that stand in the module of another, as ``MODULE:NAME``."""


@click.group(
    cls=LazyCommands,
    modules={name: name for name in COMMANDS} | ELSEWHERE,
    summaries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First time here? `mlorch doctor`, then `mlorch run`.",
)
@click.version_option(__version__, prog_name="mlorch")
@click.option("--debug", is_flag=True, envvar="MLORCH_DEBUG", help="Show tracebacks.")
def cli(*, debug: bool) -> None:
    """Benchmark AI hardware with MLPerf LoadGen, container-first.

    Recipes become layered images; benchmarks run inside them, locked down;
    every number can be traced to an image digest, a recipe and a host.
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the status that docs/reference/errors.md promises."""
    # Recipes become some 100,000 values that are needed until the end: looking for garbage among them costs
    # every short command a tenth of its time.
    gc.set_threshold(100_000, 20, 20)
    # Recipes mean what mlorch says, not what a plugin of another package adds; and looking for one takes 10 ms.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    make_usable()
    arguments = sys.argv[1:] if argv is None else argv
    with signals_interrupt():
        status = run(arguments)
    sys.exit(status)


def _help_width() -> int:
    """The width of a help page: what click would measure with `shutil`, which is slow to import."""
    text = os.environ.get("COLUMNS", "")
    columns = int(text) if text.isdigit() else 0
    if not columns:
        try:
            columns = os.get_terminal_size().columns
        except OSError:  # no terminal
            columns = 80
    return max(min(columns, 110) - 2, 50)


def _start_of_hint(error: click.UsageError) -> str:
    """`run` takes benchmarks as they are; the commands that take them as an option say so."""
    options = {word for each in (error.ctx.command.params if error.ctx else ()) for word in each.opts}
    if not error.message.startswith("Got unexpected extra argument"):
        return ""
    if "/" in error.message and "--results" in options:
        return "a folder of results is named with -o; "
    if "--benchmark" in options:
        return "benchmarks are named with --benchmark; "
    return ""


def _command_path(arguments: list[str]) -> str:
    """The command that a line names; click forgets it where an option lacks its value, or has one too many."""
    path, context = ["mlorch"], click.Context(cli)
    command: click.Command = cli
    for word in arguments:
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is not None:
            path.append(word)
            command = found
    return " ".join(path)


def run(arguments: list[str]) -> int:  # noqa: PLR0911 (one return a kind of failure reads best)
    """Run one command line and give its exit status; nothing but bugs escapes, and those with --debug only."""
    as_json = "--json" in arguments
    debug = "--debug" in arguments or bool(os.environ.get("MLORCH_DEBUG"))
    try:
        outcome = cli.main(args=arguments, prog_name="mlorch", standalone_mode=False, terminal_width=_help_width())
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        return 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else _command_path(arguments)
        usage = UsageError(error.format_message(), hint=f"{_start_of_hint(error)}see `{command} --help`")
        return _report(usage, as_json=as_json, debug=debug)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _report(InterruptedRun("interrupted"), as_json=as_json, debug=debug)
    except MlorchError as error:
        return _report(error, as_json=as_json, debug=debug)
    except OSError as error:  # a full disk, a folder of another user: the machine's fault, and told as such
        return _report(_of_the_machine(error), as_json=as_json, debug=debug)
    except Exception as error:  # noqa: BLE001 (the last line of defence; --debug shows it whole)
        return _report(_bug(error), as_json=as_json, debug=debug)
    return outcome if isinstance(outcome, int) else 0


def _report(error: MlorchError, *, as_json: bool, debug: bool) -> int:
    from orchestrator.console import Console, error_document

    console = Console(markers=not as_json)
    for problem in error.problems():
        console.problem(problem)
    if error.detail:
        console.say(error.detail.rstrip())
    if as_json:
        console.document(error_document(error))
    if debug:
        import traceback

        traceback.print_exception(error)
    return error.exit_code


def _of_the_machine(error: OSError) -> StepFailed:
    """What the operating system refused, in its own words, and the file that it was about."""
    from orchestrator.host.folders import way_out

    place = f"{error.filename}: " if error.filename else ""
    if way := way_out(error):
        return StepFailed(f"{place}{error.strerror}", hint=way, slug="read-only").with_traceback(error.__traceback__)
    hint = "check that the place exists, may be written and has space"
    if isinstance(error, PermissionError):
        hint += "; where HOME or XDG_* are another user's, set MLORCH_HOME to a folder of yours"
    return StepFailed(
        f"{place}{error.strerror or error}",
        hint=f"{hint}; `mlorch --debug …` says who asked",
        slug="system",
    ).with_traceback(error.__traceback__)


def _bug(error: Exception) -> MlorchError:
    bug = MlorchError(
        f"mlorch failed in a way that it should not: {type(error).__name__}: {error}",
        hint="run it again with `mlorch --debug …` and send us what it prints",
        slug="bug",
    )
    bug.exit_code = BUG_EXIT_CODE
    bug.__cause__ = error
    return bug
