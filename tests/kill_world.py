"""Where mlorch is killed: recipes, a home, a registry and a web server of their own, on the engine that runs."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/engine"), str(ROOT / "tests/unit")]

from docker_parts import busybox  # noqa: E402
from registry_parts import registry  # noqa: E402

from orchestrator.engines.docker.engine import connect  # noqa: E402
from orchestrator.engines.private import own_client  # noqa: E402
from orchestrator.host.process import dead_owner  # noqa: E402
from orchestrator.images.registry.client import Registry  # noqa: E402
from orchestrator.images.registry.manifests import OCI_MANIFEST, Manifest  # noqa: E402

MARK = f"t-kill-{secrets.token_hex(4)}"
"""Of this process's images, so that two matrices on one engine remove their own only."""
BASE = f"{MARK}-base"
IMAGE = ("--target", "t-kill", "--benchmark", "t-kill")
PLAIN = f'FROM {{{{ parent }}}}\nLABEL org.mlorch.test="{MARK}"\n'
COPIED = f"{PLAIN}ADD content.tar /\n"
BIG = 8 << 20
"""Bytes of the file that is fetched: at what the web server gives of it, half a second's."""
PATIENCE_S = 600
"""A run waits for the processors of other runs on this host: beside a benchmark that may be minutes."""


class Wrong(AssertionError):
    """What a killed command left is not what it should be."""


@dataclass
class Said:
    """How a command ended: its status, its document, what it said."""

    code: int
    document: dict
    stderr: str


class Files(http.server.BaseHTTPRequestHandler):
    """A web server of one large file, slowly; it counts how many bytes were asked for."""

    data, sent = b"", 0

    def do_GET(self) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.data) - start))
        self.end_headers()
        for at in range(start, len(self.data), 256 << 10):
            try:
                self.wfile.write(self.data[at : at + (256 << 10)])
            except OSError:
                return
            type(self).sent += min(256 << 10, len(self.data) - at)
            time.sleep(0.015)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class World:
    """The recipes, the home and the servers of one matrix."""

    folder: Path
    registry: str
    files: str
    env: dict[str, str]
    engine: object
    program: bytes
    token: str = ""
    made: set[str] = field(default_factory=set)

    # -- commands ------------------------------------------------------------------------

    def words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "orchestrator", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.words(*arguments, "--json"), env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def do(self, *arguments: str, code: int = 0) -> Said:
        running = subprocess.Popen(
            self.words(*arguments, "--json"), env=self.env | {"PYTHONFAULTHANDLER": "1"}, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            out, err = running.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGABRT)  # and Python says where each thread is
            err = running.communicate()[1]
            raise Wrong(f"`mlorch {' '.join(arguments)}` did not end in {PATIENCE_S} s: {err[-6000:]}") from None
        if running.returncode != code:
            raise Wrong(f"`mlorch {' '.join(arguments)}` ended with {running.returncode}: {err[-1500:]}")
        return Said(running.returncode, json.loads(out) if out.strip() else {}, err)

    # -- recipes -------------------------------------------------------------------------

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def write_recipes(self) -> None:
        """A target of nothing but busybox, a benchmark that says one word and fails, two datasets."""
        layer = "kind: layer\nname: {0}\ntitle: A layer\nlevel: {1}\ntemplate: {2}\n"
        layers = {
            "base": ("base", "base.Dockerfile.j2"), "runtime": ("runtime", "kill-plain.j2"),
            "framework": ("framework", "kill-plain.j2"), "loadgen": ("loadgen", "kill-plain.j2"),
            "deps": ("harness", "kill-plain.j2"), "code": ("code", "kill-copied.j2"),
            "benchmark": ("benchmark", "kill-plain.j2"), "side": ("side", "kill-plain.j2"),
        }  # fmt: skip
        for name, (level, template) in layers.items():
            text = layer.format(BASE if name == "base" else f"t-kill-{name}", level, template)
            if name == "base":
                text += f"sources:\n  - kind: registry\n    image: {self.registry}/t-kill/base:1.0\n"
            if name == "code":
                text += "copy:\n  - {source: token, to: /opt/token}\n"
            self.write(f"recipes/layer-{name}.yaml", text)
        self.write("dockerfiles/kill-plain.j2", PLAIN)
        self.write("dockerfiles/kill-copied.j2", COPIED)
        self.write(
            "recipes/target.yaml",
            f"kind: target\nname: t-kill\ntitle: A target\nplatforms: [{self.engine.facts().platform}]\n"
            f"base: {BASE}\nruntime: t-kill-runtime\n"
            "frameworks: {onnxruntime: t-kill-framework}\ndetect: {always: true}\n",
        )
        self.write("recipes/data.bin", b"data")
        digest = hashlib.sha256(b"data").hexdigest()
        source = f"sources: [{{kind: recipe, path: data.bin, sha256: {digest}, licence: {{spdx: MIT}}}}]\n"
        outputs = f"outputs: [{{file: data.bin, sha256: {digest}}}]\n"
        self.write(
            "recipes/model.yaml",
            f"kind: model\nname: t-kill\ntitle: m\nformat: onnx\nparameters: 1\ntrained_by: us\n{source}{outputs}",
        )
        self.write(
            "recipes/dataset.yaml",
            f"kind: dataset\nname: t-kill\ntitle: d\nsamples: 1\ninputs: data.bin\nlabels: data.bin\n{source}{outputs}",
        )
        self.write(
            "recipes/harness.yaml",
            "kind: harness\nname: t-kill\ntitle: h\nloadgen: t-kill-loadgen\ndeps: t-kill-deps\ncode: t-kill-code\n"
            "backends: {onnxruntime: onnxruntime}\n"
            'command: [/bin/busybox, sh, -c, "/bin/busybox cat /opt/token; /bin/busybox sleep 0.4; exit 3"]\n',
        )
        self.write(
            "recipes/benchmark.yaml",
            "kind: benchmark\nname: t-kill\ntitle: b\ntask: image-classification\nlayer: t-kill-benchmark\n"
            "model: t-kill\ndataset: t-kill\nharness: t-kill\nframeworks: [onnxruntime]\nperformance_samples: 1\n"
            "scenarios: {Offline: {}}\ninput: {name: x}\noutput: {name: y}\n"
            "accuracy: {metric: top1, reference: 50, factor: 0.9}\n",
        )

    def renew(self) -> None:
        """Another word in the code layer: its image and that of the benchmark are to be made."""
        self.token = secrets.token_hex(16)
        self.write("recipes/token", self.token)

    def publish_base(self) -> str:
        """Push another base image under the tag; gives its digest."""
        import io
        import tarfile

        client, out = Registry.at(self.registry), io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in (("bin/busybox", self.program), ("etc/word", secrets.token_bytes(8))):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o755
                tar.addfile(member, io.BytesIO(data))
        layer = out.getvalue()
        platform = self.engine.facts().platform.partition("/")[2]
        facts = {
            "os": "linux", "architecture": platform, "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }  # fmt: skip
        config, blob = client.put_blob("t-kill/base", json.dumps(facts).encode()), client.put_blob("t-kill/base", layer)
        kind = "application/vnd.oci.image"
        said = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": blob.digest, "size": blob.size}],
        }  # fmt: skip
        manifest = Manifest(media_type=OCI_MANIFEST, data=json.dumps(said).encode())
        client.put_manifest("t-kill/base", manifest, "1.0")
        return manifest.digest

    # -- what must hold after every round ------------------------------------------------

    def image(self) -> str:
        return self.do("plan", *IMAGE, "--no-pull").document["images"][0]

    def remove(self, image: str) -> None:
        self.engine.remove_image(image)

    def require_clean(self) -> None:
        """Nothing that a killed command left is in anybody's way: secrets, containers, records, parts."""
        found = [f"a container {one.name}" for one in self.engine.containers("org.mlorch.run") if self._is_orphan(one)]
        private = Path(self.env["XDG_RUNTIME_DIR"]) / f".mlorch-{os.geteuid()}"
        if private.is_dir():
            found += [f"secrets in {path}" for path in private.iterdir()]
        for record in (self.folder / "results").glob("*/run.json"):
            if json.loads(record.read_text())["status"] == "running":
                found.append(f"a run that never ends: {record.parent.name}")
        cache = self.folder / "home/cache"
        for pattern in ("scratch/*", "supply/image-*"):
            found += [f"{path} of the cache" for path in cache.glob(pattern)]
        found += [f"{path} beside a bundle" for path in self.folder.glob(".b.tar.*")]
        found += [f"{path} beside an archive" for path in self.folder.glob(".mlorch-*")]
        if found:
            raise Wrong("left: " + "; ".join(found))

    @staticmethod
    def _is_orphan(found: object) -> bool:
        return dead_owner(found.labels.get("org.mlorch.owner", "")) is not None

    def require_token(self) -> None:
        """The image holds the word that its content id was made of."""
        image, said = self.image(), []
        spec = _spec(image, ("/bin/busybox", "cat", "/opt/token"))
        self.engine.run(spec, said.append)
        self.engine.wait_removed()
        if "".join(said).strip() != self.token:
            raise Wrong(f"{image} holds {said}, and not {self.token}")


