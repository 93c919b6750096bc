"""Options that several commands share, declared once."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context


ARCH_HELP = "What device code is built for (default: what this host's devices are, else the target's)."


ROUND_HELP = "Round of MLPerf Inference whose rules hold (default: the one that the benchmark names)."

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
"""`--json`: one document on stdout, talk on stderr."""

recipes_option = click.option(
    "--recipes",
    multiple=True,
    metavar="DIR|GIT-URL@REF",
    help="Recipes to lay over the built-in ones; repeatable.",
)
"""`--recipes`: definitions that lay over the built-in ones; repeatable, later ones win."""

engine_option = click.option(
    "--engine",
    default="",
    metavar="NAME",
    help="Container engine: docker (default, unless `engine ensure` chose podman) or podman; "
    "`run --dry-run` prints for nerdctl and apptainer too.",
)
"""`--engine`: which container engine; checked where it is used, so that `--help` imports none."""

results_option = click.option(
    "-o",
    "--results",
    "results_dir",
    type=click.Path(file_okay=False),
    default=None,
    help="Folder of results (default: ./results).",
)
"""`-o`: where results lie."""

data_option = click.option(
    "--data",
    multiple=True,
    metavar="NAME=FOLDER",
    help="A folder with this model or dataset: checked, mounted read-only, never copied; repeatable.",
)
"""`--data`: the folder of one who has a model or dataset already; repeatable."""

images_option = click.option(
    "--images", default="", metavar="FILE", help="A list of published images; their digests bind."
)
"""`--images`: the list of published images that binds."""

locked_option = click.option(
    "--locked/--no-locked",
    default=None,
    help="Fail where a lock and what there is now differ, instead of moving on (default in CI: CI=true).",
)
"""`--locked`: nothing may move; the default where `wants_locked` says so."""


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, handed on as ``console``: a quiet one where one document is wanted."""

    @wraps(function)
    def with_console(*arguments: Any, as_json: bool, **more: Any) -> Any:
        from orchestrator.console import Console

        return function(*arguments, console=Console(quiet=as_json), **more)

    return json_option(with_console)


def context_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--recipes` and `--json`, handed on as ``context`` and ``console``; `--engine` and `--locked` enter the context.

    Those two have their own decorators, which stand above this one.
    """

    @wraps(function)
    def with_context(*arguments: Any, console: Console, recipes: tuple[str, ...], engine: str = "", **more: Any) -> Any:
        locked = wants_locked(more.pop("locked")) if "locked" in more else False
        context = context_for(console, recipes, locked=locked, engine=engine)
        return function(*arguments, context=context, console=console, **more)

    return recipes_option(output_option(with_context))


def results_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-o` and `--json`, handed on as ``folder`` and ``console``."""
    return results_option(reads_results(function))


def reads_results(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same without `-o`, which means something else there; what a killed mlorch left is cleared first."""

    @wraps(function)
    def with_folder(*arguments: Any, results_dir: str | None, console: Console, **more: Any) -> Any:
        from orchestrator.definitions.settings import read_settings
        from orchestrator.operations.engine import sweep_containers

        settings = read_settings()
        sweep_containers(settings, console)
        return function(*arguments, folder=settings.results_folder(results_dir), console=console, **more)

    return output_option(with_folder)


def context_for(console: Console, recipes: tuple[str, ...] = (), *, locked: bool = False, engine: str = "") -> Context:
    """What the use cases of a command work with; they tell what goes on to ``console``."""
    from orchestrator.operations.context import Context

    return Context(recipes, locked=locked, wanted_engine=engine, talk=console)


