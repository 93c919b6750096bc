"""Two images that should be the same: the first file that is not, and in what; else the first configuration field.

Pure: values in, values out. `orchestrator.images.rebuild` reads the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_WHOLE = {
    "order": "the same files in another order or form of archive",
    "compression": "the same content, stored in other bytes: was it built by another version of the engine?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One member of a layer; ``content`` is the SHA-256 of a plain file, ``target`` where a link leads."""

    path: str
    kind: str
    """``file``, ``folder``, ``symbolic link``, ``hard link`` or what else a tar holds"""
    mode: int
    owner: str
    """numbers of user and group, ``0:0``"""
    mtime: float
    """seconds since 1970"""
    content: str = ""
    target: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    """extended attributes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFiles:
    """A layer of an image: how it was made, and its files (none where the digests tell it all)."""

    made_by: str
    digest: str
    """of what it unpacks to"""
    stored: str
    """the digest of the bytes that are stored, mostly compressed"""
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """Where two images part: ``there`` is the image that was there, ``rebuilt`` the other one.

    ``path`` is a file's, or the path of a field in the configuration (``history.2.created``);
    ``what`` is the field: ``content``, ``mode``, ``mtime``, ``owner``, ``target``, ``kind``,
    ``attributes``, ``present``, ``value``; of a whole layer ``order`` and ``compression``.
    """

    where: str
    """``layer`` or ``config``"""
    path: str
    what: str
    there: str
    rebuilt: str
    layer: int | None = None
    """counted from 0 at the bottom"""
    made_by: str = ""
    also: tuple[str, ...] = ()
    """what else differs in the same file"""
    others: int = 0
    """how many more files of the layer differ"""

    def __str__(self) -> str:
        if self.where == "config":
            return f"the configuration's {self.path}: {self.there} there, {self.rebuilt} rebuilt"
        path = f"layer {self.layer} ({self.made_by})" if self.made_by else f"layer {self.layer}"
        if self.what in _WHOLE:
            return f"{path}: {_WHOLE[self.what]}"
        also = f" (and {', '.join(self.also)})" if self.also else ""
        others = f"; {self.others} more differ" if self.others else ""
        return f"{path}: /{self.path}: {self.what}{also}: {self.there} there, {self.rebuilt} rebuilt{others}"


def first_unlike(there: Sequence[str], rebuilt: Sequence[str]) -> int | None:
    """The first index at which two lists of digests differ, as far as both go."""
    pairs = enumerate(zip(there, rebuilt, strict=False))
    return next((index for index, (one, other) in pairs if one != other), None)


def first_difference(
    there: tuple[Sequence[LayerFiles], Mapping[str, object]], rebuilt: tuple[Sequence[LayerFiles], Mapping[str, object]]
) -> Differs | None:
    """The first difference of two images, each as its layers from the bottom and its configuration.

    Files before the configuration: a file that differs is the cause of the digests that differ in it.
    None where all is the same but the manifest's own words.
    """
    (layers, config), (others, other_config) = there, rebuilt
    index = first_unlike([layer.digest for layer in layers], [layer.digest for layer in others])
    if index is not None:
        return _in_layer(index, layers[index], others[index])
    found = next(_fields(config, other_config, ""), None)
    if found is not None:
        return found
    index = first_unlike([layer.stored for layer in layers], [layer.stored for layer in others])
    return None if index is None else _whole("compression", index, layers[index].stored, others[index])


def _whole(what: str, index: int, there: str, other: LayerFiles) -> Differs:
    rebuilt = other.stored if what == "compression" else other.digest
    return Differs(where="layer", path="", what=what, there=there, rebuilt=rebuilt, layer=index, made_by=other.made_by)


def _in_layer(index: int, one: LayerFiles, other: LayerFiles) -> Differs:
    """The first file that differs in more than its time; where there is none, the first of another time."""
    files, others = ({file.path: file for file in layer.files} for layer in (one, other))
    both = [(path, _in_file(files.get(path), others.get(path))) for path in sorted(files.keys() | others.keys())]
    found = [(path, pairs) for path, pairs in both if pairs]
    if not found:
        return _whole("order", index, one.digest, other)
    path, ((what, there, rebuilt), *more) = next((each for each in found if each[1][0][0] != "mtime"), found[0])
    return Differs(
        where="layer",
        path=path,
        what=what,
        there=there,
        rebuilt=rebuilt,
        layer=index,
        made_by=one.made_by,
        also=tuple(each[0] for each in more),
        others=len(found) - 1,
    )


def _in_file(one: File | None, other: File | None) -> list[tuple[str, str, str]]:
    """What differs in a file as (what, there, rebuilt), the weightiest first."""
    if one is None or other is None:
        words = ["missing" if file is None else f"a {file.kind}" for file in (one, other)]
        return [("present", words[0], words[1])]
    pairs = [
        ("kind", one.kind, other.kind),
        ("content", one.content, other.content),
        ("target", one.target, other.target),
        ("mode", f"{one.mode:04o}", f"{other.mode:04o}"),
        ("owner", one.owner, other.owner),
        ("attributes", _words(one.attributes), _words(other.attributes)),
        ("mtime", f"{one.mtime:.15g}", f"{other.mtime:.15g}"),
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _words(attributes: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in attributes) or "none"


def _fields(one: object, other: object, path: str) -> Iterator[Differs]:
    """The differing leaves of two JSON values, in the order of their names."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _fields(one.get(name), other.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _fields(a, b, f"{path}.{index}")
    elif one != other:
        yield Differs(where="config", path=path, what="value", there=_shown(one), rebuilt=_shown(other))


def _shown(value: object) -> str:
    """A value as a message shows it; long ones are cut."""
    text = "missing" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
