"""Root file systems from packages: same bytes, right places, nothing hostile."""

import tarfile

import pytest
from deb_parts import Shelf, node

from orchestrator.definitions.locks import ROOTFS_SCHEME
from orchestrator.errors import AssetError
from orchestrator.host.files import sha256_file
from orchestrator.host.site import SiteConfig
from orchestrator.packages.fetch import Fetcher
from orchestrator.packages.rootfs import build_rootfs

BUSYBOX = [("./bin/", 0o755), ("./bin/busybox", b"busybox")]
LICENCE = ("./usr/share/doc/tool/copyright", b"terms")


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "mirror")


@pytest.fixture
def build(tmp_path, shelf):
    def run(*pins, base=False, name="rootfs.tar"):
        fetch = Fetcher(SiteConfig(archives=shelf.mirrors), tmp_path / "cache")
        build_rootfs(pins, tmp_path / name, base=base, fetch=fetch, relock="base-x")
        with tarfile.open(tmp_path / name) as archive:
            members = {member.name: member for member in archive}
            texts = {n: archive.extractfile(m).read() for n, m in members.items() if m.isreg()}
        return sha256_file(tmp_path / name), members, texts

    return run


def test_same_packages_give_the_same_bytes(build, shelf, tmp_path):
    pins = [shelf.add("busybox-static", BUSYBOX), shelf.add("tool", [("./usr/bin/tool", b"x"), LICENCE])]
    first, *_ = build(*pins, base=True)
    second, *_ = build(*reversed(pins), base=True, name="again.tar")
    assert first == second
    assert (tmp_path / "rootfs.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()


def test_owner_time_and_order_are_fixed(build, shelf):
    _, members, _ = build(shelf.add("tool", [("./usr/bin/b", b"1"), ("./usr/bin/a", b"2")]))
    assert list(members) == sorted(members)
    assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(0, 0, 1_700_000_000)}


def test_a_base_is_merged_and_complete(build, shelf):
    certificates = [
        ("./usr/share/ca-certificates/mozilla/B.crt", b"-----B-----\n\n"),
        ("./usr/share/ca-certificates/mozilla/A.crt", b"-----A-----"),
    ]
    pins = [
        shelf.add("busybox-static", BUSYBOX),
        shelf.add("libc6", [("./lib/x86_64-linux-gnu/libc.so.6", b"libc"), ("./lib64/", 0o755)]),
        shelf.add("ca-certificates", certificates),
        shelf.add("tzdata", [("./usr/share/zoneinfo/Etc/UTC", b"zone")]),
        shelf.add("grep", [("./bin/grep", b"real grep")]),
    ]
    _, members, texts = build(*pins, base=True)
    assert {name: members[name].linkname for name in ("bin", "sbin", "lib", "lib64")} == {
        "bin": "usr/bin",
        "sbin": "usr/sbin",
        "lib": "usr/lib",
        "lib64": "usr/lib64",
    }
    assert texts["usr/lib/x86_64-linux-gnu/libc.so.6"] == b"libc"
    assert members["usr/bin/sh"].linkname == "busybox"
    assert texts["usr/bin/grep"] == b"real grep"  # no applet over a real program
    assert texts["etc/ssl/certs/ca-certificates.crt"] == b"-----A-----\n-----B-----\n"
    assert members["etc/localtime"].linkname == "/usr/share/zoneinfo/Etc/UTC"
    assert texts["etc/passwd"].startswith(b"root:x:0:0:")
    assert {members[name].mode for name in ("tmp", "var/tmp")} == {0o1777}
    assert b"Package: libc6\nVersion: 1.0\n" in texts["var/lib/dpkg/status.d/libc6"]


def test_a_later_layer_holds_its_own_files_only_and_fits_under_the_merge(build, shelf):
    pin = shelf.add("tool", [("./bin/", 0o755), ("./bin/tool", b"x"), ("./lib/libtool.so", b"y"), ("./tmp/t", b"z")])
    _, members, _ = build(pin)
    assert {"bin", "sbin", "lib", "etc/passwd", "usr/bin/sh"} & members.keys() == set()
    assert {"usr/bin/tool", "usr/lib/libtool.so"} <= members.keys()
    assert members["tmp"].mode == 0o1777  # laid over the base's /tmp, it must not close it


