"""A benchmark whose model is a file, or a folder, beside the recipe: the model's own recipe is made of what it says.

What nobody said stays unsaid (`NOASSERTION` is SPDX's word for it), and what the file says of its tensors needs not
be written: each such value stands at the place that names the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from orchestrator.definitions.catalog.entries import AnyEntry, Entry
from orchestrator.definitions.catalog.hub_words import CONFIG, labels_of
from orchestrator.definitions.catalog.preparation import PreparationFault
from orchestrator.definitions.kinds.assets import Model
from orchestrator.definitions.kinds.base import Strict, is_name, is_relative_path
from orchestrator.definitions.kinds.beside import ModelFile
from orchestrator.definitions.yaml import decode, nearest, suggestion
from orchestrator.definitions.yaml.nodes import ListNode, MapNode, Node, ScalarNode
from orchestrator.errors import DefinitionError
from orchestrator.facts.model_file import FileFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Protocol

    from orchestrator.definitions.catalog.roots import Root
    from orchestrator.definitions.yaml import Document
    from orchestrator.errors import Problem
    from orchestrator.facts.model_file import FileFacts, TensorFacts
    from orchestrator.facts.sample_folder import HubFacts, SampleFacts

    class Look(Protocol):
        """What a file or folder NAME below a folder is: the module `host.recipe_files`."""

        def file(self, folder: Path, name: str, /) -> FileFacts | FileFault:
            """An ONNX file."""

        def hub(self, folder: Path, name: str, /) -> HubFacts | FileFault:
            """A model as Hugging Face lays it out."""

        def samples(self, folder: Path, name: str, /) -> SampleFacts | FileFault:
            """A folder of samples."""


S = TypeVar("S", bound=Strict)
NOT_SAID = "not said"
_DTYPES = ("float32", "uint8", "int64")
"""What a benchmark can say of its input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file beside a recipe: what the recipe says of it, where, and what the file itself says."""

    said: ModelFile
    node: Node
    name: str
    """below the recipe's folder"""
    facts: FileFacts
    hub: HubFacts | None = None
    """of a folder: all that it says"""
    labels: tuple[str, ...] = ()
    """of a folder: what its answers mean"""


def is_url(node: Node | None) -> bool:
    """Whether `model` is the address of a server."""
    return isinstance(node, ScalarNode) and node.value.startswith(("http://", "https://"))


def is_file(node: Node | None) -> bool:
    """Whether `model` is a file: a map, or a text that begins as a path does."""
    if isinstance(node, ScalarNode):
        return node.value.startswith(("./", "../", "/"))
    return isinstance(node, MapNode)


def file_of(document: Document, path: Path, look: Look | None) -> File | None:
    """The file that a benchmark names as its model; None where it names a recipe.

    Raises `DefinitionError`: `file-outside`, `file-missing`, `file-kind`, `model-folder`, `model-url`, `not-onnx`,
    `model-parts`.
    """
    node = document.node(("model",))
    if is_url(node):
        hint = (
            "measure the server with `mlorch run --endpoint URL --model NAME`; here name an ONNX file, a folder or a "
            "recipe: docs/add-a-benchmark.md"
        )
        message = "a server at a URL is no model of a recipe: mlorch runs models in its own containers"
        raise DefinitionError([document.fault("model-url", message, ("model",), hint)])
    if node is None or not is_file(node):
        return None
    said, node = said_of(document, node, ModelFile, "file")
    name = beside(document, node, said.file)
    if look is None:
        raise fault("file-missing", f"`{name}` cannot be read here", "name a recipe of the model", document, node)
    if (path.parent / name).is_dir():
        return _hub_file(document, said, node, name, look.hub(path.parent, name))
    found = look.file(path.parent, name)
    if isinstance(found, FileFault):
        raise fault(found.slug, found.message, found.hint or near_file(path.parent / name), document, node)
    return File(said=said, node=node, name=name, facts=found)


