"""A root file system from Debian packages: pure Python, no root, no chroot, no maintainer script.

The same packages give the same bytes on every machine: sorted names, one time, owner
0:0. A base also gets what the scripts of its packages would have made: the usr-merge
links, users, the certificate bundle and the applets of busybox. Later layers hold only
their own packages' files, at the places that fit under such a base.

What scanners and lawyers need stays in: every package's control stanza below
``/var/lib/dpkg/status.d`` and its copyright file.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestrator.assets.applets import APPLETS
from orchestrator.assets.cache import replacing
from orchestrator.assets.download import ignore
from orchestrator.engines import BuildEvent
from orchestrator.errors import AssetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import IO

    from orchestrator.assets.debs import Fetcher
    from orchestrator.model.steps import DebPin

EPOCH = 1_700_000_000
"""The time of every file, in seconds since 1970: constant, so that a rebuild gives the same bytes."""

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top-level folders that live below /usr; a base has links to them."""
_MERGED_PLACES = frozenset(f"usr/{name}" for name in _MERGED)
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "var/lock": 0o755}
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
class _Node:
    """One place in the tree: its kind (a tarfile type), mode, link target, and where its bytes are spooled."""

    kind: bytes
    mode: int
    package: str
    target: str = ""
    offset: int = 0
    size: int = 0


def build_rootfs(
    debs: Sequence[DebPin],
    out: Path,
    *,
    base: bool,
    fetch: Fetcher,
    on_event: Callable[[BuildEvent], None] = ignore,
    relock: str = "",
) -> str:
    """Write the tar of ``debs`` to ``out`` (atomically) and give its SHA-256.

    Raises:
        AssetError: a package cannot be had (see `Fetcher.debs`), is hostile or broken
            (`hostile-archive`, `broken-package`), or two of them disagree about a file
            (`package-conflict`).
    """
    paths = fetch.debs(debs, relock=relock)
    with tempfile.TemporaryFile() as spool:
        tree = _Tree(spool)
        for index, (pin, path) in enumerate(zip(debs, paths, strict=True), start=1):
            _lay(tree, pin, path)
            on_event(BuildEvent(kind="log", step="rootfs", text=pin.name, current=index, total=len(debs)))
        if base:
            _finish_base(tree)
        with replacing(out) as temporary:
            digest = _write(tree, temporary)
            temporary.chmod(0o644)
    return digest


# -- one package ---------------------------------------------------------------------------


