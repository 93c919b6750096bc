"""A root file system from Debian packages: pure Python, no root, no chroot, no maintainer script.

The same packages give the same bytes on every machine: sorted names, one time, owner
0:0. A base also gets what the scripts of its packages would have made: the usr-merge
links, users, the certificate bundle and the applets of busybox. Later layers hold only
their own packages' files, at the paths that fit under such a base.

What scanners and lawyers need stays in: every package's control stanza below
``/var/lib/dpkg/status.d`` and its copyright file.
"""

from __future__ import annotations

import tarfile
import tempfile
from typing import TYPE_CHECKING

from orchestrator.engines import BuildEvent
from orchestrator.errors import AssetError
from orchestrator.host.replacing import replacing
from orchestrator.packages.download import ignore
from orchestrator.packages.tree import MERGED, MODES, Tree, write_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.facts.build import DebPin
    from orchestrator.packages.fetch import Fetcher


def build_rootfs(
    debs: Sequence[DebPin],
    out: Path,
    *,
    base: bool,
    fetch: Fetcher,
    on_event: Callable[[BuildEvent], None] = ignore,
    relock: str = "",
) -> None:
    """Write the tar of ``debs`` to ``out`` (atomically).

    Raises:
        AssetError: a package cannot be had (see `Fetcher.debs`), is hostile or broken
            (`hostile-archive`, `broken-package`), or two of them disagree about a file
            (`package-conflict`).
    """
    paths = fetch.debs(debs, relock=relock)
    with tempfile.TemporaryFile() as spool:
        tree = Tree(spool)
        for index, (pin, path) in enumerate(zip(debs, paths, strict=True), start=1):
            _lay(tree, pin, path)
            on_event(BuildEvent(kind="log", step="rootfs", text=pin.name, current=index, total=len(debs)))
        if base:
            _finish_base(tree)
        with replacing(out) as temporary:
            write_tar(tree, temporary)
            temporary.chmod(0o644)


def _lay(tree: Tree, pin: DebPin, path: Path) -> None:
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


# -- what the scripts of a base's packages would have made -----------------------------------

_ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
_ZONE = "Etc/UTC"
_CERTIFICATES = "usr/share/ca-certificates/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_APPLETS = """
[ ash awk base64 basename cat chmod chown cmp cp cut date dd df diff dirname dmesg du echo egrep env expr
false fgrep find fold free getopt grep groups gunzip gzip head hexdump hostname id kill killall less link
ln logname ls md5sum mkdir mkfifo mktemp more mv nl nologin nproc od paste patch pidof printf ps pwd
readlink realpath renice reset rev rm rmdir sed seq sh sha1sum sha256sum sha512sum shuf sleep sort
stat strings stty sync tac tail tar taskset tee test time timeout top touch tr true truncate tty uname
uniq unlink unzip uptime usleep vi wc which who whoami xargs xxd xzcat yes zcat
"""
"""The applets of busybox that a base links: a shell and tools for files, text and processes.

Left out on purpose: servers and clients of the network, mounts, users, kernel modules
and package tools; a benchmark's container can do nothing with them.
"""


def _finish_base(tree: Tree) -> None:
    for name in MERGED:
        if f"usr/{name}" in tree.nodes or name in ("bin", "sbin", "lib"):
            tree.directory(f"usr/{name}")
            tree.link(name, f"usr/{name}")
    for name in ("dev", "proc", "sys", "run", "var/log", "var/cache", "home", "mnt", "opt", "srv"):
        tree.directory(name)
    for name, mode in MODES.items():
        tree.directory(name, mode)
    for path, text in _ETC.items():
        tree.file(path, text.encode())
    if "var/run" not in tree.nodes:
        tree.link("var/run", "/run")
    _bundle_certificates(tree)
    if f"usr/share/zoneinfo/{_ZONE}" in tree.nodes:
        tree.link("etc/localtime", f"/usr/share/zoneinfo/{_ZONE}")
        tree.file("etc/timezone", f"{_ZONE}\n".encode())
    _link_applets(tree)


def _link_applets(tree: Tree) -> None:
    """The applets, each where no package has a program of that name."""
    if "usr/bin/busybox" in tree.nodes:
        for name in _APPLETS.split():
            if not {f"usr/bin/{name}", f"usr/sbin/{name}"} & tree.nodes.keys():
                tree.link(f"usr/bin/{name}", "busybox")


def _bundle_certificates(tree: Tree) -> None:
    """One file of the certificates of the package itself, never of the host, where OpenSSL looks."""
    paths = sorted(path for path in tree.nodes if path.startswith(_CERTIFICATES) and path.endswith(".crt"))
    if not paths:
        return
    texts = [tree.read(tree.nodes[path]).strip() + b"\n" for path in paths]
    tree.file(_BUNDLE, b"".join(texts))
    tree.link("usr/lib/ssl/certs", "/etc/ssl/certs")
    tree.link("usr/lib/ssl/cert.pem", f"/{_BUNDLE}")