def _hub_file(document: Document, said: ModelFile, node: Node, name: str, found: HubFacts | FileFault) -> File:
    """The model in a Hugging Face-style folder, whose descriptions are honoured."""
    if isinstance(found, FileFault):
        raise fault(found.slug, found.message, found.hint, document, node)
    try:
        labels = labels_of(found.config)
    except PreparationFault as unfit:
        raise fault("model-folder", f"`{name}`: {unfit.message}", unfit.hint, document, node) from None
    (output, *more) = found.facts.outputs
    answers = output.shape[-1] if len(output.shape) == 2 and not more else 0
    if answers and answers != len(labels):
        message = f"`{name}`: the model gives {answers} answers, and {CONFIG} has {len(labels)} labels"
        raise fault("model-folder", message, "they are not of the same model: export it again", document, node)
    return File(said=said, node=node, name=name, facts=found.facts, hub=found, labels=labels)


def fault(slug: str, message: str, hint: str, document: Document, node: Node) -> DefinitionError:
    """A fault at a value of a recipe."""
    return DefinitionError([document.problem(slug, message, node.span(document.path), hint)])


def said_of(document: Document, node: Node, kind: type[S], key: str) -> tuple[S, Node]:
    """What a recipe says of a file or folder beside it, and the node of its name: a name, or a map with ``key``."""
    if isinstance(node, MapNode):
        return decode(replace(document, root=node, problems=()), kind), node.child(key) or node
    assert isinstance(node, ScalarNode)  # `is_file` knows no other
    return kind.model_validate({key: node.value}), node


def beside(document: Document, node: Node, text: str) -> str:
    """The name of a file or folder beside a recipe. Raises `DefinitionError`: `file-outside`, `bad-value`."""
    given = PurePosixPath(text)
    if given.is_absolute() or ".." in given.parts:
        hint = "copy it beside the recipe: files outside of a recipe tree are never read"
        raise fault("file-outside", f"`{text[:200]}` leads out of the recipe's folder", hint, document, node)
    if not is_relative_path(str(given)):
        hint = "letters, digits and `._/@+~-`: give it another name"
        raise fault("bad-value", f"`{text[:200]}` is not a relative path", hint, document, node)
    return str(given)


def near_file(path: Path) -> str:
    folder = path.parent
    near = nearest(path.name, [other.name for other in folder.iterdir()]) if folder.is_dir() else []
    return f"did you mean `{near[0]}`?" if near else f"looked for {path}"


# -- the model's recipe -------------------------------------------------------------------


def model_of(document: Document, file: File, path: Path, root: Root) -> AnyEntry | None:
    """The recipe of the model that a benchmark's file is, called as the benchmark; None for one without a name."""
    name = document.node(("name",))
    if not isinstance(name, ScalarNode) or not is_name(name.value):
        return None  # decoding the benchmark tells that
    licence = file.said.licence
    terms = {"spdx": "NOASSERTION", "note": NOT_SAID} if licence is None else licence.model_dump(exclude_defaults=True)
    base = PurePosixPath(file.name).name
    files = {file.name: file.facts.sha256}
    if file.hub is not None:
        files = {f"{file.name}/{file.hub.model}": file.facts.sha256}
        files |= {f"{file.name}/{each}": sha256 for each, sha256 in file.hub.files.items()}
    sources = [{"kind": "recipe", "path": each, "sha256": sha256, "licence": terms} for each, sha256 in files.items()]
    outputs = [{"file": PurePosixPath(each).name, "sha256": sha256} for each, sha256 in files.items()]
    outputs[0]["size"] = str(file.facts.size)
    recipe = {
        "kind": "model",
        "name": name.value,
        "title": file.said.title or f"{base}, the model of benchmark {name.value}"[:120],
        "format": "onnx",
        "trained_by": file.said.trained_by or NOT_SAID,
        "sources": sources,
        "outputs": outputs,
    }
    notes = dict.fromkeys(recipe, f"the file {file.name}")
    own = replace(document, root=tree_of(recipe, file.node), notes=notes, problems=())
    return Entry(definition=decode(own, Model), document=own, path=path, origin=root.origin, root=root.path)


def named(document: Document, file: File, name: str) -> Document:
    """The benchmark with the name of its model where the file stood."""
    return with_value(document, ("model",), name, file.node, f"the file {file.name}")


def tree_of(value: object, place: Node) -> Node:
    """Plain maps, lists and texts as a tree, all of it at one place."""
    range_ = (place.line, place.column, place.end_line, place.end_column)
    node: Node
    if isinstance(value, dict):
        node = MapNode(*range_)
        for key, each in value.items():
            node.entries[key] = (ScalarNode(*range_, key, null=False), tree_of(each, place))
    elif isinstance(value, list):
        node = ListNode(*range_)
        node.items = [tree_of(each, place) for each in value]
    else:
        node = ScalarNode(*range_, str(value), null=False)
    node.path = place.path
    return node


