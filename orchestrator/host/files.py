"""Writing files so that a reader, a full disk or a power cut never meets half of one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from pathlib import Path

from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.folders import way_out

_BLOCK = 1 << 20


class WriteFailed(StepFailed, OSError):
    """A file could not be written. Also an OSError, so that a cache may shrug it off."""

    slug = "write"


def atomic_write_text(path: Path | str, text: str, *, overwrite: bool = False, mode: int | None = None) -> None:
    """`atomic_write_bytes` of ``text`` in UTF-8."""
    atomic_write_bytes(path, text.encode(), overwrite=overwrite, mode=mode)


def atomic_write_bytes(path: Path | str, data: bytes, *, overwrite: bool = False, mode: int | None = None) -> None:
    """Write ``data`` to ``path``: temporary file beside it, fsync, rename, fsync of the folder.

    Readers see the old file or the new one, whole. Without ``overwrite`` an existing
    file is left alone and `WriteFailed` [exists] raised. A file that is replaced keeps
    its permissions unless ``mode`` says otherwise. Any other failure (disk full, no
    permission) leaves what was there, no temporary file, and raises `WriteFailed` [write].
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns():x}.tmp")
    try:
        try:
            _write_whole(temporary, data, _mode_for(path) if mode is None else mode)
            _publish(temporary, path, overwrite=overwrite)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as exc:
        raise write_failure(path, exc) from exc


def _exists(path: Path) -> WriteFailed:
    hint = "what is there is never overwritten: move it away, or give another name or folder"
    return WriteFailed(f"{path} exists already", slug="exists", hint=hint)


def require_new(path: Path) -> None:
    """Raise `WriteFailed` [exists] where something is already, before any work is done."""
    if os.path.lexists(path):
        raise _exists(path)


def copy_new(source: Path, path: Path) -> None:
    """Copy a file to a place where none is, whole or not at all; raises `WriteFailed`."""
    import shutil  # which imports every compressor, and most commands copy nothing

    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, temporary)
        _publish(temporary, path, overwrite=False)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as exc:
        raise write_failure(path, exc) from exc
    finally:
        temporary.unlink(missing_ok=True)


def link_or_copy(source: Path, path: Path) -> None:
    """The file ``source`` at ``path`` as well: the same one where the file system can, else a copy.

    Raises `WriteFailed`.
    """
    try:
        path.hardlink_to(source)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # another file system, or one without links
        copy_new(source, path)


def output_path(path: Path) -> Path:
    """The file that a person names to be written: behind a link it is the one that the link leads to, there or not."""
    return path.resolve() if path.is_symlink() else path


def require_folder(path: Path) -> None:
    """A folder to write to has to be there: a mistyped path must not make a tree.

    Raises:
        UsageError: `missing-path`.
    """
    if not path.is_dir():
        raise UsageError(f"the folder {path} does not exist", hint="make it, or name another one", slug="missing-path")


def write_failure(path: Path | str, exc: OSError) -> WriteFailed:
    """The error of a failed write, with what to do about a full disk."""
    hint = "Check the folder's permissions and that its file system is writable."
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "Free some space or choose another folder (-o); what was there before is unchanged."
    elif way := way_out(exc):
        hint = way
    elif exc.errno == errno.ENOENT:
        hint = "The folder does not exist; it is not made unasked."
    return WriteFailed(f"cannot write {path}: {exc.strerror or exc}", hint=hint)


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises `WriteFailed`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(path, error) from error


def sha256_file(path: Path | str) -> str:
    """The sha256 of a file's content, lower-case hex; raises OSError."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_system(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that holds `path` (``ext4``); empty where the kernel does not say."""
    deepest, kind = -1, ""
    with contextlib.suppress(OSError):
        real = path.resolve()
        for line in mountinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            point = Path(before.split()[4].replace("\\040", " "))
            if len(point.parts) >= deepest and real.is_relative_to(point):  # of two on one point the later one counts
                deepest, kind = len(point.parts), after.split()[0]
    return kind


def _mode_for(path: Path) -> int | None:
    """The permissions of the file to replace; None where there is none (the umask decides).

    A link there is replaced, and says nothing about permissions; special bits are never taken on.
    """
    with contextlib.suppress(OSError):
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            return facts.st_mode & 0o777
    return None


def _write_whole(temporary: Path, data: bytes, mode: int | None) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as stream:
        if mode is not None:
            os.fchmod(stream.fileno(), mode)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # fails where a file is, unlike rename: no window between check and use
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        if path.exists():  # a file system without hard links: the best that it can do
            raise FileExistsError(errno.EEXIST, "file exists", str(path)) from None
        temporary.replace(path)
        return
    temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the rename durable; some file systems refuse to sync a folder, and then it is not needed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
