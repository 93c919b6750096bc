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
from orchestrator.host.folders import cache_home

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
        options = packages._options(Path(text), Path(text), origin)
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

    def at(self, address: str) -> str:
        """Its name under another address at which it listens too."""
        return f"{address}:{self.host.rpartition(':')[2]}"

    def trusted_in(self, config: Path) -> Path:
        """A folder of settings (XDG_CONFIG_HOME) in which mlorch finds its CA, under both its names."""
        for host in {self.host, self.listen, self.at("127.0.0.1")}:
            folder = config / "mlorch/certs.d" / host
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.ca, folder / "ca.crt")
        return config

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
        auths = {host: {"auth": coded} for host in (self.host, self.at("127.0.0.1"))}
        (folder / "config.json").write_text(json.dumps({"auths": auths}))
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
        host, _, port = self.host.rpartition(":")
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), socket.create_connection((host, int(port)), 1):
                return
            time.sleep(0.05)
        raise AssertionError(f"the registry does not start:\n{log.read_text()[-2000:]}")


@contextmanager
def registry(
    folder: Path, *, tls: bool = False, login: bool = False, address: str = "127.0.0.1", loopback_too: bool = False
):
    """A registry with its storage below `folder`; with a CA of its own (`tls`) and a password (`login`)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port("0.0.0.0" if loopback_too else address)
    host = f"{address}:{port}"
    made = Running(folder=folder, host=host, listen=f"0.0.0.0:{port}" if loopback_too else host)
    http: list[str] = [f"  addr: {made.listen}", "  secret: only-for-tests"]
    if tls:
        made.ca = certificates(folder / "tls", address, *(("127.0.0.1",) if loopback_too else ()))
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


def certificates(folder: Path, *addresses: str) -> Path:
    """A CA and a server certificate of it for some addresses; gives the CA's file, which is kept where it is there."""
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
    if not ca.exists():
        _run(*run, "-keyout", key, "-out", ca, "-subj", "/CN=A CA of a test")
    if addresses:
        names = ",".join(f"IP:{address}" for address in addresses)
        _run(
            *run, "-CA", ca, "-CAkey", key, "-keyout", folder / "server.key", "-out", folder / "server.crt",
            "-subj", f"/CN={addresses[0]}", "-addext", f"subjectAltName={names}",
            "-addext", "basicConstraints=critical,CA:FALSE",
        )  # fmt: skip
    return ca


def _run(*argv) -> None:
    subprocess.run([str(word) for word in argv], check=True, capture_output=True)


# -- engines beside the one that runs --------------------------------------------------------------


@dataclass
class Another:
    """A private engine of its own MLORCH_HOME, with an empty store."""

    home: Path
    paths: object
    engine: object = None

    @property
    def host(self) -> str:
        return f"unix://{self.paths.socket}"

    @property
    def address(self) -> str:
        """The host's address on this engine's bridge: not loopback, and there on every machine."""
        from own_engine import subnet_of

        from orchestrator.engines.private import read_state

        return subnet_of(read_state(self.paths)).replace(".0/24", ".1")

    def env(self, **more: str) -> dict[str, str]:
        """The environment in which mlorch uses this engine alone."""
        kept = {key: value for key, value in os.environ.items() if key not in {"DOCKER_CONTEXT", "MLORCH_REGISTRIES"}}
        return {**kept, "MLORCH_HOME": str(self.home), "DOCKER_HOST": self.host, **more}

    def names(self) -> list[str]:
        """Every name of an image in it."""
        return sorted(name for item in self.engine.sdk.images() for name in item.get("RepoTags") or ())


