"""The terms of a source of an asset, and the text that came with its bytes."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from orchestrator.assets.sources import source_name
from orchestrator.definitions.asset_locks import source_label
from orchestrator.errors import AssetError
from orchestrator.host.untrusted import UnreadableFile, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.definitions.kinds.sources import AssetSource

_LARGEST_LICENCE = 1 << 20
_LOOKED_THROUGH = 2 << 30
"""Bytes that a packed archive may unpack to when a text is looked for in it."""
_UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,  # an encrypted member, an unknown compression, headers about headers
    EOFError,
    OverflowError,
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
)


def licence_text(source: AssetSource, path: Path | None) -> str:
    """What is kept beside an asset of one of its sources: the terms, and the text that came with it.

    ``path`` is the source's file or folder; None where it has none.

    Raises:
        AssetError: `licence-missing`, the recipe names a text that the source does not have.
    """
    what = source_name(source)
    sha256 = getattr(source, "sha256", "")
    lines = [f"source: {source_label(source)}", *([f"sha256: {sha256}"] if sha256 else [])]
    lines.append(f"licence: {source.licence.spdx}")
    if source.licence.note:
        lines.append(f"note: {source.licence.note}")
    text = "\n".join(lines) + "\n"
    if not source.licence.file or path is None:
        return text
    try:
        body = _member(path, source.licence.file)
    except _UNREADABLE as error:
        raise AssetError(f"{what} holds no licence text `{source.licence.file}`", slug="licence-missing") from error
    return f"{text}\n{body.decode('utf-8', errors='replace')}"


def _member(path: Path, name: str) -> bytes:
    """One small file out of a folder, a wheel, an sdist or a Debian package; KeyError where it is not."""
    if path.is_dir():
        try:
            return read_bytes(path, name, _LARGEST_LICENCE)
        except UnreadableFile:
            raise KeyError(name) from None
    if path.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(path) as wheel, wheel.open(name) as stream:
            return stream.read(_LARGEST_LICENCE)
    if path.suffix == ".deb":
        from debian.arfile import ArError
        from debian.debfile import DebFile

        try:
            with DebFile(filename=str(path)) as package, package.data.tgz() as members:
                return _tar_member(members, f"./{name}")
        except ArError as error:
            raise tarfile.ReadError(str(error)) from None
    with tarfile.open(path) as archive:
        return _tar_member(archive, name)


def _tar_member(archive: tarfile.TarFile, name: str) -> bytes:
    for member in archive:  # each before the next is unpacked to
        if member.offset_data + member.size > _LOOKED_THROUGH:
            raise tarfile.ReadError(f"it unpacks to more than {_LOOKED_THROUGH:,} bytes")
    stream = archive.extractfile(archive.getmember(name))
    if stream is None:
        raise KeyError(name)
    return stream.read(_LARGEST_LICENCE)
