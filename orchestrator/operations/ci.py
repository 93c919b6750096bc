"""Write a workflow for a CI system: the values that are asked for, checked, in the file where the system looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.ci.workflows import PATHS, Workflow, render
from orchestrator.errors import UsageError
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.host.files import WriteFailed, atomic_write_text, write_failure
from orchestrator.operations.run_request import known_name
from orchestrator.plan.build.resolve import benchmarks_of
from orchestrator.plan.run.cells import duration_ms

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog

QUICK = "image-smoke"
"""The benchmark of a workflow where none is named and the target has it: the quickest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRequest:
    """A workflow for ``system`` (`github` or `gitlab`); what is empty has a default.

    ``install`` is what pip installs (default: this version of mlorch). Written to ``output``, or where the
    system looks.
    """

    system: str
    output: Path | None = None
    registry: str = ""
    images: str = ""
    target: str = "cpu"
    benchmark: str | None = None
    scenario: str = "Offline"
    duration: str = "10s"
    tolerance: str = "20%"
    runner: str = ""
    install: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFile:
    """A workflow and where it is written."""

    path: Path
    system: str
    text: str

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {"path": str(self.path), "system": self.system}


def workflow_file(catalog: Catalog, request: WorkflowRequest) -> WorkflowFile:
    """The file, not written yet.

    Raises:
        UsageError: a name that is not known, or a value that cannot stand in a workflow.
    """
    duration_ms(request.duration)
    workflow = Workflow(
        install=request.install or f"mlorch=={__version__}",
        target=catalog.target(request.target).definition.name,
        benchmark=_benchmark(catalog, request.target, request.benchmark),
        registry=str(parse_registry_prefix(request.registry)) if request.registry else "",
        images=request.images,
        runner=request.runner,
        scenario=known_name("scenario", request.scenario, (*SCENARIOS, "all")),
        duration=request.duration,
        tolerance=request.tolerance,
    )
    path = request.output or Path(PATHS[request.system])
    return WorkflowFile(path=path, system=request.system, text=render(request.system, workflow))


def _benchmark(catalog: Catalog, target: str, given: str | None) -> str:
    """The benchmark that is named, or a quick one; raises `UsageError` where the target does not run it."""
    runnable = benchmarks_of(catalog, target)
    if given is not None:
        name = catalog.benchmark(given).definition.name
        if name not in runnable:
            hint = f"it runs: {', '.join(runnable) or 'none'}"
            raise UsageError(f"target `{target}` does not run `{name}`", hint=hint, slug="target-mismatch")
        return name
    if not runnable:
        raise UsageError(f"target `{target}` runs no benchmark", hint="name another --target", slug="no-benchmark")
    return QUICK if QUICK in runnable else runnable[0]


def write_workflow(file: WorkflowFile, *, force: bool = False) -> None:
    """Put the file where it belongs; a file that is there is replaced only with ``force``.

    Raises:
        WriteFailed: it exists (`exists`), or cannot be written.
    """
    if file.path.exists() and not force:
        raise WriteFailed(
            f"{file.path} exists already",
            hint="read it first; then --force replaces it, -o writes elsewhere and `-o -` prints it",
            slug="exists",
        )
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(file.path, error) from error
    atomic_write_text(file.path, file.text, overwrite=force)
