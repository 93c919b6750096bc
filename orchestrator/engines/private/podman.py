"""mlorch's own podman: Debian's or Ubuntu's packages unpacked into a folder, and a program that finds its parts there.

For machines without podman, as for Docker (docs/decisions/0002): nothing is installed and
nothing of the host is changed. There is no daemon, so nothing is started or stopped.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.private import short_hash
from orchestrator.errors import EngineError
from orchestrator.host.command import must_run
from orchestrator.host.folders import data_home, runtime_folder
from orchestrator.host.paths import exists
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from orchestrator.engines.consent import Consent

PACKAGES = (
    "podman", "conmon", "runc", "catatonit", "netavark", "aardvark-dns", "golang-github-containers-common",
    "golang-github-containers-image", "fuse-overlayfs", "slirp4netns", "uidmap", "patchelf",
)  # fmt: skip
LIBRARIES = (
    "libgpgme11", "libgpgme11t64", "libassuan0", "libassuan9", "libgpg-error0", "libdevmapper1.02.1", "libseccomp2",
    "libsubid4", "libsubid5", "libglib2.0-0", "libglib2.0-0t64", "libfuse3-3", "libfuse3-4", "libslirp0",
)  # fmt: skip
REQUIRED = ("podman", "conmon", "runc", "patchelf")
_LINKED = ("podman", "conmon", "fuse-overlayfs", "slirp4netns", "newuidmap", "newgidmap")
"""Programs that need libraries of the folder."""
_TEMPORARY = Path("/tmp")  # noqa: S108 (what is made there is 0700, and refused where it is another's)
BY_HAND = "install podman 4 or newer"


def home() -> Path:
    """The folder of packages, settings and images."""
    return data_home() / "podman"


def run_folder() -> Path:
    """What is gone after a boot, as podman learns of a boot by that."""
    name = f"mlorch-podman-{short_hash(home())}"
    if os.geteuid() == 0:
        return Path("/run") / name
    return (runtime_folder(os.environ) or _TEMPORARY) / f"{name}-{os.geteuid()}"


def program() -> Path:
    """The program to call, whether or not it is there; written last, so where it is there all else is."""
    return home() / "podman"


def ensure(consent: Consent) -> tuple[str, ...]:
    """Unpack podman where it is not yet; gives what was done for that.

    Raises:
        EngineError: `not-asked`, `declined`, `unsupported-host`, `engine-packages`, `no-space`.
    """
    from orchestrator.engines.private.ensure import check_folder
    from orchestrator.engines.private.packages import PackageSet, find_origin, lay_out
    from orchestrator.host.file_lock import locked

    origin = find_origin(by_hand=BY_HAND)
    check_folder(home(), packages=True, daemon=True)
    consent.require(_offer(", ".join(origin.uris), origin.suite))
    wanted = PackageSet(packages=(*PACKAGES, *LIBRARIES), required=REQUIRED, by_hand=BY_HAND)
    with locked(home() / "lock"):
        if exists(program()):
            return ()
        if not exists(home() / "root/packages.json"):  # written last; else one was ended before its settings
            lay_out(home() / "root", wanted, origin, consent.say, _link)
        write_settings(home())
        version = json.loads((home() / "root/packages.json").read_text(encoding="utf-8"))["podman"]
    did = f"unpacked podman {version} into {home() / 'root'}"
    consent.say(did)
    return (did,)


def _link(new: Path) -> None:
    """Write into the programs where their libraries will be.

    A variable would not do: conmon starts podman again when a container has ended, with
    an environment that it makes itself.
    """
    folders = [
        path.relative_to(new) for name in ("usr/lib", "lib") for path in sorted((new / name).glob("*-linux-gnu*"))
    ]
    rpath = ":".join(str(home() / "root" / folder) for folder in folders)
    for name in _LINKED:
        if (new / "usr/bin" / name).exists():
            must_run(
                [new / "usr/bin/patchelf", "--force-rpath", "--set-rpath", rpath, new / "usr/bin" / name],
                f"write into {name} where its libraries are",
                hint=BY_HAND,
            )


def _offer(uris: str, suite: str) -> str:
    return "\n".join(
        (
            "There is no podman, the container engine that needs neither a daemon nor root. mlorch would",
            "  - download podman, conmon, runc and what they need (about 20 MB) with apt",
            f"    from {uris} (suite {suite});",
            "    signatures are checked, the host's package lists and packages stay as they are",
            f"  - unpack them (about 60 MB) into {home() / 'root'}; images will lie in {home() / 'storage'}",
            "  - start one container, to see that it works, and remove it again",
            f"Nothing is installed, and no daemon started. The folder {home()} can be deleted at any time.",
        )
    )


def keep_settings() -> None:
    """Write the settings of an unpacked podman anew where they are not what this mlorch would write.

    Another version of mlorch, or another runtime folder of this user, may have unpacked it. Raises `EngineError`
    [engine-folder] where somebody else has made the folder that is to be this user's.
    """
    at = home()
    wanted = {"podman": _program(at / "root", at), "containers.conf": _containers_conf(at / "root", at)}
    if any(text_of(at / name) != text.strip() for name, text in wanted.items()):
        write_settings(at)
    if os.geteuid() == 0:
        return  # nobody else makes a folder in /run
    folder = run_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
        raise EngineError(
            f"{folder} belongs to another user, and podman's state is to lie there",
            hint="remove it, or set XDG_RUNTIME_DIR to a folder of this user's",
            slug="engine-folder",
        )


def write_settings(at: Path) -> None:
    """podman's own files and the program that names them; they say where its parts, its images and its locks are."""
    root = at / "root"
    (at / "home/.config/containers").mkdir(parents=True, exist_ok=True)
    # Where podman looks for what signatures images must have; images are checked by digest.
    policy = {"default": [{"type": "insecureAcceptAnything"}]}
    (at / "home/.config/containers/policy.json").write_text(json.dumps(policy), encoding="utf-8")
    (at / "containers.conf").write_text(_containers_conf(root, at), encoding="utf-8")
    (at / "registries.conf").write_text('unqualified-search-registries = []\nshort-name-mode = "disabled"\n')
    (at / "storage.conf").write_text(_storage_conf(at), encoding="utf-8")
    new = at / "podman.new"
    new.write_text(_program(root, at), encoding="utf-8")
    new.chmod(0o755)
    new.replace(program())


