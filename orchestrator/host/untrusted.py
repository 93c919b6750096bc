"""Files that a container could have made, read as input: no link followed, regular files only, limited, strict.

The folder is ours (the engine mounted it); everything below it may be a link, a pipe, a device, endless, or
not what its name says. Nothing here blocks, and every refusal is an `UnreadableFile` with its reason.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import neutral
from orchestrator.facts.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any, BinaryIO

LARGEST_DOCUMENT = 8 * 2**20
"""Bytes of a JSON document of the harness or of a record; real ones have some thousand."""
LARGEST_HASHED = 64 * 2**30
"""A file may say that it has exabytes: reading more than this to the end is no way to hash."""
MOST_HOLES = 64 * 2**20
"""Bytes of a hashed file that may lie nowhere: a sparse one costs nothing to make and minutes to read."""
MOST_FILES = 10_000
MOST_LISTED = 500_000
_BLOCK = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
"""How a folder below one of ours is opened: itself, and never what a link leads to."""


class UnreadableFile(StepFailed):
    """A file that is not read; ``reason`` says why without its path, ``missing`` that there is none."""

    slug = "unreadable-file"

    def __init__(self, folder: Path, name: str, reason: str, *, missing: bool = False) -> None:
        super().__init__(f"{neutral(str(folder / name))} {reason}")
        self.reason = reason
        self.missing = missing


@contextmanager
def opened(folder: Path, name: str, limit: int | None = None) -> Iterator[BinaryIO]:
    """The regular file ``name`` below ``folder``, open for reading; ``limit`` is the most bytes that it may have."""
    with _stream(folder, name, _open_file(folder, name, limit)) as stream:
        yield stream


@contextmanager
def _stream(folder: Path, name: str, descriptor: int) -> Iterator[BinaryIO]:
    with os.fdopen(descriptor, "rb") as stream:
        try:
            yield stream
        except OSError as error:
            raise UnreadableFile(folder, name, f"cannot be read: {error.strerror}") from None


def read_bytes(folder: Path, name: str, limit: int = LARGEST_DOCUMENT) -> bytes:
    """The whole file; raises `UnreadableFile`."""
    with opened(folder, name, limit) as stream:
        return _read(stream, folder, name, limit)


def _read(stream: BinaryIO, folder: Path, name: str, limit: int) -> bytes:
    """All of a file. To ask for much more than there is costs more than to read a small file."""
    size = os.fstat(stream.fileno()).st_size
    data = stream.read(min(size, limit) + 1)
    if len(data) > size:  # it grew meanwhile
        data += stream.read(limit + 1 - len(data))
    if len(data) > limit:
        raise UnreadableFile(folder, name, f"has more than {limit:,} bytes")
    return data


class FilesBelow:
    """Opens many files below a folder as `opened` does; the folders on the way to the last one stay open.

    A thread or a process needs its own; `close` it at the end. After that it may be used again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: list[str] = []
        self._held: list[int] = []

    def close(self) -> None:
        """Let go of the folders."""
        self._close_from(0)
        while self._held:
            os.close(self._held.pop())

    def read_bytes(self, name: str, limit: int = LARGEST_DOCUMENT) -> bytes:
        """The whole file; raises `UnreadableFile`."""
        with self.opened(name, limit) as stream:
            return _read(stream, self.folder, name, limit)

    def read_text(self, name: str, limit: int = LARGEST_DOCUMENT) -> str:
        """The whole file as UTF-8; raises `UnreadableFile`."""
        try:
            return self.read_bytes(name, limit).decode()
        except UnicodeDecodeError:
            raise UnreadableFile(self.folder, name, "is not UTF-8") from None

    def hash_file(self, name: str) -> str:
        """The sha256 of a file (hex); raises `UnreadableFile`."""
        with self.opened(name, LARGEST_HASHED) as stream:
            return _hashed(stream, self.folder, name, LARGEST_HASHED)[0]

    def remove(self, name: str) -> None:
        """Remove a file, where there is one; raises `UnreadableFile` where a link stands on the way, or OSError."""
        try:
            os.close(_checked(self.folder, name, None, self._open))
        except UnreadableFile as error:
            if error.missing:
                return
            raise
        os.unlink(name.rpartition("/")[2], dir_fd=self._held[-1])

    @contextmanager
    def opened(self, name: str, limit: int | None = None) -> Iterator[BinaryIO]:
        """The regular file ``name``, open for reading; ``limit`` is the most bytes that it may have."""
        with _stream(self.folder, name, _checked(self.folder, name, limit, self._open)) as stream:
            yield stream

    def _open(self, name: str) -> int:
        *parents, last = _parts(name)
        if not self._held:
            self._held.append(os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        same = 0
        for mine, asked in zip(self._names, parents, strict=False):
            if mine != asked:
                break
            same += 1
        self._close_from(same)
        for part in parents[same:]:
            self._held.append(os.open(part, FOLDER, dir_fd=self._held[-1]))
            self._names.append(part)
        return os.open(last, _FILE, dir_fd=self._held[-1])

    def _close_from(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._held.pop())


def read_text(folder: Path, name: str, limit: int = LARGEST_DOCUMENT, *, errors: str = "strict") -> str:
    """The whole file as UTF-8; raises `UnreadableFile`."""
    try:
        return read_bytes(folder, name, limit).decode("utf-8", errors)
    except UnicodeDecodeError:
        raise UnreadableFile(folder, name, "is not UTF-8") from None


def read_document(folder: Path, name: str, limit: int = LARGEST_DOCUMENT) -> Any:
    """The JSON document in a file (`strict_json`); raises `UnreadableFile`."""
    try:
        return strict_json(read_text(folder, name, limit))
    except ValueError as error:
        raise UnreadableFile(folder, name, f"is not JSON: {error}") from None


def read_object(folder: Path, name: str, limit: int = LARGEST_DOCUMENT) -> dict[str, object]:
    """The JSON object in a file; raises `UnreadableFile`."""
    document = read_document(folder, name, limit)
    if not isinstance(document, dict):
        raise UnreadableFile(folder, name, "is not a JSON object")
    return document


def read_tail(folder: Path, name: str, *, lines: int = 20, size: int = 16_384) -> str:
    """The last lines of a log, made harmless for a terminal; raises `UnreadableFile`."""
    with opened(folder, name) as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - size))
        text = stream.read(size).decode(errors="replace")
    return neutral("\n".join(text.splitlines()[-lines:]))


