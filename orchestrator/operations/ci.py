"""Write a workflow for a CI system: the values that are asked for, checked, in the file where the system looks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.ci.workflows import PATHS, Workflow, render
from orchestrator.errors import UsageError
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.host.files import WriteFailed, atomic_write_text, make_folder, output_path
from orchestrator.operations.run.request import known_name
from orchestrator.plan.build.frameworks import benchmarks_of
from orchestrator.plan.run.cells import duration_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.catalog import Catalog

QUICK = "image-smoke"
"""The benchmark of a workflow where none is named and the target has it: the quickest."""


def workflow_file(
    catalog: Catalog, system: str, values: Mapping[str, str], *, benchmark: str | None, output: str | None = None
) -> tuple[Path, str]:
    """Path and text of the file for ``system`` (`github` or `gitlab`); ``values`` are the other fields of `Workflow`.

    Without ``benchmark`` a quick one of the target is taken, an empty ``install`` is this version of mlorch, and
    ``output`` stands for where the system looks.

    Raises:
        UsageError: a name that is not known, or a value that cannot stand in a workflow.
    """
    duration_ms(values["duration"])
    checked = {
        "install": values["install"] or f"mlorch=={__version__}",
        "target": catalog.target(values["target"]).definition.name,
        "benchmark": _benchmark(catalog, values["target"], benchmark),
        "registry": str(parse_registry_prefix(values["registry"])) if values["registry"] else "",
        "scenario": known_name("scenario", values["scenario"], (*SCENARIOS, "all")),
    }
    return Path(output or PATHS[system]), render(system, Workflow(**{**values, **checked}))


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


def write_workflow(path: Path, text: str, *, force: bool = False) -> None:
    """Put the file where it belongs; a file that is there is replaced only with ``force``.

    Raises:
        WriteFailed: it exists (`exists`), or cannot be written.
    """
    path = output_path(path)
    if path.exists() and not force:
        raise WriteFailed(
            f"{path} exists already",
            hint="read it first; then --force replaces it, -o writes elsewhere and `-o -` prints it",
            slug="exists",
        )
    make_folder(path.parent)
    atomic_write_text(path, text, overwrite=force)
