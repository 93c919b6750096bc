"""Tar files that somebody else made: looked through whole before anything of them is used.

Only plain files and folders under plain names are let in. Nothing here writes but to
files that the caller opened, so no name in an archive ever becomes a path.
"""

from __future__ import annotations

import hashlib
import lzma
import stat
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Literal

from orchestrator.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

BLOCK = 1 << 20
MOST_MEMBERS = 200_000
LARGEST_JSON = 16 << 20
"""Bytes of the largest document that is read into memory."""
_LARGEST_HEADER = 1 << 20
LONGEST_NAME = 1024
_NESTED = "extended headers are about extended headers, without end"
"""tarfile reads such a header by calling itself."""
_HEADERS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)


class CarefulInfo(tarfile.TarInfo):
    """A member whose extended headers cannot fill the memory: they are read whole, whatever size they claim."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _HEADERS and self.size > _LARGEST_HEADER):
            raise _Unfit(f"a header claims {self.size} bytes")
        made: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # not in the stubs
        return made


class _Unfit(tarfile.ReadError):
    """A member that no honest archive has; the text says why."""


def require_plain(path: Path) -> None:
    """Raise `StepFailed` for what is no plain file: a pipe or a device may never end."""
    try:
        kind = path.stat().st_mode
    except OSError:
        return  # whoever opens it tells why it cannot
    if not stat.S_ISREG(kind):
        raise broken(path, "it is no plain file")


def refused(path: Path, why: str, *, slug: str = "hostile-archive") -> StepFailed:
    """The error of an archive that is not used."""
    hint = "nothing of it was used; get it again from where it was made, and compare its sha256 with that given there"
    return StepFailed(f"{path} is refused: {why}", hint=hint, slug=slug)


def broken(path: Path, why: str) -> StepFailed:
    """The same of one that is cut short, or not what it says of itself (`bad-archive`)."""
    return refused(path, why, slug="bad-archive")


class Hashing:
    """Hashes and counts what is read or written through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.count = 0

    def write(self, data: bytes) -> int:
        """As a file does."""
        self._seen(data)
        return self._stream.write(data)

    def read(self, size: int = BLOCK) -> bytes:
        """As a file does; never more than a block at once where the size is left out."""
        data = self._stream.read(size)
        self._seen(data)
        return data

    def _seen(self, data: bytes) -> None:
        self._digest.update(data)
        self.count += len(data)

    @property
    def sha256(self) -> str:
        """The hash so far, as hexadecimal digits."""
        return self._digest.hexdigest()


@dataclass(slots=True)
class Archive:
    """A tar file that was looked through; ``members`` are its files by name."""

    path: Path
    tar: tarfile.TarFile = field(repr=False)
    members: dict[str, tarfile.TarInfo]

    def find(self, name: str) -> int | None:
        """Bytes of a file; None where it is not there."""
        found = self.members.get(name)
        return found.size if found is not None else None

    def size(self, name: str) -> int:
        """Bytes of a file. Raises `StepFailed` (`bad-archive`) where there is none."""
        return self._member(name).size

    def open(self, name: str) -> IO[bytes]:
        """A file of the archive, to be read in pieces."""
        stream = self.tar.extractfile(self._member(name))
        assert stream is not None, "only plain files are members"
        return stream

    def read(self, name: str, limit: int = LARGEST_JSON) -> bytes:
        """A small file whole. Raises `StepFailed` (`hostile-archive`) for one above ``limit`` bytes."""
        if self.size(name) > limit:
            raise refused(self.path, f"`{name}` has {self.size(name)} bytes, more than {limit}")
        with self.open(name) as stream, self._whole():
            return stream.read()

    def read_through(self, name: str, out: IO[bytes] | None = None) -> str:
        """The hash of a file, as hexadecimal digits; with ``out`` the file is written there as it is read."""
        digest = hashlib.sha256()
        with self.open(name) as stream, self._whole():
            while block := stream.read(BLOCK):
                digest.update(block)
                if out is not None:
                    out.write(block)
        return digest.hexdigest()

    def _member(self, name: str) -> tarfile.TarInfo:
        found = self.members.get(name)
        if found is None:
            raise broken(self.path, f"it has no `{name}`")
        return found

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
            raise broken(self.path, f"it is cut short ({error})") from None


@contextmanager
def opened(path: Path, *, packed: bool = False, most_bytes: int | None = None) -> Iterator[Archive]:
    """The archive at ``path``, looked through: every name, kind and size was checked.

    ``packed`` lets in one that is compressed as a whole; ``most_bytes`` is what its files may have together.

    Raises:
        StepFailed: `bad-archive` for one that is compressed, cut short or no tar at all;
            `hostile-archive` for names that lead elsewhere, links, devices, sparse files,
            names that come twice, and headers that claim too much.
    """
    require_plain(path)
    try:
        mode: Literal["r:*", "r:"] = "r:*" if packed else "r:"
        tar = tarfile.open(path, mode=mode, tarinfo=CarefulInfo)  # noqa: SIM115 (closed below; the error is ours)
    except FileNotFoundError:
        raise StepFailed(f"there is no archive {path}", hint="check the path", slug="no-archive") from None
    except _Unfit as error:
        raise refused(path, str(error)) from None
    except RecursionError:
        raise refused(path, _NESTED) from None
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError) as error:
        raise broken(path, f"it is no {'' if packed else 'plain '}tar file ({error})") from None
    with tar:
        yield Archive(path=path, tar=tar, members=_members(path, tar, most_bytes))


def _members(path: Path, tar: tarfile.TarFile, most_bytes: int | None) -> dict[str, tarfile.TarInfo]:
    files: dict[str, tarfile.TarInfo] = {}
    folders: set[str] = set()
    unpacked = 0
    try:
        for count, member in enumerate(tar):
            if count >= MOST_MEMBERS:
                raise refused(path, f"it has more than {MOST_MEMBERS} members")
            unpacked += member.size
            if most_bytes is not None and unpacked > most_bytes:
                raise refused(path, f"it would unpack to more than {most_bytes >> 30} GiB")
            name = member.name.removeprefix("./")
            if why := _unfit(name, member):
                raise refused(path, f"{member.name[:200]!r} {why}")
            if member.isdir():
                folders.add(name)
                continue
            if name in files:
                raise refused(path, f"`{name}` is in it twice")
            files[name] = member
    except _Unfit as error:
        raise refused(path, str(error)) from None
    except RecursionError:
        raise refused(path, _NESTED) from None
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError) as error:
        raise broken(path, f"it is cut short or broken ({error})") from None
    _require_apart(path, files, folders)
    return files


def _require_apart(path: Path, files: Collection[str], folders: Collection[str]) -> None:
    for name in files:
        if name in folders or any(parent in files for parent in _parents(name)):
            raise refused(path, f"`{name}` is a file and a folder in it")


def _unfit(name: str, member: tarfile.TarInfo) -> str:
    """Why a member is not let in; empty where it is."""
    parts = name.split("/")
    if member.isdir() and name in {".", ""}:
        return ""
    if name.startswith("/") or ".." in parts:
        return "leads out of the archive"
    if "" in parts or "." in parts or "\\" in name or not name.isprintable() or len(name) > LONGEST_NAME:
        return "is no name of a file"
    if member.issparse():
        return "is a sparse file"
    if not (member.isdir() or member.isreg()):
        return "is neither a file nor a folder"
    return ""


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
