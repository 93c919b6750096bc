"""`kill -9` of mlorch at random moments of what it does: the next command works, nothing is half there, nothing twice.

    python tests/kill_matrix.py [--count 200] [--seed 1] [--only VERB]

Nine verbs in turn (build, push, pull, bundle, load, lock, fetch, prepare, run), each on recipes of a few hundred
kilobytes, with a home, a registry and a web server of their own, on the engine that runs. Of each verb it is first
measured how long it takes; every round then makes something new for it to do, kills it somewhere in that time, does
the same again, which must work, and once more, which must find everything. `make kill` runs it; the engine tests run
a sample.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import os
import random
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
from orchestrator.host.process import alive, parse_owner_label  # noqa: E402
from orchestrator.images.registry.client import Registry  # noqa: E402
from orchestrator.images.registry.manifests import OCI_MANIFEST, Manifest  # noqa: E402

VERBS = ("build", "push", "pull", "bundle", "load", "lock", "fetch", "prepare", "run")
MARK = "t-kill"
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
        done = subprocess.CompletedProcess(running.args, running.returncode, out, err)
        if done.returncode != code:
            raise Wrong(f"`mlorch {' '.join(arguments)}` ended with {done.returncode}: {done.stderr[-1500:]}")
        return Said(done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr)

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
            text = layer.format(f"t-kill-{name}", level, template)
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
            "base: t-kill-base\nruntime: t-kill-runtime\n"
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
        if found:
            raise Wrong("left: " + "; ".join(found))

    @staticmethod
    def _is_orphan(found: object) -> bool:
        owner = parse_owner_label(found.labels.get("org.mlorch.owner", ""))
        return owner is not None and not alive(owner)

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


class Verb:
    """One thing that mlorch does: ``prepare`` makes something new for it, ``again`` is what a second time finds."""

    code = 0

    def __init__(self, world: World) -> None:
        self.world = world

    def prepare(self) -> None:
        self.world.renew()

    def words(self) -> tuple[str, ...]:
        raise NotImplementedError

    def check(self, said: Said) -> None:
        """After the command that followed the kill."""

    def again(self, said: Said) -> None:
        """After one more: it must have found everything."""


class Build(Verb):
    def words(self) -> tuple[str, ...]:
        return ("build", *IMAGE, "--no-pull")

    def check(self, said: Said) -> None:
        self.world.require_token()

    def again(self, said: Said) -> None:
        _require({layer["state"] for layer in said.document["layers"]} == {"hit"}, "a layer was built twice")


class Push(Verb):
    def prepare(self) -> None:
        super().prepare()
        self.world.do("build", *IMAGE, "--no-pull")

    def words(self) -> tuple[str, ...]:
        return ("images", "push", f"{self.world.registry}/mine", *IMAGE)

    def again(self, said: Said) -> None:
        _require({one["state"] for one in said.document["pushed"]} == {"there"}, "a layer was sent twice")


class Pull(Push):
    def prepare(self) -> None:
        super().prepare()
        self.world.do(*super().words())
        self.world.remove(self.world.image())

    def words(self) -> tuple[str, ...]:
        return ("images", "pull", f"{self.world.registry}/mine", *IMAGE)

    def check(self, said: Said) -> None:
        self.world.require_token()

    def again(self, said: Said) -> None:
        states = {layer["state"] for layer in said.document["layers"]}
        _require("pulled" not in states, "an image was pulled twice")


class Bundle(Verb):
    def prepare(self) -> None:
        super().prepare()
        self.world.do("build", *IMAGE, "--no-pull")
        self.before = _sha256(self.path) if self.path.exists() else ""

    @property
    def path(self) -> Path:
        return self.world.folder / "b.tar"

    def words(self) -> tuple[str, ...]:
        return ("images", "bundle", *IMAGE, "-o", str(self.path))

    def killed(self) -> None:
        """The file is the old one or the new one, whole."""
        if self.path.exists() and _sha256(self.path) != self.before:
            self.world.do("images", "load", str(self.path))

    def check(self, said: Said) -> None:
        _require(_sha256(self.path) == said.document["sha256"], "the bundle is not what was said")

    def again(self, said: Said) -> None:
        self.check(said)


class Load(Bundle):
    def prepare(self) -> None:
        super().prepare()
        self.world.do(*super().words())
        self.world.remove(self.world.image())

    def words(self) -> tuple[str, ...]:
        return ("images", "load", str(self.path))

    def killed(self) -> None:
        """Nothing to look at before the next command."""

    def check(self, said: Said) -> None:
        self.world.require_token()

    def again(self, said: Said) -> None:
        _require(said.document["images"] == [], "an image was loaded twice")


class Lock(Verb):
    @property
    def path(self) -> Path:
        return self.world.folder / "site/images/t-kill-base.lock.yaml"

    def prepare(self) -> None:
        self.before = self.path.read_text() if self.path.exists() else ""
        self.digest = self.world.publish_base()

    def words(self) -> tuple[str, ...]:
        return ("images", "lock", "t-kill-base", "--no-locked")

    def killed(self) -> None:
        text = self.path.read_text() if self.path.exists() else ""
        _require(text == self.before or self.digest in text, "half a lock is there")

    def check(self, said: Said) -> None:
        _require(self.digest in self.path.read_text(), "the lock has not what the registry says")

    def again(self, said: Said) -> None:
        _require(not said.document["locks"][0]["changes"], "a lock was written twice")


class Fetch(Verb):
    name = "fetched"

    def prepare(self) -> None:
        Files.data = secrets.token_bytes(BIG)
        digest = hashlib.sha256(Files.data).hexdigest()
        self.world.write(
            "recipes/fetched.yaml",
            f"kind: dataset\nname: t-{self.name}\ntitle: d\nsamples: 1\ninputs: big.bin\nlabels: big.bin\n"
            f"sources:\n  - {{kind: http, urls: ['{self.world.files}/big.bin'], sha256: {digest}, size: {BIG}, "
            f"licence: {{spdx: MIT}}}}\noutputs: [{{file: big.bin, sha256: {digest}}}]\n",
        )
        Files.sent = 0

    def words(self) -> tuple[str, ...]:
        return ("assets", "get", f"dataset/t-{self.name}", "--target", "t-kill")

    def check(self, said: Said) -> None:
        _require(not list((self.world.folder / "home/cache").rglob("*.part")), "a part of a download is left")
        self.world.do("assets", "verify", f"dataset/t-{self.name}")
        self.sent = Files.sent

    def again(self, said: Said) -> None:
        _require(Files.sent == self.sent, "a file was fetched twice")


class Prepare(Fetch):
    name = "prepared"

    def prepare(self) -> None:
        word = secrets.token_hex(8)
        digest = hashlib.sha256(f"data{word}".encode()).hexdigest()
        source = hashlib.sha256(b"data").hexdigest()
        script = f"/bin/busybox sleep 0.3; (/bin/busybox cat /sources/data.bin; printf {word}) > /out/x"
        self.world.write(
            "recipes/prepared.yaml",
            f"kind: dataset\nname: t-{self.name}\ntitle: d\nsamples: 1\ninputs: x\nlabels: x\n"
            f"sources: [{{kind: recipe, path: data.bin, sha256: {source}, licence: {{spdx: MIT}}}}]\n"
            f'prepare: {{command: [/bin/busybox, sh, -c, "{script}"], layer: t-kill-side}}\n'
            f"outputs: [{{file: x, sha256: {digest}}}]\n",
        )


class Run(Verb):
    code = 1

    def prepare(self) -> None:
        super().prepare()
        self.world.do("build", *IMAGE, "--no-pull")

    def words(self) -> tuple[str, ...]:
        return ("run", "t-kill", "--target", "t-kill", "-s", "Offline", "-m", "performance", "-o", "results")

    def check(self, said: Said) -> None:
        folder = Path(said.document["results"][0]["record"]).parent
        _require(self.world.token in (folder / "console.log").read_text(), "it ran another image")
        listed = self.world.do("results", "list", "-o", "results").document["results"]
        _require({one["status"] for one in listed} <= {"failed", "interrupted"}, f"{listed[0]}")
        _require(not [one for one in listed if one.get("error") == "bad-record"], "a record is broken")

    def again(self, said: Said) -> None:
        self.check(said)


CLASSES: dict[str, type[Verb]] = {
    "build": Build, "push": Push, "pull": Pull, "bundle": Bundle, "load": Load, "lock": Lock, "fetch": Fetch,
    "prepare": Prepare, "run": Run,
}  # fmt: skip


def _require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Wrong(otherwise)


def _sha256(path: Path) -> str:
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
            made.do("images", "lock", "t-kill-base", "--no-locked")
            try:
                yield made
            finally:
                server.shutdown()
                for facts in sorted(engine.images(f"org.mlorch.test={MARK}"), key=lambda each: -len(each.layers)):
                    engine.remove_image(facts.image)
                for facts in engine.images("org.mlorch.layer=t-kill-base"):
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


def measured(verb: Verb) -> float:
    """How long the verb takes where nobody kills it, in seconds."""
    verb.prepare()
    began = time.monotonic()
    said = verb.world.do(*verb.words(), code=verb.code)
    seconds = time.monotonic() - began
    verb.check(said)
    return seconds


def round_of(verb: Verb, after_s: float) -> str:
    """Kill the verb after some seconds; gives `killed`, or `ended` where it was quicker. Raises `Wrong`."""
    verb.prepare()
    process = verb.world.start(*verb.words())
    time.sleep(after_s)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    look = getattr(verb, "killed", None)
    if look is not None:
        look()
    verb.check(verb.world.do(*verb.words(), code=verb.code))
    verb.again(verb.world.do(*verb.words(), code=verb.code))
    verb.world.require_clean()
    return "killed" if killed else "ended"


def matrix(made: World, names: tuple[str, ...], count: int, seed: int, lasts_s: float = 0) -> dict[str, int]:
    """``count`` rounds over the verbs in turn; gives how many were killed of each. Raises `Wrong` with the round.

    How long each verb takes is measured where ``lasts_s`` does not say it.
    """
    chance = random.Random(seed)
    verbs = {name: CLASSES[name](made) for name in names}
    lasts = {name: lasts_s or min(measured(verb), measured(verb)) for name, verb in verbs.items()}
    _say("seconds of each: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in lasts.items()))
    killed = dict.fromkeys(names, 0)
    for number in range(count):
        name = names[number % len(names)]
        after = chance.uniform(0.02, lasts[name])
        try:
            how = round_of(verbs[name], after)
        except (Wrong, subprocess.TimeoutExpired) as error:
            raise Wrong(f"round {number} (seed {seed}): {name} after {after:.2f} s: {error}") from error
        killed[name] += how == "killed"
        _say(f"{number + 1}/{count} {name} {how} after {after:.2f} s")
    return killed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Run the matrix and say how it went."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", action="append", choices=VERBS)
    given = options.parse_args()
    with world() as made:
        killed = matrix(made, tuple(given.only or VERBS), given.count, given.seed)
    sys.stdout.write(
        f"{sum(killed.values())} of {given.count} were killed at work, and the next command was right each time\n"
    )
    sys.stdout.write(", ".join(f"{name} {number}" for name, number in killed.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
