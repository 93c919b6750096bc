"""Folders of files that are made once by a key, appear whole or not at all, and are checked on every use.

``<kind>/<name>/<key>/`` holds ``files/`` (what a container sees), ``licences/`` and ``complete.json`` with the
facts of each file, as ``NAME: [SHA256, SIZE, MTIME_NS, INODE]``. What wrote the files is input: only regular files
are taken, their modes are ours. Several processes may use a store at once; one that is killed leaves nothing that
counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import AssetError
from orchestrator.facts.neutral import neutral
from orchestrator.host.file_lock import lockable, locked
from orchestrator.host.files import WriteFailed, atomic_write_text, write_failure
from orchestrator.host.left_behind import discard
from orchestrator.host.untrusted import UnreadableFile, hash_file, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

MARKER = "complete.json"
LARGEST_MARKER = 256 * 2**20
"""A data set of a million files has a list of some 150 MiB."""
_DEEPEST = 100
"""Folders in one another; a loop of links would never end."""
LARGEST_FILE = 1 << 44
"""Bytes of the largest file that is hashed: weights of one file have hundreds of GiB."""


class FileFacts(NamedTuple):
    """A file as it was when it was hashed: bytes, nanoseconds, inode."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTree:
    """A tree that is there and unchanged since it was checked."""

    path: Path
    files: Mapping[str, FileFacts]

    @property
    def folder(self) -> Path:
        """What is mounted."""
        return self.path / "files"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(facts.size for facts in self.files.values())

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of each file by its relative name."""
        return {name: facts.sha256 for name, facts in self.files.items()}


def manifest_sha256(hashes: Mapping[str, str]) -> str:
    """One hash for many files: of the lines ``SHA256  NAME``, sorted by name, as ``sha256sum`` prints them."""
    digest = hashlib.sha256()
    for name in sorted(hashes):
        digest.update(f"{hashes[name]}  {name}\n".encode())
    return digest.hexdigest()


def find_tree(path: Path) -> KeptTree | None:
    """The tree at ``path`` if it is whole and unchanged; None where it is not.

    Cheap: names, sizes, times and inodes of all files are compared with the marker, and only files where they
    differ are hashed. A tree with a wrong, missing or added file counts as absent and stays where it is.
    """
    noted = _read_marker(path)
    if noted is None:
        return None
    found = walk(path / "files")
    if found is None or found.keys() != noted.keys():
        return None
    touched = [name for name, facts in found.items() if not is_same(facts, noted[name])]
    if not touched:
        return KeptTree(path=path, files=noted)
    if any(_hash(path / "files", name) != noted[name].sha256 for name in touched):
        return None
    files = {name: facts_of(facts, noted[name].sha256) for name, facts in found.items()}
    with contextlib.suppress(WriteFailed):  # only saves the next one from hashing again
        write_marker(path / MARKER, files)
    return KeptTree(path=path, files=files)


def wrong_files(path: Path) -> tuple[str, ...]:
    """The files of a tree that are missing, added, or not what they were when it was made; every byte is read."""
    noted = _read_marker(path)
    if noted is None:
        return ()
    found = walk(path / "files") or {}
    wrong = set(found) ^ set(noted)
    wrong |= {name for name in set(found) & set(noted) if _hash(path / "files", name) != noted[name].sha256}
    return tuple(sorted(wrong))


def is_kept(path: Path) -> bool:
    """Whether a tree was made at ``path``, be it changed since or not."""
    return _read_marker(path) is not None


@contextmanager
def alone(path: Path, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """While this is held, no other process makes the tree at ``path``; without locks two may, and one is kept."""
    with locked(_lock(path), on_wait=on_wait, needed=False):
        yield


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@contextmanager
def making(
    path: Path, quarantine: Path, wanted: Callable[[str], bool], check: Callable[[Mapping[str, str]], None]
) -> Iterator[Path]:
    """A folder to fill, under `alone`; it is the tree at ``path``, whole, when the block ends well.

    It has ``sources/``, ``out/`` and ``licences/``. Of ``out/`` the regular files whose relative names are
    ``wanted`` become the tree; ``check`` gets their hashes and raises what is not as it should be. A tree with
    wrong files that lay there goes to ``quarantine``.

    Raises:
        WriteFailed: no space, no rights; nothing is left behind.
    """
    unfinished = list(path.parent.glob(f".{path.name}.*.new"))
    # They are of processes that were killed, as we are alone here; without locks one may be at work.
    for abandoned in unfinished if unfinished and lockable(_lock(path)) else ():
        with contextlib.suppress(OSError):
            discard(abandoned)
    # A name of its own: a container of the killed one may still write into the old folder.
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        for part in ("sources", "out", "licences"):
            (folder / part).mkdir(parents=True)
        yield folder
        _take(folder, wanted, check)
        if find_tree(path) is None:  # else another made it meanwhile, where there are no locks
            if path.exists():
                set_aside(path, quarantine, wrong_files(path))
            folder.replace(path)
    except WriteFailed:
        raise
    except OSError as error:
        raise write_failure(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            discard(folder)


def set_aside(path: Path, quarantine: Path, names: Sequence[str]) -> Path:
    """Move a tree with wrong files out of the way, for a look at it; gives where it is now."""
    aside = quarantine / f"{path.parent.name}-{path.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    path.replace(aside)
    atomic_write_text(aside / "WRONG.txt", "\n".join(names) + "\n", overwrite=True)
    return aside


def _take(folder: Path, wanted: Callable[[str], bool], check: Callable[[Mapping[str, str]], None]) -> None:
    """What was made becomes ``files/`` and the marker, the rest of the folder goes."""
    out, files = folder / "out", folder / "files"
    hashes: dict[str, str] = {}
    for name in sorted(_regular_files(out)):
        if wanted(name):
            hashes[name] = hash_file(out, name, LARGEST_FILE)[0]
    check(hashes)
    for name in hashes:
        target = files / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (out / name).replace(target)
        target.chmod(0o444)
    for held, folders, _ in os.walk(folder / "files"):
        for each in folders:
            os.chmod(os.path.join(held, each), 0o755)  # noqa: PTH101, PTH118, S103 (a run reads it as another user)
    files.mkdir(exist_ok=True)
    files.chmod(0o755)  # a run of root's reads it as a user without rights, whatever root's umask is
    shutil.rmtree(folder / "sources")
    shutil.rmtree(out)
    found = walk(files) or {}
    write_marker(folder / MARKER, {name: facts_of(found[name], sha256) for name, sha256 in hashes.items()})


def _regular_files(folder: Path) -> Iterator[str]:
    """The regular files below ``folder`` by their relative names; no link is followed.

    Raises `AssetError` [output-name] for a name that is no plain text.
    """
    for held, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(held, name)  # noqa: PTH118 (a data set has a hundred thousand of them)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            relative = os.path.relpath(path, folder)
            if neutral(relative) != relative:
                raise AssetError(f"a file named `{neutral(relative)}` was made: no plain text", slug="output-name")
            yield relative


def walk(folder: Path, *, follow: bool = False) -> dict[str, os.stat_result] | None:
    """Every file below ``folder`` by its relative name; None where something there is no plain file.

    With ``follow`` links count as what they lead to.
    """
    found: dict[str, os.stat_result] = {}
    waiting = [""]
    try:
        while waiting:
            below = waiting.pop()
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    name = below + entry.name
                    facts = entry.stat(follow_symlinks=follow)
                    if stat.S_ISREG(facts.st_mode):
                        found[name] = facts
                    elif stat.S_ISDIR(facts.st_mode) and below.count("/") < _DEEPEST:
                        waiting.append(f"{name}/")
                    else:
                        return None
    except OSError:
        return None
    return found


def is_same(facts: os.stat_result, noted: FileFacts) -> bool:
    """Whether a file looks as it did when it was hashed."""
    return (facts.st_size, facts.st_mtime_ns, facts.st_ino) == (noted.size, noted.mtime_ns, noted.inode)


def facts_of(facts: os.stat_result, sha256: str) -> FileFacts:
    """What is noted of a file."""
    return FileFacts(sha256=sha256, size=facts.st_size, mtime_ns=facts.st_mtime_ns, inode=facts.st_ino)


def _hash(folder: Path, name: str) -> str:
    try:
        return hash_file(folder, name, LARGEST_FILE)[0]
    except UnreadableFile:
        return ""


def _read_marker(path: Path) -> Mapping[str, FileFacts] | None:
    return read_marker(path / MARKER)


def read_marker(path: Path) -> dict[str, FileFacts] | None:
    """The facts of each file; None where there is no marker that can be read."""
    try:
        noted = json.loads(read_text(path.parent, path.name, LARGEST_MARKER))
        return {name: FileFacts(*facts) for name, facts in noted.items()}
    except (UnreadableFile, ValueError, TypeError, AttributeError, RecursionError):
        return None


def write_marker(path: Path, files: Mapping[str, FileFacts]) -> None:
    """Note the facts of each file, a line a file."""
    lines = (f"{json.dumps(name)}: {json.dumps(files[name])}" for name in sorted(files))
    atomic_write_text(path, "{\n" + ",\n".join(lines) + "\n}\n", overwrite=True)
