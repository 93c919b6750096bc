"""Docker's packages from the host's own package sources, unpacked into a prefix.

apt downloads with lists and caches of its own, in a temporary folder: it checks the
signatures as always, and the host's lists, sources and package database stay as
they are. Nothing is installed and no maintainer script runs.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.private import write_client_config
from orchestrator.errors import EngineError
from orchestrator.host.command import find_program, must_run
from orchestrator.host.files import atomic_write_text
from orchestrator.host.mirrors import sources
from orchestrator.host.scratch import scratch_folder, secret_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.engines.private import EnginePaths

ENGINE = ("docker.io", "docker-cli", "docker-buildx")
HOST = ("containerd", "runc", "iptables", "tini")
"""From the host's own suite: these link against its C library."""
LIBRARIES = (
    "libip4tc2", "libip6tc2", "libxtables12", "libnftnl11", "libnetfilter-conntrack3", "libnfnetlink0", "libmnl0",
    "libseccomp2", "pigz",
)  # fmt: skip
REQUIRED = ("docker.io", "docker-buildx", "containerd", "runc")
_BY_HAND = "install Docker 23 or newer with its buildx plugin"
_IPTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How a distribution ships Docker. ``engine_suites`` maps a suite to the newer one that its engine comes from."""

    keyring: str
    components: str
    suites: tuple[str, ...]
    engine_suites: dict[str, str]


DISTRIBUTIONS = {
    "debian": Distribution(
        keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
        components="main",
        suites=("bookworm", "trixie", "forky", "sid"),
        # bookworm's own engine (20.10) has no containerd image store and no buildx; trixie's needs only libc 2.34.
        engine_suites={"bookworm": "trixie"},
    ),
    "ubuntu": Distribution(
        keyring="/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        components="main universe",
        suites=("jammy", "noble", "plucky", "questing"),
        engine_suites={},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """What is to be unpacked: ``packages`` that are taken where the archives have them, those ``required`` of them."""

    packages: tuple[str, ...]
    required: tuple[str, ...]
    by_hand: str
    """What a person can do instead."""


DOCKER = PackageSet(packages=(*ENGINE, *HOST, *LIBRARIES), required=REQUIRED, by_hand=_BY_HAND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The package sources to use: archive roots of the host's own lists, and the suites to take from them."""

    distribution: str
    suite: str
    engine_suite: str
    uris: tuple[str, ...]
    security: tuple[str, ...] = ()

    def sources(self) -> str:
        """A deb822 sources file."""
        how = DISTRIBUTIONS[self.distribution]
        suites = list(dict.fromkeys((self.suite, self.engine_suite)))
        if self.distribution == "ubuntu":
            suites.insert(1, f"{self.suite}-updates")
        text = _stanza(self.uris, suites, how)
        if self.security:
            text += "\n" + _stanza(self.security, [f"{suite}-security" for suite in suites if "-" not in suite], how)
        return text

    def allowed(self, package: str) -> tuple[str, ...]:
        """The suites that a package may come from."""
        suite = self.engine_suite if package in ENGINE else self.suite
        return suite, f"{suite}-updates", f"{suite}-security"


def _stanza(uris: Sequence[str], suites: Sequence[str], how: Distribution) -> str:
    return (
        f"Types: deb\nURIs: {' '.join(uris)}\nSuites: {' '.join(suites)}\n"
        f"Components: {how.components}\nSigned-By: {how.keyring}\n"
    )


def find_origin(root: Path = Path("/"), by_hand: str = _BY_HAND) -> Origin:
    """The sources of this host; ``by_hand`` says what a person can do without them.

    Raises:
        EngineError: `unsupported-host`, a distribution or release that has no packages to take.
    """
    release = _os_release(root)
    name, suite = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    how = DISTRIBUTIONS.get(name)
    if how is None or suite not in how.suites or find_program("apt-get") is None or find_program("dpkg-deb") is None:
        known = "; ".join(f"{key}: {', '.join(each.suites)}" for key, each in DISTRIBUTIONS.items())
        raise EngineError(
            f"mlorch can get an engine by itself on {known}; this host is {release.get('PRETTY_NAME') or 'unknown'}",
            hint=f"{by_hand}, then run this again",
            slug="unsupported-host",
        )
    archives, security = _archives_of(root, suite), _archives_of(root, f"{suite}-security")
    if not archives:
        raise EngineError(
            f"the package sources of this host name no archive of {suite}",
            hint=f"add one below /etc/apt, or {by_hand}",
            slug="unsupported-host",
        )
    return Origin(
        distribution=name,
        suite=suite,
        engine_suite=how.engine_suites.get(suite, suite),
        uris=archives,
        security=security,
    )


def _archives_of(root: Path, suite: str) -> tuple[str, ...]:
    """The archives of a suite in the sources of this host's apt, by network or as files."""
    found = [uri for uri, suites in sources(root / "etc/apt") if suite in suites]
    return tuple(dict.fromkeys(uri for uri in found if uri.startswith(("http://", "https://", "file:", "mirror+"))))


