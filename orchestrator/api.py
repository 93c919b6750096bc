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

    Document = dict[str, Any]


def plan(
    *,
    target: str | None = None,
    benchmarks: Sequence[str] = (),
    platform: str | None = None,
    base_source: str = "",
    recipes: Sequence[str] = (),
    engine: str = "",
) -> Document:
    """What `build` would do and why: ``{"target", "platform", "layers": [...], "images": [...]}``.

    Raises:
        UsageError, DefinitionError: unknown names, invalid recipes.
    """
    from orchestrator.commands.plan import outlook, plan_document
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection

    context = Context(tuple(recipes), wanted_engine=engine)
    selection = Selection(target=target, benchmarks=tuple(benchmarks), platform=platform, base_source=base_source)
    plans = context.plans(selection).plans
    return plan_document(plans, outlook(context, plans))


def build(  # noqa: PLR0913 (the options of `mlorch build`, all by name)
    *,
    target: str | None = None,
    benchmarks: Sequence[str] = (),
    platform: str | None = None,
    base_source: str = "",
    recipes: Sequence[str] = (),
    locked: bool = False,
    engine: str = "",
    talk: bool = False,
) -> Document:
    """Make the images present: the same document as `plan`, with what was done.

    Raises:
        StepFailed, EngineError: as `mlorch build`; UsageError, DefinitionError as `plan`.
    """
    from orchestrator.commands.build import build_images
    from orchestrator.commands.plan import plan_document
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection

    selection = Selection(
        target=target, benchmarks=tuple(benchmarks), platform=platform, base_source=base_source, locked=locked
    )
    context = Context(tuple(recipes), locked=locked, wanted_engine=engine)
    return plan_document(*build_images(context, selection, Console(quiet=not talk)))


def run(  # noqa: PLR0913 (the options of `mlorch run`, all by name but the benchmarks)
    benchmarks: Sequence[str] = (),
    *,
    target: str | None = None,
    scenarios: Sequence[str] = (),
    mode: str = "all",
    duration: str | None = None,
    target_qps: float | None = None,
    devices: str = "",
    recipes: Sequence[str] = (),
    results: str | os.PathLike[str] = "results",
    engine: str = "",
    talk: bool = False,
) -> Document:
    """Run tests: ``{"results": [...]}``, one element a test, INVALID ones included.

    A test that fails or is INVALID raises nothing: its element says so, as exit code 1
    does on the command line.

    Raises:
        MlorchError: what stops the whole (unknown names, no engine, a host that cannot
            give what the target asks for); results of tests that ended before are kept.
    """
    from orchestrator.commands.run import MODES, SCENARIOS, check, one_of
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.run import perform
    from orchestrator.operations.run_plan import Request
    from orchestrator.plan.run.planner import duration_ms
    from orchestrator.results.summary import Summary, document

    request = Request(
        benchmarks=tuple(benchmarks),
        target=target,
        scenarios=tuple(one_of("scenario", name, (*SCENARIOS, "all")) for name in scenarios),
        mode=one_of("mode", mode, MODES),
        min_duration_ms=None if duration is None else duration_ms(duration),
        target_qps=target_qps,
        results=Path(results),
        devices=devices,
    )
    check(request)
    done: list[Summary] = []
    perform(Context(tuple(recipes), wanted_engine=engine), request, Console(quiet=not talk), done=done)
    return {"results": [document(summary) for summary in done]}


def results(folder: str | os.PathLike[str] = "results") -> Document:
    """The runs of a results folder, newest first, as ``mlorch results list --json`` gives them."""
    from orchestrator.commands.results import list_document
    from orchestrator.results.store import Store

    return list_document(Store(Path(folder).absolute()))