def _spec(image: str, command: tuple[str, ...]) -> object:
    from orchestrator.facts.containers import ContainerSpec

    return ContainerSpec(name=f"t-kill-{secrets.token_hex(4)}", image=image, command=command, user="65534:65534")


def require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Wrong(otherwise)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def world():
    """A home, recipes, a registry and a web server; their images leave the engine at the end."""
    place = Path(os.environ.get("TMPDIR") or "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="mlorch-kill-", dir=place) as text:
        folder = Path(text)
        (folder / "run").mkdir(mode=0o700)
        engine, program = connect(None), busybox()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with registry(folder / "registry") as running:
            env = {name: value for name, value in os.environ.items() if not name.startswith("MLORCH_")}
            env |= {
                "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "MLORCH_HOME": str(folder / "home"), "CI": "",
                "XDG_RUNTIME_DIR": str(folder / "run"), "MLORCH_RECIPES": str(folder / "site"),
                "DOCKER_HOST": engine.host, "no_proxy": "127.0.0.1",
            }  # fmt: skip
            env |= _client(folder / "docker", env["PATH"])
            made = World(folder, running.host, f"http://127.0.0.1:{server.server_port}", env, engine, program)
            made.write_recipes()
            made.renew()
            made.publish_base()
            made.do("images", "lock", BASE, "--no-locked")
            try:
                yield made
            finally:
                server.shutdown()
                for facts in sorted(engine.images(f"org.mlorch.test={MARK}"), key=lambda each: -len(each.layers)):
                    engine.remove_image(facts.image)
                for facts in engine.images(f"org.mlorch.layer={BASE}"):
                    engine.remove_image(facts.image)
                shutil.rmtree(folder / "home", ignore_errors=True)


def _client(folder: Path, path: str) -> dict[str, str]:
    """A folder of settings for the private engine's client, where that one builds: the home here has none."""
    client = own_client()
    if client is None:
        return {}
    (folder / "cli-plugins").mkdir(parents=True)
    plugin = Path(client[0]).parents[1] / "libexec/docker/cli-plugins/docker-buildx"
    (folder / "cli-plugins/docker-buildx").symlink_to(plugin)
    return {"DOCKER_CONFIG": str(folder), "PATH": f"{Path(client[0]).parent}:{path}"}
