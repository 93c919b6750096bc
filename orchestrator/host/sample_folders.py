"""Folders of samples and of models beside a recipe: what lies in them, looked at without reading it all.

Names are listed and counted, the head of an array and a list of labels are read; nothing follows a link. The bytes
are hashed when they are used (`assets.beside`).
"""

from __future__ import annotations

import ast
import os
import re
import struct
from typing import TYPE_CHECKING

from orchestrator.facts.model_file import FileFault
from orchestrator.facts.sample_folder import HubFacts, SampleFacts
from orchestrator.host.model_files import look
from orchestrator.host.untrusted import UnreadableFile, hash_file, opened, read_object, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

PHOTOS = (".jpg", ".jpeg", ".png")
VAL_MAP = "val_map.txt"
VAL_FOLDERS = ("val", "validation", "test")
"""Of a folder that has its photos by what they are for; `train` is for others."""
_ARRAYS = ("images.npy", "samples.npy", "inputs.npy")
_LABELS = "labels.npy"
_LONGEST_LIST = 256 << 20
_MODELS = ("onnx/model.onnx", "model.onnx")
_CONFIG, _PREPROCESSOR = "config.json", "preprocessor_config.json"
_LABEL = re.compile("[0-9]{1,9}")


class _Unfit(Exception):
    """The folder is none of samples: the message says why, ``hint`` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def look_at_samples(folder: Path, name: str) -> SampleFacts | FileFault:
    """What the folder of samples ``name`` below ``folder`` is. Nothing is raised."""
    place = folder / name
    try:
        return _samples(place)
    except _Unfit as unfit:
        return FileFault(slug="sample-folder", message=f"`{name}` {unfit}", hint=unfit.hint)
    except UnreadableFile as error:
        return FileFault(slug="sample-folder", message=str(error), hint="copy the file itself into the folder")
    except FileNotFoundError:
        return FileFault(slug="file-missing", message=f"there is no folder `{name}` beside this recipe")
    except OSError as error:
        hint = "give a folder of plain files and folders"
        return FileFault(slug="sample-folder", message=f"`{name}` cannot be read: {error.strerror}", hint=hint)


def _samples(place: Path) -> SampleFacts:
    files, folders = _entries(place)
    if VAL_MAP in files:
        return _listed(place, files)
    arrays = [name for name in _ARRAYS if name in files]
    if arrays:
        return _whole_arrays(place, arrays, files)
    below = next((name for name in VAL_FOLDERS if name in folders), "")
    if below:
        files, folders = _entries(place / below)
        if VAL_MAP in files:
            facts = _listed(place / below, files)
            return SampleFacts(form=facts.form, samples=facts.samples, below=below, highest=facts.highest)
    if not folders:
        raise _Unfit(
            "has neither folders of photos, nor a list of labels, nor arrays",
            f"a folder for each class; or {VAL_MAP} with lines `NAME LABEL`; or {_ARRAYS[0]} and {_LABELS}",
        )
    counted = {name: _photos(place / below, name) for name in folders}
    empty = [name for name, count in counted.items() if not count]
    if empty:
        raise _Unfit(f"has a class folder without photos, `{empty[0]}`", f"photos are {', '.join(PHOTOS)}")
    return SampleFacts(form="class-folders", samples=sum(counted.values()), below=below, classes=tuple(sorted(folders)))


def _entries(place: Path) -> tuple[set[str], list[str]]:
    """The names of files and of folders; hidden ones are left out, links and others refused."""
    files, folders = set[str](), list[str]()
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.add(entry.name)
            else:
                raise _Unfit(
                    f"holds `{entry.name[:80]}`, a link or no plain file", "copy what it leads to in its place"
                )
    return files, folders


def _photos(place: Path, name: str) -> int:
    files, folders = _entries(place / name)
    other = [file for file in sorted(files) if not file.lower().endswith(PHOTOS)]
    if other or folders:
        what = (other or folders)[0]
        raise _Unfit(f"holds `{name}/{what[:80]}`, which is no photo", f"photos are {', '.join(PHOTOS)}; move it away")
    return len(files)


def _listed(place: Path, files: set[str]) -> SampleFacts:
    lines = [line for line in read_text(place, VAL_MAP, _LONGEST_LIST).splitlines() if line.strip()]
    labels, arrays = [], 0
    for number, line in enumerate(lines, start=1):
        named, label = _name_and_label(line)
        if not _LABEL.fullmatch(label):
            raise _Unfit(f"has a line {number} of {VAL_MAP} that is not `NAME LABEL`", "a label is a number from 0")
        name = named if "." in named else f"{named}.npy"
        if name not in files and not _is_below(place, name):
            raise _Unfit(f"has no `{name[:80]}`, which line {number} of {VAL_MAP} names", "copy it there")
        labels.append(int(label))
        arrays += name.endswith(".npy")
    if not lines or arrays not in {0, len(lines)}:
        raise _Unfit(f"has a {VAL_MAP} that names no files, or photos and arrays", "name photos, or .npy files")
    first = next(_names(lines))
    shape, dtype = _head(place, first) if arrays else ((), "")
    form = "array-files" if arrays else "val-map"
    return SampleFacts(form=form, samples=len(lines), highest=max(labels), shape=shape, dtype=dtype)  # type: ignore[arg-type]


def _name_and_label(line: str) -> tuple[str, str]:
    """The two parts of a line; an empty label where it has none. A name may hold blanks, and begins the line."""
    parts = line.rsplit(maxsplit=1)
    return (parts[0], parts[1]) if len(parts) == 2 and not line[0].isspace() else (line, "")


def _names(lines: list[str]) -> Iterator[str]:
    for line in lines:
        name = line.rsplit(maxsplit=1)[0]
        yield name if "." in name else f"{name}.npy"


def _is_below(place: Path, name: str) -> bool:
    try:
        with opened(place, name):
            return True
    except UnreadableFile:
        return False


def _whole_arrays(place: Path, arrays: list[str], files: set[str]) -> SampleFacts:
    if _LABELS not in files:
        raise _Unfit(f"has {arrays[0]} and no {_LABELS}", "save the labels, a whole number for each sample")
    shape, dtype = _head(place, arrays[0])
    labels, of = _head(place, _LABELS)
    if len(labels) != 1 or not of.startswith(("int", "uint")):
        raise _Unfit(f"has a {_LABELS} that is {of} {list(labels)}", "save one whole number for each sample")
    if not shape or shape[0] != labels[0] or not shape[0]:
        raise _Unfit(f"has {shape[0] if shape else 0} samples and {labels[0]} labels", "the sample axis comes first")
    return SampleFacts(form="arrays", samples=shape[0], arrays=(arrays[0], _LABELS), shape=shape[1:], dtype=dtype)


def _head(place: Path, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and type of an array, as its head says."""
    with opened(place, name) as stream:
        head = _header(stream)
    match head:
        case {"shape": tuple(shape), "descr": str(descr), "fortran_order": bool(_)}:
            dtype = _DTYPES.get(descr, "")
        case _:
            raise _Unfit(f"has `{name}`, which is no array of numpy", "save it with numpy.save")
    if not dtype or not all(isinstance(each, int) and each >= 0 for each in shape):
        raise _Unfit(
            f"has `{name}`, an array of {descr[:20]}", f"it is to be {', '.join(sorted(set(_DTYPES.values())))}"
        )
    return shape, dtype