def with_value(document: Document, loc: tuple[str, ...], value: str, place: Node, note: str) -> Document:
    """The document with a value at a place of one or two keys, and what brought it."""
    root = document.root
    assert isinstance(root, MapNode)  # it has a `model`
    tree: object = value
    for key in reversed(loc[1:]):
        tree = {key: tree}
    node = tree_of(tree, place)
    outer = root.child(loc[0])
    copy = MapNode(root.line, root.column, root.end_line, root.end_column)
    copy.path = root.path
    copy.entries = dict(root.entries)
    if len(loc) > 1 and isinstance(outer, MapNode) and isinstance(node, MapNode):
        both = MapNode(outer.line, outer.column, outer.end_line, outer.end_column)
        both.path = outer.path
        both.entries = {**outer.entries, **node.entries}
        node = both
    key_node = root.entries[loc[0]][0] if loc[0] in root.entries else ScalarNode(1, 1, 1, 2, loc[0], null=False)
    copy.entries[loc[0]] = (key_node, node)
    return replace(document, root=copy, notes={**document.notes, ".".join(loc): note})


# -- tensors ------------------------------------------------------------------------------


def with_tensors(document: Document, file: File) -> Document:
    """The benchmark with the names of its tensors as the file has them, where they go without saying.

    Raises `DefinitionError`: `model-interface`, what the recipe says is not so, or there is a choice to make.
    """
    problems = [
        *_wrong(document, file, "input", file.facts.inputs),
        *_wrong(document, file, "output", file.facts.outputs),
    ]
    if problems:
        raise DefinitionError(problems)
    for key, tensors in (("input", file.facts.inputs), ("output", file.facts.outputs)):
        if document.node((key, "name")) is None:
            document = with_value(document, (key, "name"), tensors[0].name, file.node, f"read from {file.name}")
    if document.node(("input", "dtype")) is None:
        dtype = file.facts.inputs[0].dtype
        document = with_value(document, ("input", "dtype"), dtype, file.node, f"read from {file.name}")
    return document


def _wrong(document: Document, file: File, key: str, tensors: tuple[TensorFacts, ...]) -> Iterator[Problem]:
    """What is said of an input or output and is not so, or is not said and should be."""
    names = [each.name for each in tensors]
    listed = ", ".join(f"`{name[:60]}`" for name in names[:8])
    given = document.node((key, "name"))
    if isinstance(given, ScalarNode) and given.value not in names:
        message = f"`{file.name}` has no {key} `{given.value[:60]}`"
        yield document.fault("model-interface", message, (key, "name"), suggestion(given.value, names))
    elif key == "output" and given is None and len(names) > 1:
        message = f"`{file.name}` has {len(names)} outputs: {listed}"
        hint = f"say which one is scored: `output: {{name: {names[0]}}}`"
        yield document.problem("model-interface", message, file.node.span(document.path), hint)
    elif key == "input" and len(names) > 1:
        message = f"`{file.name}` has {len(names)} inputs: {listed}; mlorch's own harness feeds one"
        hint = "export the model with one input, or bring a harness of your own: docs/add-a-harness.md"
        yield document.problem("model-interface", message, file.node.span(document.path), hint)
    elif key == "input":
        yield from _wrong_dtype(document, file, tensors[0])


def _wrong_dtype(document: Document, file: File, tensor: TensorFacts) -> Iterator[Problem]:
    given = document.node(("input", "dtype"))
    if tensor.dtype not in _DTYPES:
        takes = tensor.dtype or "no array of numbers"
        message = f"`{file.name}` takes {takes}; mlorch's own harness feeds {', '.join(_DTYPES)}"
        hint = "export the model with one of these, or bring a harness of your own: docs/add-a-harness.md"
        yield document.problem("model-interface", message, file.node.span(document.path), hint)
    elif isinstance(given, ScalarNode) and given.value != tensor.dtype:
        message = f"`{file.name}` takes {tensor.dtype}, not {given.value[:60]}"
        yield document.fault("model-interface", message, ("input", "dtype"), "leave `dtype` out: the file says it")