def hash_file(folder: Path, name: str, limit: int | None = None) -> tuple[str, int]:
    """The sha256 of a file (hex) and the number of bytes that it is of; raises `UnreadableFile`.

    ``limit`` is the most bytes that it may have, `LARGEST_HASHED` where it is left out.
    """
    limit = LARGEST_HASHED if limit is None else limit
    with opened(folder, name, limit) as stream:
        return _hashed(stream, folder, name, limit)


def _hashed(stream: BinaryIO, folder: Path, name: str, limit: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    require_dense(stream, folder, name)
    while block := stream.read(_BLOCK):
        digest.update(block)
        size += len(block)
        if size > limit:
            raise UnreadableFile(folder, name, "grows while it is read")
    return digest.hexdigest(), size


def require_dense(stream: BinaryIO, folder: Path, name: str) -> None:
    """Raise `UnreadableFile` for an open file that is mostly holes."""
    if _holes(stream.fileno(), MOST_HOLES) > MOST_HOLES:
        raise UnreadableFile(folder, name, f"is sparse: more than {MOST_HOLES:,} of its bytes lie nowhere")


def names_below(folder: Path, most: int = MOST_LISTED) -> list[str]:
    """Everything below ``folder`` that is no folder, by its path there, sorted; links are named and not followed.

    What cannot be looked into is left out, and whatever comes after ``most`` names. Raises OSError for ``folder``
    itself only.
    """
    found: list[str] = []
    waiting = [""]
    while waiting and len(found) < most:
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    name = f"{below}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    else:
                        found.append(name)
        except OSError:
            if not below:
                raise
    return sorted(found)


def _open_file(folder: Path, name: str, limit: int | None) -> int:
    return _checked(folder, name, limit, partial(_open_below, folder))


def _checked(folder: Path, name: str, limit: int | None, open_below: Callable[[str], int]) -> int:
    """The descriptor of a regular file of at most ``limit`` bytes; raises `UnreadableFile`."""
    try:
        descriptor = open_below(name)
    except FileNotFoundError:
        raise UnreadableFile(folder, name, "is missing", missing=True) from None
    except OSError as error:
        reason = f"cannot be opened: {error.strerror}"
        if error.errno == errno.ELOOP:  # what O_NOFOLLOW says of a link
            reason = "is a link, and links are not followed here"
        raise UnreadableFile(folder, name, reason) from None
    facts = os.fstat(descriptor)
    reason = ""
    if not stat.S_ISREG(facts.st_mode):
        reason = "is no regular file"
    elif limit is not None and facts.st_size > limit:
        reason = f"has {facts.st_size:,} bytes; {limit:,} are the most that is read"
    if reason:
        os.close(descriptor)
        raise UnreadableFile(folder, name, reason)
    return descriptor


def _open_below(folder: Path, name: str) -> int:
    *parents, last = _parts(name)
    with folder_below(folder, parents) as held:
        return os.open(last, _FILE, dir_fd=held)


@contextmanager
def folder_below(folder: Path, parts: Sequence[str]) -> Iterator[int]:
    """The descriptor of a folder below ``folder``, by the names on the way there; no link is followed.

    Raises OSError; FileNotFoundError for names that lead elsewhere.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in _parts("/".join(parts)) if parts else ():
            inner = os.open(part, FOLDER, dir_fd=held)
            os.close(held)
            held = inner
        yield held
    finally:
        os.close(held)


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise FileNotFoundError(name)
    return parts


def _holes(descriptor: int, enough: int) -> int:
    """The bytes of an open file that are stored nowhere and read as zeros, counted until there are ``enough``."""
    size, at, holes = os.fstat(descriptor).st_size, 0, 0
    while at < size and holes <= enough:
        try:
            data = os.lseek(descriptor, at, os.SEEK_DATA)
            end = os.lseek(descriptor, data, os.SEEK_HOLE)
        except OSError:  # ENXIO: there is no more data
            data = end = size
        holes, at = holes + data - at, end
    os.lseek(descriptor, 0, os.SEEK_SET)
    return holes