def test_manuals_go_and_licences_stay(build, shelf):
    pin = shelf.add(
        "tool",
        [
            LICENCE,
            ("./usr/share/doc/tool/changelog.gz", b"long"),
            ("./usr/share/doc/tool-extra", node(tarfile.SYMTYPE, "tool")),
            ("./usr/share/man/man1/tool.1.gz", b"manual"),
            ("./usr/share/locale/de/LC_MESSAGES/tool.mo", b"deutsch"),
            ("./usr/lib/python3.11/test/test_x.py", b"test"),
            ("./usr/lib/python3.11/unittest/case.py", b"no test"),
        ],
    )
    _, members, texts = build(pin)
    kept = {name for name in members if not members[name].isdir()}
    assert kept == {
        "usr/lib/python3.11/unittest/case.py",
        "usr/share/doc/tool-extra",
        "usr/share/doc/tool/copyright",
        "var/lib/dpkg/status.d/tool",
    }
    assert texts["usr/share/doc/tool/copyright"] == b"terms"


def test_setuid_is_dropped_and_hard_links_hold(build, shelf):
    suid = node(tarfile.REGTYPE, mode=0o6755)
    pin = shelf.add(
        "tool",
        [("./usr/bin/su", suid), ("./usr/bin/a", b"data"), ("./usr/bin/b", node(tarfile.LNKTYPE, "./usr/bin/a"))],
    )
    _, members, _ = build(pin)
    assert members["usr/bin/su"].mode == 0o755
    assert members["usr/bin/b"].islnk()
    assert members["usr/bin/b"].linkname == "usr/bin/a"


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/passwd", b"x")],
        [("./usr/../../etc/passwd", b"x")],
        [("./usr/lib/x", node(tarfile.SYMTYPE, "../../../../etc/shadow"))],
        [("./usr/lib/x", node(tarfile.SYMTYPE, "/../etc/shadow"))],
        [("./bin", node(tarfile.SYMTYPE, "/tmp"))],
        [("./dev/sda", node(tarfile.BLKTYPE))],
        [("./run/pipe", node(tarfile.FIFOTYPE))],
        [("./usr/x", node(tarfile.SYMTYPE, "/etc")), ("./usr/x/passwd", b"x")],
        [("./usr/x", node(tarfile.LNKTYPE, "./etc/shadow"))],
        [("./usr/x", node(tarfile.LNKTYPE, "../../etc/shadow"))],
    ],
)
def test_hostile_packages_are_refused(build, shelf, tmp_path, members):
    with pytest.raises(AssetError) as caught:
        build(shelf.add("evil", members))
    assert caught.value.slug == "hostile-archive"
    assert "evil" in caught.value.message
    assert not (tmp_path / "rootfs.tar").exists()


def test_a_broken_package_is_named(build, shelf, tmp_path):
    pin = shelf.add("tool", [("./usr/bin/tool", b"x" * 5000)])
    place = tmp_path / "mirror" / pin.path
    data = place.read_bytes()[:-200]
    place.write_bytes(data)
    import hashlib
    from dataclasses import replace

    with pytest.raises(AssetError) as caught:
        build(replace(pin, sha256=hashlib.sha256(data).hexdigest(), size=len(data)))
    assert caught.value.slug == "broken-package"


def test_packages_that_disagree_are_refused(build, shelf):
    one, two = shelf.add("one", [("./etc/x", b"1")]), shelf.add("two", [("./etc/x", b"2")])
    with pytest.raises(AssetError) as caught:
        build(one, two)
    assert caught.value.slug == "package-conflict"
    assert "/etc/x" in caught.value.message


def test_equal_files_of_two_packages_are_fine(build, shelf):
    one, two = shelf.add("one", [("./etc/x", b"1")]), shelf.add("two", [("./etc/x", b"1")])
    _, _, texts = build(one, two)
    assert texts["etc/x"] == b"1"


def test_the_way_packages_are_laid_out_changes_only_together_with_its_version(build, shelf):
    """When this fails, raise `ROOTFS_SCHEME` first: images of the old layout would count as present."""
    zone = [("./usr/share/zoneinfo/Etc/UTC", b"zone")]
    pins = [
        shelf.add("busybox-static", BUSYBOX),
        shelf.add("tzdata", zone),
        shelf.add("ca-certificates", [("./usr/share/ca-certificates/mozilla/A.crt", b"A")]),
        shelf.add("tool", [("./bin/tool", b"x"), ("./usr/share/man/man1/tool.1", b"m"), LICENCE]),
    ]
    assert (ROOTFS_SCHEME, build(*pins, base=True)[0]) == (
        "2",
        "eb4e53bd1b077a0985675df5bc9f8ca9278299641746fda4dd263032fc282348",
    )
