"""A file system tree that grows from archives and is written as one tar, the same bytes every time.

Hostile members are refused: names and links that leave the root, devices, files below
links. Everything lies at its usr-merged path.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError
from orchestrator.plan.build.content import EPOCH

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top-level folders that live below /usr; a base has links to them."""
MERGED_PATHS = frozenset(f"usr/{name}" for name in MERGED)
MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "var/lock": 0o755}
"""Folders whose mode is set whatever packages say, also where a later layer only adds something inside."""

_LEFT_OUT = (
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/menu",
)
_DOC = "usr/share/doc"
_BLOCK = 1 << 20


@dataclass(slots=True)
class Node:
    """One entry of the tree: its kind (a tarfile type), mode, link target, and where its bytes are spooled."""

    kind: bytes
    mode: int
    package: str
    target: str = ""
    offset: int = 0
    size: int = 0


class Tree:
    """The file system as it grows: an entry for every path, file contents in a spool."""

    def __init__(self, spool: IO[bytes]) -> None:
        self.nodes: dict[str, Node] = {}
        self.spool = spool
        self._end = 0

    def add(self, package: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        """One member of a package's archive, at its merged path.

        Raises:
            AssetError: `hostile-archive` for a name or a link that leaves the root, a
                device, or a file below a link.
        """
        path = _merged(package, member.name)
        if not path or _left_out(path, member):
            return
        if member.issym() and path in MERGED_PATHS:
            if member.linkname.strip("/") != path:
                raise _hostile(package, f"`{member.name}` links to `{member.linkname}`")
            return  # the package brings the usr-merge itself
        if member.isdir():
            self._directory(path, member.mode, package)
        elif member.issym():
            _check_link(package, path, member.linkname)
            self._put(path, Node(kind=tarfile.SYMTYPE, mode=0o777, package=package, target=member.linkname))
        elif member.islnk():
            self._hard_link(package, path, _merged(package, member.linkname))
        elif member.isreg():
            stream = archive.extractfile(member)
            assert stream is not None
            offset, size = self._spool(stream)
            node = Node(kind=tarfile.REGTYPE, mode=_mode(member.mode), package=package, offset=offset, size=size)
            self._put(path, node)
        else:
            raise _hostile(package, f"`{member.name}` is a device or a pipe")

    def file(self, path: str, data: bytes, *, package: str = "mlorch") -> None:
        """A file of our own making."""
        offset, size = self._spool(io.BytesIO(data))
        self._put(path, Node(kind=tarfile.REGTYPE, mode=0o644, package=package, offset=offset, size=size))

    def link(self, path: str, target: str) -> None:
        """A symbolic link of our own making."""
        self._put(path, Node(kind=tarfile.SYMTYPE, mode=0o777, package="mlorch", target=target))

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A folder of our own making, with this mode whatever was there before."""
        self._directory(path, mode, "mlorch")
        self.nodes[path].mode = mode

    def read(self, node: Node) -> bytes:
        """The bytes of a regular file."""
        self.spool.seek(node.offset)
        return self.spool.read(node.size)

    def _spool(self, stream: IO[bytes]) -> tuple[int, int]:
        offset = self._end
        self.spool.seek(offset)
        while block := stream.read(_BLOCK):
            self._end += self.spool.write(block)
        return offset, self._end - offset

    def _directory(self, path: str, mode: int, package: str) -> None:
        there = self.nodes.get(path)
        if there is None:
            self._parents(path, package)
            self.nodes[path] = Node(kind=tarfile.DIRTYPE, mode=_mode(mode), package=package)
        elif there.kind != tarfile.DIRTYPE:
            raise _conflict(path, there.package, package)

    def _hard_link(self, package: str, path: str, target: str) -> None:
        there = self.nodes.get(target)
        if there is None or there.kind != tarfile.REGTYPE or there.package != package:
            raise _hostile(package, f"`{path}` is a hard link to `{target}`, which is no file of the package")
        self._put(path, Node(kind=there.kind, mode=there.mode, package=package, offset=there.offset, size=there.size))

    def _put(self, path: str, node: Node) -> None:
        there = self.nodes.get(path)
        if there is not None and not self._same(there, node):
            raise _conflict(path, there.package, node.package)
        self._parents(path, node.package)
        self.nodes[path] = node

    def _same(self, a: Node, b: Node) -> bool:
        if (a.kind, a.mode, a.target, a.size) != (b.kind, b.mode, b.target, b.size):
            return False
        return a.kind != tarfile.REGTYPE or self.read(a) == self.read(b)

    def _parents(self, path: str, package: str) -> None:
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            mode = MODES.get(str(parent), 0o755)
            there = self.nodes.setdefault(str(parent), Node(kind=tarfile.DIRTYPE, mode=mode, package=package))
            if there.kind != tarfile.DIRTYPE:
                raise _hostile(package, f"`{path}` lies below `{parent}`, which is not a folder")


def _merged(package: str, name: str) -> str:
    """The usr-merged path of a member relative to the root; empty for the root itself."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise _hostile(package, f"`{name}` leaves the root")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if parts and parts[0] in MERGED:
        parts = ["usr", *parts]
    return "/".join(parts)


def _check_link(package: str, path: str, target: str) -> None:
    """Refuse a relative link that climbs above the root; an absolute one is read inside the image."""
    depth = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            raise _hostile(package, f"`{path}` links to `{target}`, outside the root")


def _left_out(path: str, member: tarfile.TarInfo) -> bool:
    """Manuals, translations and Python's own tests; of the documentation only the licences stay."""
    if any(path == folder or path.startswith(f"{folder}/") for folder in _LEFT_OUT):
        return True
    parts = path.split("/")
    if path.startswith(f"{_DOC}/"):
        inside = parts[3:]
        return not (inside[1:] == ["copyright"] or (len(inside) == 1 and (member.isdir() or member.issym())))
    return len(parts) > 3 and parts[:2] == ["usr", "lib"] and parts[2].startswith("python3") and parts[3] == "test"


def _mode(mode: int) -> int:
    """Permissions and the sticky bit; never setuid or setgid, since nothing in these images may use them."""
    return mode & 0o1777


def write_tar(tree: Tree, out: Path) -> None:
    """Write the tree to ``out``, sorted, owned by root, of one time."""
    first: dict[tuple[int, int], str] = {}
    with tarfile.open(out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(tree.nodes):
            node = tree.nodes[path]
            info = tarfile.TarInfo(path)
            info.mtime, info.mode, info.type, info.linkname = EPOCH, node.mode, node.kind, node.target
            if node.kind != tarfile.REGTYPE:
                archive.addfile(info)
            elif node.size and (other := first.setdefault((node.offset, node.size), path)) != path:
                info.type, info.linkname = tarfile.LNKTYPE, other
                archive.addfile(info)
            else:
                info.size = node.size
                tree.spool.seek(node.offset)
                archive.addfile(info, tree.spool)


def _hostile(package: str, what: str) -> AssetError:
    return AssetError(f"package {package} is refused: {what}", slug="hostile-archive")


def _conflict(path: str, one: str, other: str) -> AssetError:
    return AssetError(f"packages {one} and {other} disagree about /{path}", slug="package-conflict")
