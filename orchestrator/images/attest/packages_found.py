"""The packages that the files of an image speak of: what a bill of materials is checked against."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.definitions.locks import normalised
from orchestrator.images.layout.archive import refused
from orchestrator.images.layout.layers import Unpacked, layer_tar
from orchestrator.images.layout.read import LaidImage, blob_name

if TYPE_CHECKING:
    import tarfile
    from pathlib import Path

    from orchestrator.images.layout.archive import Archive

_STANZAS = "var/lib/dpkg/status.d/"
_DATABASE = "var/lib/dpkg/status"
_METADATA = re.compile(r"(?:^|/)(?:dist|site)-packages/[^/]+\.dist-info/METADATA\Z")
_HIDDEN, _OPAQUE = ".wh.", ".wh..wh..opq"
_LARGEST = 32 << 20


@dataclass(slots=True)
class Files:
    """Files of interest as the layers leave them; a later layer replaces and removes those of an earlier one."""

    held: dict[str, bytes] = field(default_factory=dict)
    here: set[str] = field(default_factory=set)
    """Names that the layer being added brought itself: a folder that it empties does not lose them."""

    def add(self, name: str, data: bytes) -> None:
        self.held[name] = data
        self.here.add(name)

    def drop(self, name: str) -> None:
        """Everything at or below ``name`` that an earlier layer brought."""
        for held in [held for held in self.held if held == name or held.startswith(f"{name}/") or not name]:
            if held not in self.here:
                del self.held[held]


def packages_in(image: LaidImage, archive: Archive, path: Path) -> dict[tuple[str, str], str]:
    """Versions of the packages in ``image`` by kind (``deb``, ``pypi``) and name; every layer is hashed on the way.

    ``archive`` holds the image; ``path`` only names it in errors.

    Raises:
        StepFailed: a layer is broken, hostile, or not what the image's configuration says.
    """
    files = Files()
    for layer in image.layers:
        files.here.clear()
        with archive.open(blob_name(layer.digest)) as stream:
            content = Unpacked(stream, layer, path)
            with layer_tar(content) as tar:
                for member in tar:
                    _consider(tar, member, files, path)
            content.finish()
    return _packages(files.held)


def _consider(tar: tarfile.TarFile, member: tarfile.TarInfo, files: Files, path: Path) -> None:
    name = member.name.removeprefix("./").strip("/")
    folder, _, last = name.rpartition("/")
    if last == _OPAQUE:
        files.drop(folder)
    elif last.startswith(_HIDDEN):
        files.drop(f"{folder}/{last.removeprefix(_HIDDEN)}".lstrip("/"))
    elif not member.isdir() and name in files.held:
        files.drop(name)
    if not member.isreg() or not _matters(name):
        return
    if member.size > _LARGEST:
        raise refused(path, f"`{name[:200]}` in a layer has {member.size} bytes")
    stream = tar.extractfile(member)
    files.add(name, stream.read() if stream else b"")


def _matters(name: str) -> bool:
    return name == _DATABASE or name.startswith(_STANZAS) or _METADATA.search(name) is not None


def _packages(files: dict[str, bytes]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for name, data in sorted(files.items()):
        text = data.decode(errors="replace")
        if name == _DATABASE or name.startswith(_STANZAS):
            found |= {("deb", package): version for package, version in _debs(text)}
        else:
            fields = _fields(text.partition("\n\n")[0])
            if "name" in fields:
                found["pypi", normalised(fields["name"])] = fields.get("version", "")
    return found


def _debs(text: str) -> list[tuple[str, str]]:
    """Name and version of every installed package of a dpkg database or of a single control stanza."""
    found = []
    for stanza in text.split("\n\n"):
        fields = _fields(stanza)
        # A control stanza has no Status; one of a removed package has another than this.
        if "package" in fields and fields.get("status", "install ok installed").endswith(" installed"):
            found.append((fields["package"], fields.get("version", "")))
    return found


def _fields(stanza: str) -> dict[str, str]:
    """The fields of a stanza by lower-case name; folded lines are of no interest."""
    pairs = (line.partition(":") for line in io.StringIO(stanza) if line[:1].strip())
    return {key.strip().lower(): value.strip() for key, colon, value in pairs if colon}
