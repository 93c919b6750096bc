"""`recipes`: list, show and start definitions. Checking them is `operations.lint`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.catalog.choose import chosen, source_of
from orchestrator.definitions.catalog.load import kind_of
from orchestrator.definitions.catalog.roots import package_folder
from orchestrator.definitions.kinds.base import is_name
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.variations import leaves, parse_changes
from orchestrator.definitions.yaml import nearest, suggestion
from orchestrator.errors import UsageError
from orchestrator.facts.model_file import FileFault
from orchestrator.host import recipe_files
from orchestrator.host.files import atomic_write_text, copy_new, link_or_copy, make_folder, require_new

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import AnyEntry, Catalog
    from orchestrator.operations.context import Context

_FOLDERS = {"harness": "harnesses"}


def list_recipes(context: Context, kind: str | None = None) -> tuple[dict[str, str], ...]:
    """All recipes, or those of a kind, and where each comes from, as the JSON of `recipes list` has them.

    Raises:
        UsageError: `unknown-kind`. DefinitionError: invalid recipes.
    """
    if kind is not None:
        _require_kind(kind)
    return tuple(_facts(entry) for entry in context.catalog.entries(kind))


def show_recipe(context: Context, name: str, changes: Sequence[str] = ()) -> AnyEntry:
    """A recipe by NAME, or by KIND/NAME where several kinds have the name, with the choices of ``changes``.

    Raises:
        UsageError: `unknown-recipe`, `ambiguous-recipe`, `unknown-kind`; as `catalog.choose.chosen` for the changes.
        DefinitionError: invalid recipes.
    """
    found = _find(context.catalog, name)
    if not changes:
        return found
    return chosen(context.catalog, found, parse_changes(changes, found.written or found.document))


def _find(catalog: Catalog, name: str) -> AnyEntry:
    kind, slash, rest = name.partition("/")
    if slash:
        _require_kind(kind)
        return catalog.get(kind, rest)
    found = [catalog.by_key[kind, name] for kind in KINDS if (kind, name) in catalog.by_key]
    if found and all(each.path == found[0].path for each in found):
        # A benchmark and the model that its file implies are one recipe.
        return catalog.by_key.get(("benchmark", name), found[0])
    if found:
        names = " or ".join(f"`{kind_of(entry)}/{name}`" for entry in found)
        raise UsageError(f"several recipes are named `{name}`", hint=f"say {names}", slug="ambiguous-recipe")
    near = nearest(name, [known for _, known in catalog.by_key], limit=3)
    meant = f"did you mean {' or '.join(f'`{n}`' for n in near)}? " if near else ""
    hint = f"{meant}see `mlorch recipes list`; recipes of your own: --recipes FOLDER, or in the folder of mlorch.yaml"
    raise UsageError(f"there is no recipe `{name}`", hint=hint, slug="unknown-recipe")


def recipe_document(entry: AnyEntry) -> dict[str, Any]:
    """The JSON of `recipes show`: the recipe as it was understood, with defaults, and where it comes from.

    Of one with axes also what was chosen; ``sources`` says for each value that is written who wrote it, where that
    is not the recipe alone.
    """
    definition = entry.definition.model_dump(mode="json", by_alias=True, exclude_none=True)
    document = {**_facts(entry), "sha256": entry.sha256, "definition": definition}
    if entry.variation is None or (not entry.variation.chosen and not is_written_out(entry)):
        return document
    sources = {path: source for path, _, source in resolved_values(entry)}
    return {**document, "chosen": dict(entry.variation.chosen), "sources": sources}


def is_written_out(entry: AnyEntry) -> bool:
    """Whether a recipe says less than it means: it is like another, or its model is a file."""
    return bool(entry.document.notes)


def resolved_values(entry: AnyEntry) -> tuple[tuple[str, str, str], ...]:
    """Each value of a recipe with its choices made: its dotted path, the text, and what wrote it."""
    return tuple((path, text, source_of(entry, path)) for path, text in leaves(entry.document))


def new_recipe(kind: str, name: str, folder: Path) -> Path:
    """Start a recipe of a kind below a folder of recipes: a commented file to fill in; gives its path.

    Raises:
        UsageError: as `skeleton`. WriteFailed: the file exists, or cannot be written.
    """
    text = skeleton(kind, name)
    path = folder / _FOLDERS.get(kind, f"{kind}s") / f"{name}.yaml"
    make_folder(path.parent)
    atomic_write_text(path, text)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBenchmark:
    """A benchmark that was started: its recipe, and what was laid beside it."""

    path: Path
    beside: tuple[Path, ...]


def new_benchmark(name: str, model: str, dataset: Path | None, like: str, folder: Path) -> NewBenchmark:
    """Start a benchmark, like another one, over a model or data of the caller's.

    ``model`` is an ONNX file, a Hugging Face-style folder, or the name of a recipe; ``dataset`` a folder of samples,
    None for the data of the other benchmark. What is no recipe is laid beside the new one unless it lies there
    already: what is outside of a recipe tree is never read. Files of a data set are linked where the file system can.

    Raises:
        UsageError: `bad-name`; `bad-model`, `bad-dataset`, what is given is none that can be named. WriteFailed: a
            file exists, or cannot be written.
    """
    for text in (name, like):
        _require_name(text)
    path = folder / "benchmarks" / f"{name}.yaml"
    words = {"NAME": name, "LIKE": like, "MODEL": model}
    copies: list[tuple[Path, Path, tuple[str, ...]]] = []
    if Path(model).exists():
        target, files = _model_files(Path(model), path.parent, name)
        words["MODEL"] = f"./{target.name}"
        copies.append((Path(model), target, files))
    elif "/" in model or model.endswith(".onnx"):
        raise UsageError(f"there is no file or folder {model}", hint="give its path from here", slug="bad-model")
    else:
        _require_name(model)
    if dataset is not None:
        target = path.parent / f"{name}-samples"
        words["DATASET"] = f"./{target.name}"
        copies.append((dataset, target, _sample_files(dataset)))
    make_folder(path.parent)
    require_new(path)
    for source, target, files in copies:
        _lay_beside(source, target, files)
    template = "benchmark" if dataset is None else "samples"
    text = (package_folder() / "skeletons" / "short" / f"{template}.yaml").read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    atomic_write_text(path, text)
    return NewBenchmark(path=path, beside=tuple(target for _, target, _ in copies))


def _model_files(model: Path, folder: Path, name: str) -> tuple[Path, tuple[str, ...]]:
    """Where a model is to lie beside its recipe, and which of its files; none for a file that is the model."""
    place = model.absolute()
    if model.is_dir():
        found = recipe_files.hub(place.parent.resolve(), place.name)
        if not isinstance(found, FileFault):
            return folder / f"{name}-model", (found.model, *found.files)
    else:
        facts = recipe_files.file(place.parent.resolve(), place.name)
        if not isinstance(facts, FileFault):
            return folder / f"{name}.onnx", ()
        found = facts
    raise _bad_model(model, found)


def _bad_model(model: Path, fault: FileFault) -> UsageError:
    """What the recipe of the model would be told about its file."""
    return UsageError(f"{model}: {fault.message}", hint=fault.hint or "name an ONNX file", slug="bad-model")


def _sample_files(dataset: Path) -> tuple[str, ...]:
    """Every file of a folder of samples by its name; hidden ones are left out."""
    place = dataset.absolute()
    found = recipe_files.samples(place.parent.resolve(), place.name)
    if isinstance(found, FileFault):
        raise _bad_dataset(dataset, found)
    below = place / found.below
    names = (path.relative_to(place) for path in sorted(below.rglob("*")) if path.is_file())
    return tuple(str(name) for name in names if not any(part.startswith(".") for part in name.parts))


def _bad_dataset(dataset: Path, fault: FileFault) -> UsageError:
    """What the recipe of the data set would be told about its folder."""
    return UsageError(f"{dataset}: {fault.message}", hint=fault.hint, slug="bad-dataset")


def _lay_beside(source: Path, target: Path, files: tuple[str, ...]) -> None:
    """A file, or the named files of a folder, at ``target``; nothing where it lies there already."""
    if target.exists() and target.samefile(source):
        return
    if not files:
        copy_new(source, target)
        return
    require_new(target)
    for name in files:
        make_folder((target / name).parent)
        link_or_copy(source / name, target / name)


def skeleton(kind: str, name: str) -> str:
    """The text of a new recipe.

    Raises:
        UsageError: `unknown-kind`, or `bad-name` for a name that cannot be one.
    """
    _require_kind(kind)
    _require_name(name)
    text = (package_folder() / "skeletons" / f"{kind}.yaml").read_text(encoding="utf-8")
    return text.replace("@NAME@", name)


def _require_name(name: str) -> None:
    if not is_name(name):
        hint = "lower-case letters and digits, joined by `-`, `_` or `.`"
        raise UsageError(f"`{name[:80]}` cannot be a name", hint=hint, slug="bad-name")


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"there is no kind `{kind}`", hint=suggestion(kind, KINDS), slug="unknown-kind")


def _facts(entry: AnyEntry) -> dict[str, str]:
    what = entry.definition
    return {
        "kind": kind_of(entry),
        "name": what.name,
        "title": what.title,
        "origin": entry.origin,
        "path": str(entry.path),
    }
