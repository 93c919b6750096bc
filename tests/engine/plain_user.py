"""A plain user on this host, with or without a helper that maps ids: mlorch as somebody has it who is not root.

The user is of the kernel's making alone: in a mount namespace of its own the tables of users and ids are others, so
nothing of the host is changed. Where the tests run as a plain user anyway, it is that one, as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from other_user import python, python_path

UID, NAME = 54321, "mlorch-tester"
_ENTER = """
set -e
mount --make-rprivate /
for name in passwd group subuid subgid; do mount --bind "$TABLES/$name" "/etc/$name"; done
exec setpriv --reuid {uid} --regid {uid} --clear-groups -- "$@"
"""


@dataclass
class PlainUser:
    """``home`` is the user's folder; ``helper`` a folder with setuid newuidmap and newgidmap, or None."""

    home: Path
    helper: Path | None
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.home, UID, UID)
            self._write_tables()
        path = [str(self.helper)] if self.helper else []
        kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        sites = ("PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HF_ENDPOINT")
        kept |= {name: os.environ[name] for name in os.environ if name in sites or name.startswith("MLORCH_DEBIAN")}
        self.env = {
            **kept,
            "HOME": str(self.home),
            "PATH": os.pathsep.join([*path, "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
            "PYTHONPATH": python_path(),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MLORCH_LOCKED": "0",
            "TMPDIR": str(self.home / "tmp"),
        }
        (self.home / "tmp").mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.home / "tmp", UID, UID)

    @property
    def _tables(self) -> Path:
        return self.home.with_name(f"{self.home.name}-tables")

    def _write_tables(self) -> None:
        self._tables.mkdir(exist_ok=True)
        passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
        ranges = f"{NAME}:2000000:65536\n"
        texts = {
            "passwd": f"{passwd.rstrip()}\n{NAME}:x:{UID}:{UID}::{self.home}:/bin/sh\n",
            "group": f"{group.rstrip()}\n{NAME}:x:{UID}:\n",
            "subuid": ranges,
            "subgid": ranges,
        }
        for name, text in texts.items():
            (self._tables / name).write_text(text)

    def mlorch(self, *arguments: str, timeout: float = 600, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command line as this user."""
        return self.run(
            python() if os.geteuid() == 0 else sys.executable, "-m", "orchestrator", *arguments, timeout=timeout, **env
        )

    def run(self, *argv: str, timeout: float = 600, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program as this user."""
        command = list(argv)
        if os.geteuid() == 0:
            enter = _ENTER.format(uid=UID)
            command = ["unshare", "--mount", "sh", "-c", enter, "sh", *command]
        return subprocess.run(
            command, env={**self.env, "TABLES": str(self._tables), **env}, cwd=self.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip


def why_not() -> str:
    """Why no plain user can be had here; empty where one can."""
    if os.geteuid() == 0 and not python():
        return "the Python of the tests is root's own"
    if os.geteuid() == 0 and not all(shutil.which(name) for name in ("unshare", "setpriv")):
        return "takes unshare and setpriv (util-linux)"
    if os.geteuid() == 0 and not python():
        return "the Python of the tests is root's own"
    if os.geteuid() == 0 and not all(Path("/etc", name).exists() for name in ("subuid", "subgid")):
        return "takes /etc/subuid and /etc/subgid, which may be empty"
    return ""