def pull_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--pull/--no-pull` and `--images`, handed on as one ``pull_policy``."""

    @images_option
    @click.option(
        "--pull/--no-pull",
        "pull",
        default=None,
        help="Require that registries are asked before building, or ask none (default: those in `registries`).",
    )
    @wraps(function)
    def collected(*arguments: Any, pull: bool | None, images: str, **more: Any) -> Any:
        from orchestrator.operations.pull_policy import PullPolicy

        return function(*arguments, pull_policy=PullPolicy(pull=pull, images=images), **more)

    return collected


def wants_locked(given: bool | None) -> bool:  # noqa: FBT001 (what an option gave)
    """Whether nothing may move: what the command line says, else MLORCH_LOCKED, else whether this is CI."""
    import os

    if given is not None:
        return given
    said = os.environ.get("MLORCH_LOCKED") or os.environ.get("CI", "")
    return said.lower() not in {"", "0", "false", "no", "off"}


def is_terminal() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def counted(number: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def disturbed_text(tests: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Which tests were disturbed, each by its name with its reasons; of several those of the first stand for all."""
    (first, reasons), *others = tests
    why = "; ".join(reasons)
    if not others:
        return f"{first} was disturbed: {why}"
    names = ", ".join(name for name, _ in tests)
    return f"{len(tests)} tests were disturbed: {names}. The first: {why}; `mlorch results show RUN` has each"


def shortened(value: object) -> str:
    """A value in at most 40 letters."""
    text = "(none)" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def one_or_many(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The JSON of a command over several targets: the document of the one, or all of them as a list called `name`."""
    return documents[0] if len(documents) == 1 else {name: documents}


set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A choice, a parameter or a field of the benchmark, as in performance_samples=500; repeatable.",
)


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What to build, from targets to base source, handed on as ``chosen``: a `Selection` a target."""

    @click.option(
        "--target",
        "-t",
        multiple=True,
        metavar="NAME",
        help="Hardware target, or auto; repeatable (default: auto, the best that is here).",
    )
    @click.option("--arch", default=None, metavar="NAME", help=ARCH_HELP)
    @click.option(
        "--benchmark",
        "-b",
        multiple=True,
        metavar="NAME",
        help="Benchmark; repeatable (default: those of `mlorch run`).",
    )
    @click.option("--all", "every", is_flag=True, help="Every benchmark of the target whose layers are locked.")
    @click.option(
        "--base-source",
        default="",
        metavar="SOURCE",
        help="bootstrap, registry, registry:IMAGE@sha256:… or oci:PATH (default: the first that works).",
    )
    @click.option(
        "--platform",
        default=None,
        metavar="NAME",
        help="linux/amd64 or linux/arm64 (default: this host's, else the target's first).",
    )
    @set_option
    @click.option("--round", "round_name", default="", metavar="NAME", help=ROUND_HELP)
    @wraps(function)
    def collected(*arguments: Any, target: tuple[str, ...], benchmark: tuple[str, ...], **more: Any) -> Any:
        from orchestrator.operations.plan_cache import Selection

        words = {name: more.pop(name) for name in ("platform", "arch", "base_source", "changes", "every")}
        words["round"] = more.pop("round_name")
        if words["every"] and benchmark:
            raise click.UsageError("--all and --benchmark exclude each other")
        chosen = tuple(Selection(target=name, benchmarks=benchmark, **words) for name in target or (None,))
        return function(*arguments, chosen=chosen, **more)

    return collected


def benchmark_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Benchmarks as plain words, as `run` takes them, beside `-b`; stands above `selection_options`."""

    @click.argument("words", nargs=-1, metavar="[BENCHMARK]...")
    @wraps(function)
    def collected(*arguments: Any, words: tuple[str, ...], benchmark: tuple[str, ...], **more: Any) -> Any:
        return function(*arguments, benchmark=tuple(dict.fromkeys((*words, *benchmark))), **more)

    return collected


# -- lists that shorten --------------------------------------------------------------------

SHOWN = 20


def shorten_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--last N` and `--all`, handed on as ``last``: how many are shown, None for all.

    With --json all are shown unless --last says otherwise, as a program has no use for a part.
    """

    @click.option(
        "--last", type=click.IntRange(min=1), default=None, metavar="N", help=f"Show the newest N (default: {SHOWN})."
    )
    @click.option("--all", "show_all", is_flag=True, help="Show all.")
    @wraps(function)
    def collected(*arguments: Any, last: int | None, show_all: bool, **more: Any) -> Any:
        if last is not None and show_all:
            raise click.UsageError("--last and --all exclude each other")
        if last is None and not show_all and not more.get("as_json"):
            last = SHOWN
        return function(*arguments, last=last, **more)

    return collected


def say_rest(console: Console, shown: int, total: int, what: str, *, first: str = "the newest") -> None:
    """What a list left out; ``first`` says which were shown."""
    if shown < total:
        console.say(f"{first} {shown} of {total} {what}; --all shows them all")