def _lay(tree: _Tree, pin: DebPin, path: Path) -> None:
    """Put the files of one package into the tree, and its control stanza beside them."""
    import lzma
    import zlib

    from debian.arfile import ArError
    from debian.debfile import DebError, DebFile

    try:
        with DebFile(filename=str(path)) as package:
            control = package.control.get_content("control")
            with package.data.tgz() as members:
                for member in members:
                    tree.add(pin.name, member, members)
    except (DebError, ArError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine; python-debian's own faults carry no number
        raise AssetError(
            f"package {pin.name} {pin.version} cannot be read: {type(error).__name__}: {error}",
            slug="broken-package",
        ) from error
    if not control:
        raise AssetError(f"package {pin.name} {pin.version} has an empty control file", slug="broken-package")
    tree.file(f"var/lib/dpkg/status.d/{pin.name}", control.rstrip(b"\n") + b"\n", package=pin.name)


class _Tree:
    """The file system as it grows: a place for every path, file contents in a spool."""

    def __init__(self, spool: IO[bytes]) -> None:
        self.nodes: dict[str, _Node] = {}
        self.spool = spool
        self._end = 0

    def add(self, package: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        """One member of a package's archive, at its merged place.

        Raises:
            AssetError: `hostile-archive` for a name or a link that leaves the root, a
                device, or a file below a link.
        """
        place = _place(package, member.name)
        if not place or _left_out(place, member):
            return
        if member.issym() and place in _MERGED_PLACES:
            if member.linkname.strip("/") != place:
                raise _hostile(package, f"`{member.name}` links to `{member.linkname}`")
            return  # the package brings the usr-merge itself
        if member.isdir():
            self._directory(place, member.mode, package)
        elif member.issym():
            _check_link(package, place, member.linkname)
            self._put(place, _Node(kind=tarfile.SYMTYPE, mode=0o777, package=package, target=member.linkname))
        elif member.islnk():
            self._hard_link(package, place, _place(package, member.linkname))
        elif member.isreg():
            stream = archive.extractfile(member)
            assert stream is not None
            offset, size = self._spool(stream)
            node = _Node(kind=tarfile.REGTYPE, mode=_mode(member.mode), package=package, offset=offset, size=size)
            self._put(place, node)
        else:
            raise _hostile(package, f"`{member.name}` is a device or a pipe")

    def file(self, place: str, data: bytes, *, mode: int = 0o644, package: str = "mlorch") -> None:
        """A file of our own making."""
        offset, size = self._spool(io.BytesIO(data))
        self._put(place, _Node(kind=tarfile.REGTYPE, mode=mode, package=package, offset=offset, size=size))

    def link(self, place: str, target: str) -> None:
        """A symbolic link of our own making."""
        self._put(place, _Node(kind=tarfile.SYMTYPE, mode=0o777, package="mlorch", target=target))

    def directory(self, place: str, mode: int = 0o755) -> None:
        """A folder of our own making, with this mode whatever was there before."""
        self._directory(place, mode, "mlorch")
        self.nodes[place].mode = mode

    def read(self, node: _Node) -> bytes:
        """The bytes of a regular file."""
        self.spool.seek(node.offset)
        return self.spool.read(node.size)

    def _spool(self, stream: IO[bytes]) -> tuple[int, int]:
        offset = self._end
        self.spool.seek(offset)
        while block := stream.read(_BLOCK):
            self._end += self.spool.write(block)
        return offset, self._end - offset

    def _directory(self, place: str, mode: int, package: str) -> None:
        there = self.nodes.get(place)
        if there is None:
            self._parents(place, package)
            self.nodes[place] = _Node(kind=tarfile.DIRTYPE, mode=_mode(mode), package=package)
        elif there.kind != tarfile.DIRTYPE:
            raise _conflict(place, there.package, package)

    def _hard_link(self, package: str, place: str, target: str) -> None:
        there = self.nodes.get(target)
        if there is None or there.kind != tarfile.REGTYPE or there.package != package:
            raise _hostile(package, f"`{place}` is a hard link to `{target}`, which is no file of the package")
        self._put(place, _Node(kind=there.kind, mode=there.mode, package=package, offset=there.offset, size=there.size))

    def _put(self, place: str, node: _Node) -> None:
        there = self.nodes.get(place)
        if there is not None and not self._same(there, node):
            raise _conflict(place, there.package, node.package)
        self._parents(place, node.package)
        self.nodes[place] = node

    def _same(self, a: _Node, b: _Node) -> bool:
        if (a.kind, a.mode, a.target, a.size) != (b.kind, b.mode, b.target, b.size):
            return False
        return a.kind != tarfile.REGTYPE or self.read(a) == self.read(b)

    def _parents(self, place: str, package: str) -> None:
        for parent in reversed(PurePosixPath(place).parents[:-1]):
            mode = _MODES.get(str(parent), 0o755)
            there = self.nodes.setdefault(str(parent), _Node(kind=tarfile.DIRTYPE, mode=mode, package=package))
            if there.kind != tarfile.DIRTYPE:
                raise _hostile(package, f"`{place}` lies below `{parent}`, which is not a folder")


def _place(package: str, name: str) -> str:
    """The path of a member relative to the root, at its usr-merged place; empty for the root itself."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise _hostile(package, f"`{name}` leaves the root")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if parts and parts[0] in _MERGED:
        parts = ["usr", *parts]
    return "/".join(parts)


def _check_link(package: str, place: str, target: str) -> None:
    """Refuse a relative link that climbs above the root; an absolute one is read inside the image."""
    depth = 0 if target.startswith("/") else place.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            raise _hostile(package, f"`{place}` links to `{target}`, outside the root")


def _left_out(place: str, member: tarfile.TarInfo) -> bool:
    """Manuals, translations and Python's own tests; of the documentation only the licences stay."""
    if any(place == folder or place.startswith(f"{folder}/") for folder in _LEFT_OUT):
        return True
    parts = place.split("/")
    if place.startswith(f"{_DOC}/"):
        inside = parts[3:]
        return not (inside[1:] == ["copyright"] or (len(inside) == 1 and (member.isdir() or member.issym())))
    return len(parts) > 3 and parts[:2] == ["usr", "lib"] and parts[2].startswith("python3") and parts[3] == "test"


def _mode(mode: int) -> int:
    """Permissions and the sticky bit; never setuid or setgid, since nothing in these images may use them."""
    return mode & 0o1777


# -- what the scripts of a base's packages would have made -----------------------------------

_ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
_ZONE = "Etc/UTC"
_CERTIFICATES = "usr/share/ca-certificates/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def _finish_base(tree: _Tree) -> None:
    for name in _MERGED:
        if f"usr/{name}" in tree.nodes or name in ("bin", "sbin", "lib"):
            tree.directory(f"usr/{name}")
            tree.link(name, f"usr/{name}")
    for name in ("dev", "proc", "sys", "run", "var/log", "var/cache", "home", "mnt", "opt", "srv"):
        tree.directory(name)
    for name, mode in _MODES.items():
        tree.directory(name, mode)
    for place, text in _ETC.items():
        tree.file(place, text.encode())
    if "var/run" not in tree.nodes:
        tree.link("var/run", "/run")
    _bundle_certificates(tree)
    _set_zone(tree)
    _link_applets(tree)


def _set_zone(tree: _Tree) -> None:
    if f"usr/share/zoneinfo/{_ZONE}" in tree.nodes:
        tree.link("etc/localtime", f"/usr/share/zoneinfo/{_ZONE}")
        tree.file("etc/timezone", f"{_ZONE}\n".encode())


def _link_applets(tree: _Tree) -> None:
    """The applets, each where no package has a program of that name."""
    if "usr/bin/busybox" in tree.nodes:
        for name in APPLETS:
            if not {f"usr/bin/{name}", f"usr/sbin/{name}"} & tree.nodes.keys():
                tree.link(f"usr/bin/{name}", "busybox")


def _bundle_certificates(tree: _Tree) -> None:
    """One file of the certificates of the package itself, never of the host, where OpenSSL looks."""
    places = sorted(p for p in tree.nodes if p.startswith(_CERTIFICATES) and p.endswith(".crt"))
    if not places:
        return
    texts = [tree.read(tree.nodes[place]).strip() + b"\n" for place in places]
    tree.file(_BUNDLE, b"".join(texts))
    tree.link("usr/lib/ssl/certs", "/etc/ssl/certs")
    tree.link("usr/lib/ssl/cert.pem", f"/{_BUNDLE}")


# -- the archive -----------------------------------------------------------------------------


class _Hashing(io.RawIOBase):
    """A sink that hashes what it passes on."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes only
        self.digest.update(data)
        return self._out.write(data)


def _write(tree: _Tree, path: Path) -> str:
    with path.open("wb") as raw:
        sink = _Hashing(raw)
        first: dict[tuple[int, int], str] = {}
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for place in sorted(tree.nodes):
                node = tree.nodes[place]
                info = tarfile.TarInfo(place)
                info.mtime, info.mode, info.type, info.linkname = EPOCH, node.mode, node.kind, node.target
                if node.kind != tarfile.REGTYPE:
                    archive.addfile(info)
                elif node.size and (other := first.setdefault((node.offset, node.size), place)) != place:
                    info.type, info.linkname = tarfile.LNKTYPE, other
                    archive.addfile(info)
                else:
                    info.size = node.size
                    tree.spool.seek(node.offset)
                    archive.addfile(info, tree.spool)
    return sink.digest.hexdigest()


def _hostile(package: str, what: str) -> AssetError:
    return AssetError(f"package {package} is refused: {what}", slug="hostile-archive")


def _conflict(place: str, one: str, other: str) -> AssetError:
    return AssetError(f"packages {one} and {other} disagree about /{place}", slug="package-conflict")