def _containers_conf(root: Path, at: Path) -> str:
    """TOML; its strings and lists are JSON's. Locks in files: those in shared memory are the host's own podman's."""
    quoted = json.dumps
    return "\n".join(
        (
            "[containers]",
            f"seccomp_profile = {quoted(str(root / 'usr/share/containers/seccomp.json'))}",
            "[engine]",
            'runtime = "runc"',  # crun refuses hosts whose cgroups are of both versions
            'cgroup_manager = "cgroupfs"',
            'events_logger = "none"',
            'lock_type = "file"',
            f"conmon_path = {quoted([str(root / 'usr/bin/conmon')])}",
            f"helper_binaries_dir = {quoted([str(root / 'usr/lib/podman'), str(root / 'usr/bin')])}",
            f"init_path = {quoted(str(root / 'usr/bin/catatonit'))}",
            f"tmp_dir = {quoted(str(run_folder() / 'libpod'))}",
            "[engine.runtimes]",
            f"runc = {quoted([str(root / 'usr/sbin/runc'), str(root / 'usr/bin/runc')])}",
            "[network]",
            f"network_config_dir = {quoted(str(at / 'networks'))}",
            "",
        )
    )


def _storage_conf(at: Path) -> str:
    folders = {"graphroot": at / "storage", "runroot": run_folder() / "storage"}
    lines = [f"{name} = {json.dumps(str(path))}\n" for name, path in folders.items()]
    return '[storage]\ndriver = "overlay"\n' + "".join(lines)


def _program(root: Path, at: Path) -> str:
    """A script, so that whoever calls it (a person, too) gets this podman with these settings."""
    runc = next(path for name in ("usr/sbin/runc", "usr/bin/runc") if (path := root / name).exists())
    settings = {
        "CONTAINERS_CONF": at / "containers.conf",
        "CONTAINERS_STORAGE_CONF": at / "storage.conf",
        "CONTAINERS_REGISTRIES_CONF": at / "registries.conf",
        "BUILDAH_RUNTIME": runc,
    }
    lines = ["#!/bin/sh", "# podman unpacked by mlorch; see `mlorch engine status --engine podman`"]
    # Credentials of registries are the user's; HOME is ours only so that the policy is found.
    files = (
        '"$XDG_RUNTIME_DIR/containers/auth.json"',
        '"$HOME/.config/containers/auth.json"',
        '"$HOME/.docker/config.json"',
    )
    lines += [f"for file in {' '.join(files)}; do"]
    lines += ['  if [ -z "$REGISTRY_AUTH_FILE" ] && [ -f "$file" ]; then export REGISTRY_AUTH_FILE="$file"; fi', "done"]
    lines += [f"export {name}={shlex.quote(str(value))}" for name, value in settings.items()]
    lines += [f"export HOME={shlex.quote(str(at / 'home'))}"]
    # Last: what maps ids (newuidmap) has to be setuid, and nothing that was unpacked is.
    lines += [f'export PATH="$PATH":{shlex.quote(str(root / "usr/bin"))}:{shlex.quote(str(root / "usr/sbin"))}']
    return "\n".join([*lines, f'exec {shlex.quote(str(root / "usr/bin/podman"))} "$@"', ""])
