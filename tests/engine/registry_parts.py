"""A real registry on a free port: the distribution's docker-registry, unpacked into the cache and run as it is.

Nothing is installed into the host: the package comes by apt into a folder of its own
(signatures checked, as mlorch gets its own engine), and is kept for the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.engines.private import packages
from orchestrator.system.places import cache_home

START_S = 20.0
USER, PASSWORD = "reader", "s3cret word"
HTPASSWD = "$2y$04$VXul4seC9L1XtiPW1l10zeP96M2qcBxttaKe1Y./VP2MHrJhX42HW"
"""The bcrypt hash of that password, at the least cost: the registry checks it on every request."""


def program() -> Path:
    """The registry's program, from the cache or the host's package archives."""
    place = cache_home() / "tests/docker-registry"
    found = place / "usr/bin/docker-registry"
    if not found.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unpack-", dir=place.parent) as text:
            unpack("docker-registry", Path(text) / "root")
            shutil.rmtree(place, ignore_errors=True)
            (Path(text) / "root").rename(place)
    return found


def unpack(package: str, folder: Path) -> None:
    """A package of the host's own suite, unpacked; no maintainer script runs."""
    origin = packages.find_origin()
    with tempfile.TemporaryDirectory(prefix="mlorch-apt-") as text:
        options = packages._options(Path(text), origin)
        packages._apt(["apt-get", *options, "update", "-qq"], "read the package lists")
        wanted = f"{package}/{origin.suite}"
        packages._apt(["apt-get", *options, "-qq", "download", wanted], f"download {package}", cwd=Path(text) / "debs")
        for deb in (Path(text) / "debs").glob("*.deb"):
            packages._apt(["dpkg-deb", "-x", deb, folder], f"unpack {deb.name}")


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@dataclass
class Running:
    """A registry that runs: ``host`` as references have it, its storage, its CA and who may use it."""

    folder: Path
    host: str
    listen: str
    ca: Path | None = None
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def storage(self) -> Path:
        return self.folder / "data"

    def blob(self, digest: str) -> Path:
        """The file of a blob or manifest in the registry's storage."""
        value = digest.partition(":")[2]
        return self.storage / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"

    def size(self) -> int:
        """Bytes of all blobs that it holds."""
        return sum(path.stat().st_size for path in self.storage.rglob("blobs/sha256/*/*/data"))

    def login(self, folder: Path, password: str = PASSWORD) -> Path:
        """A docker configuration with credentials for it, as `docker login` writes."""
        import base64

        folder.mkdir(parents=True, exist_ok=True)
        coded = base64.b64encode(f"{USER}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": coded}}}))
        return folder

    def stop(self) -> None:
        """End it; its storage stays."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
            self.process = None

    def start(self) -> None:
        """Run it, and wait until it answers."""
        log = self.folder / "registry.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [program(), "serve", self.folder / "config.yml"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        host, _, port = self.listen.rpartition(":")
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), socket.create_connection((host, int(port)), 1):
                return
            time.sleep(0.05)
        raise AssertionError(f"the registry does not start:\n{log.read_text()[-2000:]}")


@contextmanager
def registry(folder: Path, *, tls: bool = False, login: bool = False, address: str = "127.0.0.1"):
    """A registry with its storage below `folder`; with a CA of its own (`tls`) and a password (`login`)."""
    folder.mkdir(parents=True, exist_ok=True)
    listen = f"{address}:{free_port(address)}"
    made = Running(folder=folder, host=listen, listen=listen)
    http: list[str] = [f"  addr: {listen}", "  secret: only-for-tests"]
    if tls:
        made.ca = certificates(folder / "tls", address)
        http += ["  tls:", f"    certificate: {folder}/tls/server.crt", f"    key: {folder}/tls/server.key"]
    lines = [
        "version: 0.1",
        "log: {level: warn, accesslog: {disabled: true}}",
        "storage:",
        f"  filesystem: {{rootdirectory: {made.storage}}}",
        "  delete: {enabled: true}",
        "  maintenance: {uploadpurging: {enabled: false}}",
        "http:",
        *http,
    ]
    if login:
        (folder / "htpasswd").write_text(f"{USER}:{HTPASSWD}\n")
        lines += ["auth:", f"  htpasswd: {{realm: tests, path: {folder}/htpasswd}}"]
    (folder / "config.yml").write_text("\n".join(lines) + "\n")
    made.start()
    try:
        yield made
    finally:
        made.stop()


def certificates(folder: Path, address: str) -> Path:
    """A CA and a server certificate of it for an address; gives the CA's file."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, key = folder / "ca.crt", folder / "ca.key"
    run = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    name = f"IP:{address}" if address.replace(".", "").isdigit() else f"DNS:{address}"
    _run(*run, "-keyout", key, "-out", ca, "-subj", "/CN=A CA of a test")
    _run(
        *run, "-CA", ca, "-CAkey", key, "-keyout", folder / "server.key", "-out", folder / "server.crt",
        "-subj", f"/CN={address}", "-addext", f"subjectAltName={name}", "-addext", "basicConstraints=critical,CA:FALSE",
    )  # fmt: skip
    return ca


def _run(*argv) -> None:
    subprocess.run([str(word) for word in argv], check=True, capture_output=True)
