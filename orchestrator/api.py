"""The verbs of the command line for Python programs; each gives the document that `--json` prints.

    from orchestrator import api

    api.build(target="cpu", benchmarks=["image-fashion"])
    for result in api.run(["image-fashion"], scenarios=["Offline"], mode="accuracy")["results"]:
        print(result["metrics"]["accuracy"]["value"], result["image_digest"])

Failures are raised as the classes of `orchestrator.errors`. Talk is silent unless
`talk=True` sends it to stderr. Keys may be added to a document, never renamed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from orchestrator.operations.progress import Progress

    Document = dict[str, Any]


def plan(  # noqa: PLR0913 (the options of `mlorch plan`, all by name)
    *,
    target: str | None = None,
    benchmarks: Sequence[str] = (),
    platform: str | None = None,
    arch: str | None = None,
    base_source: str = "",
    pull: bool | None = None,
    images: str = "",
    recipes: Sequence[str] = (),
    engine: str = "",
) -> Document:
    """What `build` would do and why: ``{"target", "platform", "layers": [...], "images": [...]}``.

    Raises:
        UsageError, DefinitionError: unknown names, invalid recipes.
        RegistryError: an image in a registry is not what its name says.
    """
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection
    from orchestrator.operations.plan import plan_document, plan_images
    from orchestrator.operations.pull_policy import PullPolicy

    context = Context(tuple(recipes), wanted_engine=engine)
    selection = Selection(
        target=target, benchmarks=tuple(benchmarks), platform=platform, arch=arch, base_source=base_source
    )
    policy = PullPolicy(pull=pull, images=images)
    found = plan_images(context, selection, context.talk, pull_policy=policy)
    return plan_document(found.plans, found.outcomes)


def build(  # noqa: PLR0913 (the options of `mlorch build`, all by name)
    *,
    target: str | None = None,
    benchmarks: Sequence[str] = (),
    platform: str | None = None,
    arch: str | None = None,
    base_source: str = "",
    pull: bool | None = None,
    images: str = "",
    recipes: Sequence[str] = (),
    locked: bool = False,
    engine: str = "",
    talk: bool = False,
) -> Document:
    """Make the images present: the same document as `plan`, with what was done.

    Raises:
        StepFailed, EngineError, RegistryError: as `mlorch build`; UsageError, DefinitionError as `plan`.
    """
    from orchestrator.operations.build import build_images
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection
    from orchestrator.operations.plan import plan_document
    from orchestrator.operations.pull_policy import PullPolicy

    selection = Selection(
        target=target,
        benchmarks=tuple(benchmarks),
        platform=platform,
        arch=arch,
        base_source=base_source,
        locked=locked,
    )
    progress = _progress(talk=talk)
    context = Context(tuple(recipes), locked=locked, wanted_engine=engine, talk=progress)
    policy = PullPolicy(pull=pull, images=images)
    return plan_document(*build_images(context, selection, progress, pull_policy=policy))


def run(  # noqa: PLR0913 (the options of `mlorch run`, all by name but the benchmarks)
    benchmarks: Sequence[str] = (),
    *,
    target: str | None = None,
    arch: str | None = None,
    scenarios: Sequence[str] = (),
    mode: str = "all",
    duration: str | None = None,
    official: bool = False,
    target_qps: float | None = None,
    find: bool = False,
    devices: str = "",
    base_source: str = "",
    locked: bool = False,
    pull: bool | None = None,
    images: str = "",
    may_build: bool = True,
    recipes: Sequence[str] = (),
    results: str | os.PathLike[str] | None = None,
    engine: str = "",
    talk: bool = False,
) -> Document:
    """Run tests: ``{"results": [...]}``, one element a test, INVALID ones included.

    ``results`` is the folder of results: None takes that of the settings, else ``./results``.
    A test that fails or is INVALID raises nothing: its element says so, as exit code 1
    does on the command line.

    Raises:
        MlorchError: what stops the whole (unknown names, no engine, a host that cannot
            give what the target asks for); results of tests that ended before are kept.
    """
    from orchestrator.operations.context import Context
    from orchestrator.operations.pull_policy import PullPolicy
    from orchestrator.operations.run import run as run_tests
    from orchestrator.operations.run_request import API, run_request
    from orchestrator.results.summary import document
    from orchestrator.runs.runner import Watcher

    progress = _progress(talk=talk)
    context = Context(tuple(recipes), locked=locked, wanted_engine=engine, talk=progress)
    request = run_request(
        benchmarks=benchmarks,
        target=target,
        arch=arch,
        scenarios=scenarios,
        mode=mode,
        duration=duration,
        official=official,
        target_qps=target_qps,
        find=find,
        devices=devices,
        results=Path(results or context.settings.results or "results"),
        base_source=base_source,
        locked=locked,
        pull_policy=PullPolicy(pull=pull, build=may_build, images=images),
        engine=engine,
        recipes=recipes,
        caller=(API,),
    )
    return {"results": [document(summary) for summary in run_tests(context, request, progress, Watcher())]}


def results(folder: str | os.PathLike[str] | None = None) -> Document:
    """The runs of a results folder, newest first, as ``mlorch results list --json`` gives them.

    None takes the folder of the settings, else ``./results``.
    """
    from orchestrator.definitions.settings import read_settings
    from orchestrator.operations.progress import Silent
    from orchestrator.operations.results import ListRequest, list_runs

    place = Path(folder or read_settings().results or "results").absolute()
    return list_runs(ListRequest(folder=place), Silent()).document()


def _progress(*, talk: bool) -> Progress:
    """What goes on, on stderr, or nothing."""
    if not talk:
        from orchestrator.operations.progress import Silent

        return Silent()
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.console import Console

    return ConsoleProgress(Console())