def _header(stream: BinaryIO) -> object:
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or len(magic) < 8:
        return None
    length = stream.read(2 if magic[6] == 1 else 4)
    if len(length) not in {2, 4}:
        return None
    (size,) = struct.unpack("<H" if len(length) == 2 else "<I", length)
    try:
        return ast.literal_eval(stream.read(min(size, 65536)).decode("latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


_DTYPES = {"|u1": "uint8", "<f4": "float32", "<i8": "int64", "<i4": "int32", "|i1": "int8", "<i2": "int16"}


# -- a model as Hugging Face lays it out ---------------------------------------------------


def look_at_hub(folder: Path, name: str) -> HubFacts | FileFault:
    """What the folder of a model ``name`` below ``folder`` is. Nothing is raised."""
    place = folder / name
    found = [model for model in _MODELS if (place / model).is_file()]
    if not (place / _CONFIG).is_file():
        hint = "name the ONNX file itself, or a folder as Hugging Face's tools write it"
        return FileFault(slug="model-folder", message=f"`{name}` is a folder without {_CONFIG}", hint=hint)
    if len(found) != 1:
        has = "has two ONNX files, " + " and ".join(found) if found else f"has no {' and no '.join(_MODELS)}"
        hint = "export it to ONNX (`optimum-cli export onnx`); weights in other forms need a harness of your own"
        return FileFault(
            slug="model-folder", message=f"`{name}` {has}", hint=hint if not found else "move one of them away"
        )
    model = look(place, found[0])
    if isinstance(model, FileFault):
        return model
    try:
        config = read_object(place, _CONFIG)
        preprocessor = read_object(place, _PREPROCESSOR) if (place / _PREPROCESSOR).is_file() else None
        names = [_CONFIG, *([] if preprocessor is None else [_PREPROCESSOR])]
        files = {each: hash_file(place, each)[0] for each in names}
    except UnreadableFile as error:
        return FileFault(slug="model-folder", message=str(error), hint="write it again with Hugging Face's tools")
    return HubFacts(model=found[0], facts=model, files=files, config=config, preprocessor=preprocessor)