@contextmanager
def another_engine(*, size: str = "", ca: Path | None = None, old_store: bool = False):
    """Start a second engine; its data on a small tmpfs of `size`, its trust the bundle `ca`, its store the older one.

    The programs are those of mlorch's own engine, unpacked once for all tests where that does not run here.
    """
    import pytest

    from orchestrator.engines.docker.engine import connect
    from orchestrator.engines.private import daemon, engine_paths

    folder = cache_home() / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    prefix = _prefix(folder)
    home = Path(tempfile.mkdtemp(prefix="engine-", dir=folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLORCH_HOME", str(home))
        at = engine_paths()
    at.home.mkdir(parents=True)
    at.prefix.symlink_to(prefix)
    at.data.mkdir()
    if size:
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "mlorch-test", at.data)
    try:
        with pytest.MonkeyPatch.context() as patch:
            if ca is not None:
                patch.setenv("SSL_CERT_FILE", str(ca))
            if old_store:
                made = daemon._config
                patch.setattr(
                    daemon, "_config", lambda *a: made(*a).replace('"containerd-snapshotter": true', '"cdi": true')
                )
            daemon.start(at)
        yield Another(home=home, paths=at, engine=connect(f"unix://{at.socket}"))
    finally:
        daemon.stop(at)
        if size:  # what lies below an engine's data is unmounted by its end, this mostly too
            subprocess.run(["umount", "-l", at.data], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def _prefix(folder: Path) -> Path:
    from orchestrator.engines.private import EnginePaths, engine_paths, unpacked

    if unpacked(engine_paths()):
        return engine_paths().prefix.resolve()
    own = EnginePaths(home=folder / "engine-programs", run=folder / "none")
    if not unpacked(own):
        packages.unpack(own, packages.find_origin(), lambda _text: None)
    return own.prefix


# -- images small enough for many tests --------------------------------------------------------------


def tiny_plan(name: str, program: Path, *more: str, platform: str = "linux/amd64", mark: str = ""):
    """A plan of two layers: busybox on nothing, and a line of text on that. Real content ids, real labels."""
    import base64
    import random
    import secrets

    from orchestrator.facts.build import BuildPlan, ContextFile, LayerStep
    from orchestrator.host.files import sha256_file
    from orchestrator.plan.build.content import content_id, sha256_text

    mark = mark or secrets.token_hex(8)

    def step(layer: str, parent, text: str, files=()):
        own_text = text.replace(parent.image, "parent") if parent else text
        inputs = {
            "dockerfile": sha256_text(own_text),
            "platform": platform,
            "parent": parent.content_id if parent else "",
        }
        inputs |= {f"file:{file.path}": file.sha256 for file in files}
        return LayerStep(
            name=layer, level="side", platform=platform, content_id=content_id(inputs),
            parent=parent.image if parent else None, dockerfile=text, files=files, inputs=inputs,
        )  # fmt: skip

    program.chmod(0o755)  # as the plan says: a file of another mode is refused
    box = ContextFile(path="busybox", sha256=sha256_file(program), mode=0o755, source=str(program))
    base = step(f"t-{name}-base", None, f"FROM scratch\nCOPY busybox /bin/busybox\nENV MARK={mark}\n", (box,))
    note = ContextFile(path="note", sha256=sha256_text(mark), text=mark)
    # Bytes that no engine has seen, so that a pull has something to fetch.
    noise = base64.b64encode(random.Random(mark).randbytes(128 << 10)).decode()
    more = (*more, "COPY noise /noise")
    lines = "".join(f"{line}\n" for line in more)
    top = step(
        f"t-{name}",
        base,
        f"FROM {base.image}\nCOPY note /note\n{lines}",
        (note, ContextFile(path="noise", sha256=sha256_text(noise), text=noise)),
    )
    return BuildPlan(target="t", benchmark=name, platform=platform, layers=(base, top))


def builder(engine, cache: Path, **more):
    """A builder of such plans."""
    from build_parts import PlanBuilder

    return PlanBuilder(engine, cache, **more)


def client_of(env: dict[str, str] | None):
    """What registries are asked with at a site of this environment, or of this process's own."""
    from orchestrator.host.site import discover
    from orchestrator.http.client import Client

    return Client() if env is None else Client(site=discover(env))


def publisher(engine, registry: Running, path: str = "team", env=None, **more):
    """A publisher to a place in a registry."""
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.images.publish import Publisher
    from orchestrator.images.registry.client import Registry

    place = RegistryPrefix(host=registry.host, path=path)
    return Publisher(engine=engine, prefix=place, client=Registry.at(registry.host, client_of(env)), **more)


def image_sources(registry: Running, path: str = "team", env=None, **more):
    """Where a second engine looks for images."""
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.images.pull import ImageSources
    from orchestrator.images.registry.client import Registry

    made = ImageSources(prefixes=(RegistryPrefix(host=registry.host, path=path),), **more)
    made._clients[registry.host] = Registry.at(registry.host, client_of(env))
    return made


def delete_manifest(client, repository: str, digest: str) -> None:
    """Remove a manifest, as somebody else may."""
    from orchestrator.images.registry.transport import Call

    path = f"/v2/{repository}/manifests/{digest}"
    client.transport.ask(Call(method="DELETE", path=path, what=digest, repository=repository, expect=(200, 202)))


def discard(engine, *plans) -> None:
    """Remove the images of plans: tests leave none in the engine that a person uses."""
    for plan in plans:
        for step in reversed(plan.layers):
            engine.remove_image(step.image)
