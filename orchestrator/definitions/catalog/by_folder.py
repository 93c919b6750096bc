"""A benchmark whose data set is a folder beside the recipe: the data set's own recipe is made of what lies there.

Photos are prepared as the recipe, the model's own description and the model's input say (`preparation`); arrays are
taken as they are. What comes of it has no hash beforehand: the folder's files are hashed before each use, and the
arrays when they are made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.by_file import (
    NOT_SAID,
    beside,
    fault,
    is_file,
    near_file,
    said_of,
    tree_of,
    with_value,
)
from orchestrator.definitions.catalog.entries import AnyEntry, Entry
from orchestrator.definitions.catalog.hub_words import described
from orchestrator.definitions.catalog.preparation import PreparationFault, prepared
from orchestrator.definitions.kinds.assets import Dataset
from orchestrator.definitions.kinds.base import is_name
from orchestrator.definitions.kinds.beside import SampleFolder
from orchestrator.definitions.yaml import decode
from orchestrator.definitions.yaml.nodes import Node, ScalarNode
from orchestrator.facts.model_file import FileFault, TensorFacts

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.definitions.catalog.by_file import File, Look
    from orchestrator.definitions.catalog.roots import Root
    from orchestrator.definitions.yaml import Document
    from orchestrator.facts.sample_folder import SampleFacts

SCRIPT = "builtin:prepare/samples.py"
LAYER = "prep"
MOST_IN_MEMORY = 1024
"""Samples that LoadGen keeps in memory where nothing is said, as MLPerf has it for ImageNet."""
_OF_PHOTOS = frozenset(("size", "short_side", "resize", "resample", "scale", "mean", "std", "layout", "channels"))
_SAFE = {"uint8": {"uint8", "float32", "int64"}, "float32": {"float32"}, "int64": {"int64"}, "int32": {"int64"}}
"""The type of an array → those of a model's input that hold all of its values."""
_ITEM = {"float32": 4, "uint8": 1, "int64": 8, "int32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """A folder of samples beside a recipe: what the recipe says of it, where, and what lies there."""

    said: SampleFolder
    node: Node
    name: str
    """below the recipe's folder"""
    facts: SampleFacts


def samples_of(document: Document, path: Path, look: Look | None) -> Samples | None:
    """The folder that a benchmark names as its data set; None where it names a recipe.

    Raises `DefinitionError`: `file-outside`, `file-missing`, `sample-folder`.
    """
    node = document.node(("dataset",))
    if node is None or not is_file(node):
        return None
    said, node = said_of(document, node, SampleFolder, "folder")
    name = beside(document, node, said.folder)
    if look is None:
        raise fault("file-missing", f"`{name}` cannot be read here", "name a recipe of the data", document, node)
    found = look.samples(path.parent, name)
    if isinstance(found, FileFault):
        raise fault(found.slug, found.message, found.hint or near_file(path.parent / name), document, node)
    if found.form in {"arrays", "array-files"} and said.model_fields_set & _OF_PHOTOS:
        key = min(said.model_fields_set & _OF_PHOTOS)
        message = f"`{name}` holds arrays, which are taken as they are: `{key}` is of photos"
        raise fault("sample-folder", message, f"leave `{key}` out", document, node)
    return Samples(said=said, node=node, name=name, facts=found)


def dataset_of(document: Document, samples: Samples, file: File | None, path: Path, root: Root) -> AnyEntry | None:
    """The recipe of the data set that a benchmark's folder is, called as the benchmark; None for one without a name.

    Raises `DefinitionError`: `preparation`, it is not known how samples become what the model takes; `sample-labels`.
    """
    name = document.node(("name",))
    if not isinstance(name, ScalarNode) or not is_name(name.value):
        return None  # decoding the benchmark tells that
    try:
        words = _words(document, samples, file)
    except PreparationFault as unfit:
        raise fault("preparation", unfit.message, unfit.hint, document, samples.node) from None
    licence = samples.said.licence
    terms = {"spdx": "NOASSERTION", "note": NOT_SAID} if licence is None else licence.model_dump(exclude_defaults=True)
    base = PurePosixPath(samples.name).name
    recipe: dict[str, object] = {
        "kind": "dataset",
        "name": name.value,
        "title": samples.said.title or f"{base}, the samples of benchmark {name.value}"[:120],
        "samples": samples.facts.samples,
        "sources": [{"kind": "folder", "path": samples.name, "licence": terms}],
        "prepare": {"script": SCRIPT, "layer": LAYER, "args": list(words)},
        "outputs": [{"file": "inputs.npy"}, {"file": "labels.npy"}],
        "needs": {"disk": str(_bytes(samples, words))},
        "inputs": "inputs.npy",
        "labels": "labels.npy",
    }
    notes = dict.fromkeys(recipe, f"the folder {samples.name}")
    own = replace(document, root=tree_of(recipe, samples.node), notes=notes, problems=())
    return Entry(definition=decode(own, Dataset), document=own, path=path, origin=root.origin, root=root.path)


def with_samples(document: Document, own: Document, samples: Samples, name: str) -> Document:
    """The benchmark with the name of its data set where the folder stood, and as many samples in memory as fit.

    Raises `DefinitionError` [accuracy-unknown] where ``own``, the recipe without what it is like, says no reference:
    that of another benchmark says nothing about these samples.
    """
    if own.node(("accuracy", "reference")) is None:
        message = f"nobody says what the model reaches on `{samples.name}`"
        hint = (
            "write `accuracy: {reference: PERCENT}`; where you do not know it, write 1, run with --mode accuracy, and "
            "write what it says"
        )
        raise fault("accuracy-unknown", message, hint, document, samples.node)
    note = f"the folder {samples.name}"
    document = with_value(document, ("dataset",), name, samples.node, note)
    if own.node(("performance_samples",)) is None:
        count = str(min(samples.facts.samples, MOST_IN_MEMORY))
        document = with_value(document, ("performance_samples",), count, samples.node, note)
    return document


# -- what the step is told -----------------------------------------------------------------


def _words(document: Document, samples: Samples, file: File | None) -> tuple[str, ...]:
    facts = samples.facts
    words = ["--form", facts.form]
    words += ["--below", facts.below] if facts.below else []
    tensor = _tensor(document, file)
    model = file.name if file is not None else "the model"
    if facts.form in {"arrays", "array-files"}:
        _require_fit(samples, tensor, model)
        words += ["--arrays", *facts.arrays] if facts.form == "arrays" else []
        return tuple(words)
    words += _labels(samples, file)
    from_hub = described(file.hub.preprocessor if file is not None and file.hub is not None else None)
    return (*words, *prepared(samples.said, from_hub, tensor, model).words())


def _tensor(document: Document, file: File | None) -> TensorFacts:
    """The model's input; of a model that is a recipe only what the benchmark says of it."""
    if file is not None:
        return file.facts.inputs[0]
    name, dtype = document.node(("input", "name")), document.node(("input", "dtype"))
    return TensorFacts(
        name=name.value if isinstance(name, ScalarNode) else "",
        dtype=dtype.value if isinstance(dtype, ScalarNode) else "float32",
    )


def _require_fit(samples: Samples, tensor: TensorFacts, model: str) -> None:
    """Whether arrays are what the model takes, as far as both say it."""
    shape, wanted = samples.facts.shape, tensor.shape[1:]
    fits = len(shape) == len(wanted) and all(other in {0, one} for one, other in zip(shape, wanted, strict=True))
    if tensor.shape and not fits:
        raise PreparationFault(
            f"a sample of `{samples.name}` is {list(shape)}, and `{model}` takes {[each or '?' for each in wanted]}",
            "prepare the samples as the model takes them",
        )
    if tensor.dtype not in _SAFE.get(samples.facts.dtype, ()):
        raise PreparationFault(
            f"the samples of `{samples.name}` are {samples.facts.dtype}, and `{model}` takes {tensor.dtype}",
            f"save them as {tensor.dtype}",
        )


def _labels(samples: Samples, file: File | None) -> list[str]:
    """How the names of class folders are labels: they are numbers, names that the model knows, or all in order."""
    facts, answers = samples.facts, _answers(file)
    if facts.form == "val-map":
        _require_known(samples, "label", facts.highest, answers)
        return []
    if all(re.fullmatch(r"[0-9]{1,9}", name) for name in facts.classes):
        _require_known(samples, "class folder", max(int(name) for name in facts.classes), answers)
        return ["--classes", "numbers"]
    known = _known_labels(file.labels if file is not None else ())
    unknown = [name for name in facts.classes if _plain(name) not in known]
    if not unknown:
        words = ["--classes", "labels"]
        for name in facts.classes:
            words += ["--label", f"{known[_plain(name)]}={name}"]
        return words
    if answers and len(facts.classes) != answers:
        raise PreparationFault(
            f"`{samples.name}` has {len(facts.classes)} class folders, `{unknown[0][:60]}` among them, and the model "
            f"gives {answers} answers",
            "name each folder by the number of its label, from 0; or have one for each label, in the order of names",
        )
    return ["--classes", "order"]


def _require_known(samples: Samples, what: str, highest: int, answers: int) -> None:
    if answers and highest >= answers:
        raise PreparationFault(
            f"a {what} of `{samples.name}` is {highest}, and the model gives {answers} answers, from 0",
            "labels are counted from 0, and a folder whose name is a number is a label",
        )


def _answers(file: File | None) -> int:
    """How many labels a model knows; 0 where that is not said."""
    if file is None:
        return 0
    if file.labels:
        return len(file.labels)
    shape = file.facts.outputs[0].shape if len(file.facts.outputs) == 1 else ()
    return shape[-1] if len(shape) == 2 else 0


def _known_labels(labels: tuple[str, ...]) -> dict[str, int]:
    """Each name of a label, and where it stands; a label may have several, and a name that two have is none."""
    found: dict[str, int] = {}
    twice = set()
    for place, label in enumerate(labels):
        for name in {_plain(label), *(_plain(part) for part in label.split(","))}:
            twice |= {name} if name in found else set()
            found[name] = place
    return {name: place for name, place in found.items() if name not in twice}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def _bytes(samples: Samples, words: tuple[str, ...]) -> int:
    """Bytes of the arrays that come of it; 0 where nobody knows them."""
    facts, item = samples.facts, _ITEM.get(samples.facts.dtype, 1)
    values = 1
    for side in facts.shape:
        values *= side
    if "--size" in words:
        place = words.index("--size")
        channels = 1 if "L" in words[place:] else 3
        item = _ITEM[words[words.index("--dtype") + 1]]
        values = int(words[place + 1]) * int(words[place + 2]) * channels
    return facts.samples * (values * item + 8)
