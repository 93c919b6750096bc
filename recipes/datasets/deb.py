"""The files of a Debian package, read with the standard library alone; the scripts of several data sets import it."""

from __future__ import annotations

import io
import lzma
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def files(deb: Path) -> tarfile.TarFile:
    """What the package installs: its member ``data.tar``, however it is compressed.

    A package is an ``ar`` archive: ``!<arch>\\n`` and members of a 60-byte header (16 bytes of name, size
    in decimal at 48..58) and data padded to an even length (deb(5)).
    """
    data = deb.read_bytes()
    if not data.startswith(b"!<arch>\n"):
        raise ValueError(f"{deb.name} is not a Debian package: no ar magic")
    at = 8
    while at + 60 <= len(data):
        name = data[at : at + 16].decode("ascii").strip().rstrip("/")
        size = int(data[at + 48 : at + 58])
        if name.startswith("data.tar"):
            member = data[at + 60 : at + 60 + size]
            # Whole at once: files are asked for in any order, and going back in a stream means to begin it anew.
            return tarfile.open(fileobj=io.BytesIO(lzma.decompress(member) if name.endswith(".xz") else member))
        at += 60 + size + size % 2
    raise ValueError(f"{deb.name} has no member data.tar")


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """The bytes of a file of the package, by its path with a leading ``./``."""
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a regular file")
    return file.read()
