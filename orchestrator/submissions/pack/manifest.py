"""The manifest of a submission: the sha256 of every file, and on record what was taken out of it later. Pure.

It is a text that `sha256sum -c` reads, as that takes lines that begin with `#` for remarks. Its name ends with `.md`
because the rounds' checkers take nothing else beside the divisions. The remarks are JSON behind a word: `packed` once,
`redacted` for each time that files were taken out or changed, and behind each of them its `signature` where a key
signed it. A signature covers the whole text as it was then: later redactions can be undone, as each says what its
files were, so every earlier signature can still be checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from orchestrator.facts.codec import CodecError, from_plain, to_plain
from orchestrator.facts.references import SHA256
from orchestrator.facts.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
NAME = "mlorch-manifest.md"
KIND = "application/vnd.mlorch.submission+text"
LARGEST = 64 << 20
"""Bytes; the largest public round takes 30 million."""
VERSION = 1
_TITLE = f"# A submission to MLPerf Inference, packed by mlorch: `sha256sum -c {NAME}` checks its files."
_PACKED, _REDACTED, _SIGNATURE = "# packed ", "# redacted ", "# signature "


class BadManifest(ValueError):
    """A text that is no manifest; it says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What was packed, and what the check had said of it."""

    version: int
    mlorch: str
    round: str
    divisions: tuple[str, ...]
    """Folders of the root that count; of the root's own files those do whose names end with .md or .pdf."""
    submitter: str = ""
    """Whose part alone counts; everybody's where it is empty."""
    errors: Mapping[str, int]
    """How often each rule was broken when it was packed all the same (`--with-errors`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A file that was taken out or changed: its sha256 before and after; empty after where it is gone."""

    path: str
    was: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """Files that were taken out or changed after the submission was packed: by whom, when (UTC), and why."""

    by: str
    when: str
    why: str
    files: tuple[Redacted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files as they are to be now, by path, and how it came to that.

    ``signatures`` are of the packing and of each redaction, in their order; empty where nobody signed.
    """

    packed: Packed
    files: Mapping[str, str]
    redactions: tuple[Redaction, ...] = ()
    signatures: tuple[str, ...] = ("",)

    def redacted(self, redaction: Redaction) -> Manifest:
        """The same after one more redaction, which nobody has signed yet."""
        files = dict(self.files)
        for one in redaction.files:
            files.pop(one.path, None)
            if one.now:
                files[one.path] = one.now
        return replace(self, files=files, redactions=(*self.redactions, redaction), signatures=(*self.signatures, ""))

    def signed(self, signature: str) -> Manifest:
        """The same, its last state signed."""
        return replace(self, signatures=(*self.signatures[:-1], signature))

    def before(self) -> Manifest:
        """The same before the last redaction. Raises `BadManifest` where that does not fit the files."""
        files = dict(self.files)
        _undo(files, self.redactions[-1])
        return replace(self, files=files, redactions=self.redactions[:-1], signatures=self.signatures[:-1])


def _undo(files: dict[str, str], redaction: Redaction) -> None:
    """Make the files what they were before a redaction. Raises `BadManifest` where it does not fit them."""
    for one in redaction.files:
        if files.pop(one.path, "") != one.now:
            raise BadManifest(f"what is said of the redaction of {one.path} does not fit its line")
        files[one.path] = one.was


def text_of(manifest: Manifest) -> str:
    """The text; the same manifest gives the same bytes."""
    return unsigned_text(manifest) + _signature_line(manifest.signatures[-1])


def unsigned_text(manifest: Manifest) -> str:
    """The text without its last signature: what that one covers."""
    parts = [_TITLE, "\n", _PACKED, _json(manifest.packed), "\n"]
    parts += [f"{sha256}  {path}\n" for path, sha256 in sorted(manifest.files.items())]
    for signature, redaction in zip(manifest.signatures, manifest.redactions, strict=False):
        parts += [_signature_line(signature), _REDACTED, _json(redaction), "\n"]
    return "".join(parts)


def _signature_line(signature: str) -> str:
    return f"{_SIGNATURE}{signature}\n" if signature else ""


def _json(value: object) -> str:
    return json.dumps(to_plain(value), sort_keys=True)


def states(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """What each signature is about, the text that it covers, and the signature; the last state first."""
    while True:
        last = manifest.redactions[-1] if manifest.redactions else None
        what = "the manifest" if last is None else f"the redaction of {last.when}"
        yield what, unsigned_text(manifest), manifest.signatures[-1]
        if last is None:
            return
        manifest = manifest.before()


# -- reading -------------------------------------------------------------------------------


def read_manifest(data: bytes) -> Manifest:
    """The manifest in a text that anybody may have written. Raises `BadManifest`."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadManifest("it is not UTF-8") from None
    title, _, rest = text.partition("\n")
    packed, _, rest = rest.partition("\n")
    if title != _TITLE or not packed.startswith(_PACKED):
        raise BadManifest("it does not begin as one")
    files: dict[str, str] = {}
    redactions: list[Redaction] = []
    signatures = [""]
    for line in rest.removesuffix("\n").split("\n") if rest else ():
        if line.startswith(_REDACTED):
            redactions.append(_value(Redaction, line.removeprefix(_REDACTED)))
            signatures.append("")
        elif line.startswith(_SIGNATURE):
            signatures[-1] = line.removeprefix(_SIGNATURE)
        else:
            sha256, _, path = line.partition("  ")
            files[path] = sha256
    found = Manifest(
        packed=_value(Packed, packed.removeprefix(_PACKED)),
        files=files,
        redactions=tuple(redactions),
        signatures=tuple(signatures),
    )
    _require_sound(found, text)
    return found


def _value(kind: type[T], text: str) -> T:
    try:
        return from_plain(kind, strict_json(text))
    except (CodecError, ValueError) as error:
        raise BadManifest(f"its {kind.__name__.lower()} line is not right: {error}") from None


def _require_sound(found: Manifest, text: str) -> None:
    if found.packed.version != VERSION:
        raise BadManifest(f"it is of version {found.packed.version}; this mlorch reads {VERSION}")
    redacted = [one for each in found.redactions for one in each.files]
    hashes = [*found.files.items(), *((one.path, one.was) for one in redacted)]
    hashes += [(one.path, one.now) for one in redacted if one.now]
    for path, sha256 in hashes:
        if not is_plain_path(path):
            raise BadManifest(f"{path[:200]!r} is no path of a file")
        if not SHA256.fullmatch(sha256):
            raise BadManifest(f"what stands for {path[:200]} is no sha256")
    before = dict(found.files)  # one for all redactions: anybody may have written a hundred thousand of them
    for redaction in reversed(found.redactions):
        _undo(before, redaction)
    if text_of(found) != text:
        raise BadManifest("its lines are not in the order, or not in the form, in which mlorch writes them")


def is_plain_path(path: str) -> bool:
    """Whether a path stays below where it begins, and every line of the manifest that has it is one line."""
    return path.isprintable() and "\\" not in path and not {"", ".", ".."}.intersection(path.split("/"))