def _os_release(root: Path) -> dict[str, str]:
    try:
        lines = (root / "etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key: value.strip("\"'") for key, _, value in pairs if key and value}


def unpack(at: EnginePaths, origin: Origin, say: Callable[[str], None]) -> dict[str, str]:
    """Docker into its prefix; gives the packages' versions. Raises as `lay_out`."""
    versions = lay_out(at.prefix, DOCKER, origin, say, _finish)
    write_client_config(at)
    return versions


def lay_out(
    prefix: Path, wanted: PackageSet, origin: Origin, say: Callable[[str], None], finish: Callable[[Path], None]
) -> dict[str, str]:
    """Download packages and unpack them into a folder, whole or not at all; gives their versions.

    ``finish`` is given the new folder before it takes its place.

    Raises:
        EngineError: `engine-packages`, an archive cannot be reached or lacks a package.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    new = prefix.with_name("root.new")
    shutil.rmtree(new, ignore_errors=True)
    temporary = Path(tempfile.gettempdir())
    with scratch_folder(temporary, "mlorch-apt-") as folder, secret_folder() as secrets:
        folder.chmod(0o755)  # apt's own unprivileged user downloads here, who may not enter root's cache
        options = _options(folder, secrets, origin)
        _apt(["apt-get", *options, "update", "-qq"], f"read the package lists of {', '.join(origin.uris)}")
        found = _available(options, origin, wanted)
        debs = _download(options, folder, found, say)
        versions = {}
        for deb in debs:
            name, version = _apt(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", deb], "read").split()
            versions[name] = version
            _apt(["dpkg-deb", "-x", deb, new], f"unpack {deb.name} (is there space in {prefix.parent}?)")
    finish(new)
    atomic_write_text(new / "packages.json", json.dumps(versions, indent=2, sort_keys=True) + "\n", mode=0o644)
    shutil.rmtree(prefix, ignore_errors=True)
    new.rename(prefix)
    return versions


def _options(folder: Path, secrets: Path, origin: Origin) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (folder / name).mkdir(parents=True)
    (secrets / "own.sources").write_text(origin.sources(), encoding="utf-8")  # its addresses may hold a password
    (folder / "debs").chmod(0o777)  # the same user again; the folder lives for a minute
    # Hooks of the host, such as a software centre's index, have no business with these lists.
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
    (folder / "apt.conf").write_text("".join(f"#clear APT::Update::{hook};\n" for hook in hooks), encoding="utf-8")
    settings = {
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::SourceList": secrets / "own.sources",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "APT::Get::AllowUnauthenticated": "false",
        "APT::Get::List-Cleanup": "false",
    }
    return [
        "-c",
        str(folder / "apt.conf"),
        *(word for key, value in settings.items() for word in ("-o", f"{key}={value}")),
    ]


def _available(options: Sequence[str], origin: Origin, wanted: PackageSet) -> list[str]:
    """``package=version`` of everything wanted that the archives have; some names differ between releases."""
    text = _apt(["apt-cache", *options, "madison", *wanted.packages], "look up the packages")
    newest: dict[str, str] = {}
    for line in text.splitlines():  # a package's versions come newest first: "name | version | URI suite/component …"
        words = [word.strip() for word in line.split("|")]
        if len(words) == 3 and words[2].split()[1].partition("/")[0] in origin.allowed(words[0]):
            newest.setdefault(words[0], words[1])
    if missing := [name for name in wanted.required if name not in newest]:
        raise EngineError(
            f"the archives of this host have no {', '.join(missing)}",
            hint=f"is {origin.engine_suite} in {', '.join(origin.uris)}? else {wanted.by_hand}",
            slug="engine-packages",
        )
    return [f"{name}={version}" for name, version in newest.items()]


def _download(options: Sequence[str], folder: Path, wanted: Sequence[str], say: Callable[[str], None]) -> list[Path]:
    listed = _apt(["apt-get", *options, "--print-uris", "download", *wanted], "look up the packages")
    size = sum(int(line.split()[2]) for line in listed.splitlines() if line.startswith("'"))
    say(f"downloading {len(wanted)} packages, {size / 1e6:.0f} MB")
    _apt(["apt-get", *options, "-qq", "download", *wanted], "download the packages", cwd=folder / "debs")
    return sorted((folder / "debs").glob("*.deb"))


def _finish(prefix: Path) -> None:
    """What the packages' maintainer scripts would have linked."""
    folder = prefix / "usr/sbin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _IPTABLES:
        link = folder / name
        if (folder / "xtables-nft-multi").exists() and not os.path.lexists(link):
            link.symlink_to("xtables-nft-multi")


def _apt(argv: Sequence[str | Path], what: str, cwd: Path | None = None) -> str:
    return must_run(
        argv,
        what,
        hint="check that this host reaches its package sources: `apt-get update` says so",
        slug="engine-packages",
        env={"DEBIAN_FRONTEND": "noninteractive"},
        cwd=cwd,
        timeout_s=900,
    )
