"""Write the Dockerfiles of a selection, and on demand all that a build of them reads; no engine needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.host.files import atomic_write_text, make_folder, write_failure
from orchestrator.plan.build.layers import folder_names, merge_layers, rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Talk


def render(context: Context, selections: Iterable[Selection]) -> dict[str, str]:
    """The text of every file, by its path below the output folder: the same bytes on every machine.

    Raises:
        UsageError, DefinitionError: unknown names, invalid recipes.
    """
    files: dict[str, str] = {}
    for selection in selections:
        plans = context.plans(selection).plans
        files |= rendered(plans[0].target, merge_layers(plans))
    return files


def render_document(files: Mapping[str, str], *, written: bool) -> dict[str, Any]:
    """The JSON of `render`: the text of every file by its path, or the paths alone of what was written to a folder."""
    return {"files": sorted(files) if written else dict(files)}


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write rendered files below ``folder``, over those that are there. Raises `WriteFailed`."""
    for name, text in files.items():
        path = folder / name
        make_folder(path.parent)
        atomic_write_text(path, text, overwrite=True)


def write_contexts(context: Context, selections: Iterable[Selection], folder: Path, talk: Talk) -> None:
    """Write the whole build context of every layer, so that `docker build` needs no mlorch.

    Raises:
        AssetError: a package cannot be had.
        WriteFailed: a file cannot be written.
    """
    from orchestrator.images.context import lay_out

    parts = context.parts()
    for selection in selections:
        plans = context.plans(selection).plans
        steps = merge_layers(plans)
        folders = folder_names(steps)
        for step in steps:
            talk.say(f"{step.name}: its context")
            path = folder / plans[0].target / folders[step.image]
            make_folder(path)
            try:
                lay_out(step, path, parts, lambda _event: None)
            except OSError as error:
                raise write_failure(path, error) from error
