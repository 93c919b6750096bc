"""mlorch's own engine: Docker unpacked into a folder, with its own socket, data and network bridge.

For machines where no engine runs, or one too old to build with; see
docs/decisions/0002. This module says where it lies and whether it runs, and is
imported on every command: standard library only. `ensure` gets and starts one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.host.folders import data_home, docker_settings
from orchestrator.host.paths import exists

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePaths:
    """Where the private engine keeps things: ``home`` stays, ``run`` (sockets, pid files) is gone after a boot.

    ``run`` is not below ``home``, as a unix socket's path has at most 107 characters.
    """

    home: Path
    run: Path

    @property
    def tag(self) -> str:
        """The `short_hash` of the home, in the names of the bridge and of ``run``."""
        return self.run.name.rpartition("-")[2]

    @property
    def prefix(self) -> Path:
        return self.home / "root"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "dockerd.log"

    @property
    def state(self) -> Path:
        return self.home / "state.json"

    @property
    def cdi(self) -> Path:
        """CDI specs of this engine alone, beside those of the host: to be had without root's folders."""
        return self.home / "cdi"

    @property
    def client_config(self) -> Path:
        """Settings of the docker client without anybody's credentials: the prefix's buildx alone."""
        return self.home / "client"

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def pid_file(self) -> Path:
        return self.run / "docker.pid"

    @property
    def exec_root(self) -> Path:
        return self.run / "exec"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def containerd_pid(self) -> Path:
        return self.exec_root / "containerd.pid"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A daemon that was started. By ``start_ticks`` and ``boot_id`` its pid is not taken for a reused one.

    ``rules`` are the packet filter rules that were added for ``bridge``, to be taken
    away with it: argument lists after ``iptables``, as they were added (``-A`` or ``-I``).
    """

    pid: int
    start_ticks: int
    boot_id: str
    socket: str
    bridge: str
    rules: tuple[tuple[str, ...], ...] = ()


def engine_paths() -> EnginePaths:
    """The paths of the engine of this MLORCH_HOME or user."""
    home = data_home() / "engine"
    return EnginePaths(home=home, run=Path(f"/run/mlorch-{short_hash(home)}"))


def short_hash(home: Path) -> str:
    """Eight characters by which the folders and the bridge of one home differ from those of another."""
    return hashlib.sha256(str(home).encode()).hexdigest()[:8]


def read_state(at: EnginePaths) -> State | None:
    """What was started last; None where nothing was, or what is written cannot be read."""
    try:
        data = strict_json(at.state.read_text(encoding="utf-8"))
        rules = tuple(tuple(str(word) for word in rule) for rule in data.pop("rules"))
        data.pop("subnet", None)  # an engine that an older mlorch started says it
        return State(**data, rules=rules)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def state_text(state: State) -> str:
    """A state as `read_state` reads it."""
    return json.dumps(asdict(state), indent=2) + "\n"


def running_socket() -> Path | None:
    """The private engine's socket where its daemon listens now, and the containerd that it works with.

    The kernel knows who listens, so neither a left-over file nor a reused pid counts. A dockerd whose containerd is
    gone still answers questions, and hangs at the first container.
    """
    at = engine_paths()
    state = read_state(at)
    if state is None or listener(state.socket) != state.pid or lacks_containerd(at):
        return None
    return Path(state.socket)


def lacks_containerd(at: EnginePaths) -> bool:
    """Whether the engine that was started here has no containerd any more."""
    return read_state(at) is not None and listener(str(at.containerd_socket)) is None


def listener(path: str) -> int | None:
    """The pid of the process that listens on a unix socket; None where nobody does (or may be asked)."""
    import socket  # where no engine was started nothing needs them
    import struct

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
            size = struct.calcsize("3i")
            pid, _uid, _gid = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        except OSError:
            return None
    return int(pid)


def unpacked(at: EnginePaths | None = None) -> Mapping[str, str]:
    """The packages in the prefix and their versions; empty where it is missing or incomplete."""
    try:
        found = strict_json(((at or engine_paths()).prefix / "packages.json").read_text(encoding="utf-8"))
        return {str(name): str(version) for name, version in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def own_client() -> tuple[str, str] | None:
    """The prefix's docker client and the folder of its settings; None without a prefix."""
    at = engine_paths()
    client = at.prefix / "usr/bin/docker"
    if not unpacked(at) or not os.access(client, os.X_OK):
        return None
    try:
        settings = user_client_config(at)
    except OSError:  # a folder that this user may only read serves as it is
        settings = at.client_config
    return str(client), str(settings)


def user_client_config(at: EnginePaths) -> Path:
    """The folder of the docker client's settings for this user and settings: buildx, and the own config.json.

    That one holds the credentials of registries: it is linked, never copied. Each user with each HOME or
    DOCKER_CONFIG has a folder of its own, as two commands at once may have different ones. Raises OSError.
    """
    users = docker_settings(os.environ).absolute()
    folder = at.home / "clients" / f"{os.getuid()}-{short_hash(users)}"
    if users in {at.client_config, folder} or users.parent == folder.parent:
        return users  # it is one of these already
    write_client_config(at, folder)
    _link(folder / "config.json", users / "config.json")
    return folder


def write_client_config(at: EnginePaths, folder: Path | None = None) -> None:
    """A folder of the docker client's settings that has the prefix's buildx. Raises OSError."""
    folder = folder or at.client_config
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True, mode=0o700)
    _link(plugins / "docker-buildx", at.prefix / "usr/libexec/docker/cli-plugins/docker-buildx")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.unlink(missing_ok=True)
    if exists(target):
        with contextlib.suppress(FileExistsError):  # another command made it meanwhile
            link.symlink_to(target)
