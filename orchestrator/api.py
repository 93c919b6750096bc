"""The verbs of the command line for Python programs; each gives the document that `--json` prints.

    from orchestrator import api

    api.build(target="cpu", benchmarks=["image-fashion"])
    for result in api.run(["image-fashion"], scenarios=["Offline"], mode="accuracy")["results"]:
        print(result["metrics"]["accuracy"]["value"], result["image_digest"])

Failures are raised as the classes of `orchestrator.errors`. Talk is silent unless
`talk=True` sends it to stderr. Keys may be added to a document, never renamed.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from orchestrator.definitions.settings import Settings
    from orchestrator.operations.build_request import BuildRequest
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.pull_policy import PullPolicy

    Document = dict[str, Any]


def plan(*, target: str | None = None, recipes: Sequence[str] = (), engine: str = "", **options: Any) -> Document:
    """What `build` would do and why: ``{"target", "platform", "layers": [...], "images": [...]}``.

    ``options`` are fields of `BuildRequest` (``benchmarks``, ``platform``, ``arch``, ``base_source``, …) and of
    `PullPolicy` (``pull``, ``images``).

    Raises:
        UsageError, DefinitionError: unknown names, invalid recipes.
        RegistryError: an image in a registry is not what its name says.
    """
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan import plan_document, plan_images

    request = _build_request(target, options)
    context = Context(tuple(recipes), locked=request.locked, wanted_engine=engine)
    found = plan_images(context, request.selections[0], context.talk, pull_policy=request.pull_policy)
    return plan_document(found.plans, found.outcomes)


def build(
    *, target: str | None = None, recipes: Sequence[str] = (), engine: str = "", talk: bool = False, **options: Any
) -> Document:
    """Make the images present: the same document as `plan`, with what was done; ``options`` as `plan`.

    Raises:
        StepFailed, EngineError, RegistryError: as `mlorch build`; UsageError, DefinitionError as `plan`.
    """
    from orchestrator.operations.build import build_images
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan import plan_document

    request, progress = _build_request(target, options), _progress(talk=talk)
    context = Context(tuple(recipes), locked=request.locked, wanted_engine=engine, talk=progress)
    done = build_images(context, request.selections[0], progress, pull_policy=request.pull_policy)
    return plan_document(*done)


def run(benchmarks: Sequence[str] = (), *, talk: bool = False, **options: Any) -> Document:
    """Run tests: ``{"results": [...]}``, one element a test, INVALID ones included.

    ``options`` are fields of `RunRequest` (``target``, ``scenarios``, ``mode``, ``duration``, ``official``,
    ``find``, ``devices``, ``results``, …) and of `PullPolicy` (``pull``, ``build``, ``images``).
    A test that fails or is INVALID raises nothing: its element says so, as exit code 1
    does on the command line.

    Raises:
        TypeError: an option that does not exist.
        MlorchError: what stops the whole (unknown names, no engine, a host that cannot
            give what the target asks for); results of tests that ended before are kept.
    """
    from orchestrator.operations.context import Context
    from orchestrator.operations.run import run as run_tests
    from orchestrator.operations.run_request import API, RunRequest, checked
    from orchestrator.results.summary import document
    from orchestrator.runs.runner import Watcher

    progress = _progress(talk=talk)
    policy = _pull_policy(options)
    given = RunRequest(benchmarks=tuple(benchmarks), pull_policy=policy, caller=API, **options)
    context = Context(given.recipes, locked=given.locked, wanted_engine=given.engine, talk=progress)
    if "results" not in options:
        given = replace(given, results=results_folder(context.settings))
    done = run_tests(context, checked(given), progress, Watcher())
    return {"results": [document(summary) for summary in done]}


def _build_request(target: str | None, options: dict[str, Any]) -> BuildRequest:
    from orchestrator.operations.build_request import BuildRequest

    policy = _pull_policy(options)
    return BuildRequest(targets=(target,) if target else (), pull_policy=policy, **options)


def _pull_policy(options: dict[str, Any]) -> PullPolicy:
    """The pull policy of a call; its options are taken out of ``options``."""
    from orchestrator.operations.pull_policy import PullPolicy

    names = [field.name for field in fields(PullPolicy) if field.name in options]
    return PullPolicy(**{name: options.pop(name) for name in names})


def results(folder: str | os.PathLike[str] | None = None) -> Document:
    """The runs of a results folder, newest first, as ``mlorch results list --json`` gives them.

    None takes the folder of the settings, else ``./results``.
    """
    from orchestrator.definitions.settings import read_settings
    from orchestrator.operations.progress import Silent
    from orchestrator.operations.results import ListRequest, list_runs

    path = Path(folder or results_folder(read_settings())).absolute()
    return list_runs(ListRequest(folder=path), Silent()).document()


def results_folder(settings: Settings) -> Path:
    """The folder of results where a call names none: the settings', else ``./results``."""
    return Path(settings.results or "results")


def _progress(*, talk: bool) -> Progress:
    """What goes on, on stderr, or nothing."""
    if not talk:
        from orchestrator.operations.progress import Silent

        return Silent()
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.console import Console

    return ConsoleProgress(Console())
