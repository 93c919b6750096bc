"""The eleven things that mlorch is killed at: what each needs, what must be right after it, what a second time has."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from kill_world import BASE, BIG, IMAGE, Files, Said, World, require, sha256
from submission_build_parts import OVERLAY, add_pair, rules_of

from orchestrator.results.store import Store


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
        require({layer["state"] for layer in said.document["layers"]} == {"hit"}, "a layer was built twice")


class Push(Verb):
    def prepare(self) -> None:
        super().prepare()
        self.world.do("build", *IMAGE, "--no-pull")

    def words(self) -> tuple[str, ...]:
        return ("images", "push", f"{self.world.registry}/mine", *IMAGE)

    def again(self, said: Said) -> None:
        require({one["state"] for one in said.document["pushed"]} == {"there"}, "a layer was sent twice")


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
        require("pulled" not in states, "an image was pulled twice")


class Bundle(Verb):
    def prepare(self) -> None:
        super().prepare()
        self.world.do("build", *IMAGE, "--no-pull")
        self.before = sha256(self.path) if self.path.exists() else ""

    @property
    def path(self) -> Path:
        return self.world.folder / "b.tar"

    def words(self) -> tuple[str, ...]:
        return ("images", "bundle", *IMAGE, "-o", str(self.path))

    def killed(self) -> None:
        """The file is the old one or the new one, whole."""
        if self.path.exists() and sha256(self.path) != self.before:
            self.world.do("images", "load", str(self.path))

    def check(self, said: Said) -> None:
        require(sha256(self.path) == said.document["sha256"], "the bundle is not what was said")

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
        require(said.document["images"] == [], "an image was loaded twice")


class Lock(Verb):
    @property
    def path(self) -> Path:
        return self.world.folder / "site/images" / f"{BASE}.lock.yaml"

    def prepare(self) -> None:
        self.before = self.path.read_text() if self.path.exists() else ""
        self.digest = self.world.publish_base()

    def words(self) -> tuple[str, ...]:
        return ("images", "lock", BASE, "--no-locked")

    def killed(self) -> None:
        text = self.path.read_text() if self.path.exists() else ""
        require(text == self.before or self.digest in text, "half a lock is there")

    def check(self, said: Said) -> None:
        require(self.digest in self.path.read_text(), "the lock has not what the registry says")

    def again(self, said: Said) -> None:
        require(not said.document["locks"][0]["changes"], "a lock was written twice")


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
        require(not list((self.world.folder / "home/cache").rglob("*.part")), "a part of a download is left")
        self.world.do("assets", "verify", f"dataset/t-{self.name}")
        self.sent = Files.sent

    def again(self, said: Said) -> None:
        require(Files.sent == self.sent, "a file was fetched twice")


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
        require(self.world.token in (folder / "console.log").read_text(), "it ran another image")
        listed = self.world.do("results", "list", "-o", "results").document["results"]
        require({one["status"] for one in listed} <= {"failed", "interrupted"}, f"{listed[0]}")
        require(not [one for one in listed if one.get("error") == "bad-record"], "a record is broken")

    def again(self, said: Said) -> None:
        self.check(said)


class SubmissionBuild(Verb):
    """New results of two scenarios each time, into the tree that is there."""

    round = "v6.0"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.tree, self.second = world.folder / "tree", 0
        (world.folder / "ours.yaml").write_text(OVERLAY)

    def prepare(self) -> None:
        store, rules = Store(self.world.folder / "measured"), rules_of(self.round)[self.round]
        for scenario in ("Offline", "Server"):
            add_pair(store, rules, scenario, self.second)
            self.second += 10

    def words(self) -> tuple[str, ...]:
        asked = ("--round", self.round, "--submitter", "Acme", "--overlay", "ours.yaml", "--results", "measured")
        return ("submission", "build", *asked, "-o", str(self.tree))

    def killed(self) -> None:
        """Each result that is there is whole."""
        for run in self.tree.glob("open/Acme/results/*/*/*/performance/run_1"):
            require((run.parents[1] / "accuracy/accuracy.txt").is_file(), f"half a result is there: {run}")
            require(len(list(run.iterdir())) == 2, f"half a result is there: {run}")

    def check(self, said: Said) -> None:
        written = said.document["written"]
        require(sum(written.values()) == 2, "not both results were written")
        require(not list(self.world.folder.glob(".tree.*")), "something is left beside the tree")
        found = self.world.do("submission", "check", str(self.tree), "--round", self.round, code=self.checked)
        require(found.document["results"] == 2, "the check does not find both results")
        self.files = self._files()

    checked = 1
    """The results stand for ResNet-50 and have fewer samples, which v6.0 refuses."""

    def again(self, said: Said) -> None:
        require(self._files() == self.files, "a second build made another tree")

    def _files(self) -> dict[str, str]:
        return {str(path): sha256(path) for path in self.tree.rglob("*") if path.is_file()}


class SubmissionPack(SubmissionBuild):
    """The tree with another text in it each time."""

    @property
    def path(self) -> Path:
        return self.world.folder / "b.tar.gz"

    def prepare(self) -> None:
        if not self.tree.exists():
            super().prepare()
            self.world.do(*super().words())
        note = self.tree / "open/Acme/documentation/note.md"
        note.write_bytes(secrets.token_bytes(BIG).hex().encode())
        self.before = sha256(self.path) if self.path.exists() else ""

    def words(self) -> tuple[str, ...]:
        return ("submission", "pack", str(self.tree), "--round", self.round, "--with-errors", "-o", str(self.path))

    def killed(self) -> None:
        """The archive is the old one or the new one, whole."""
        if self.path.exists() and sha256(self.path) != self.before:
            self.world.do("submission", "verify", str(self.path))

    def check(self, said: Said) -> None:
        require(sha256(self.path) == said.document["sha256"], "the archive is not what was said")
        for each in (self.path, self.tree):
            self.world.do("submission", "verify", str(each))

    def again(self, said: Said) -> None:
        self.check(said)


CLASSES: dict[str, type[Verb]] = {
    "build": Build, "push": Push, "pull": Pull, "bundle": Bundle, "load": Load, "lock": Lock, "fetch": Fetch,
    "prepare": Prepare, "run": Run, "submission-build": SubmissionBuild, "submission-pack": SubmissionPack,
}  # fmt: skip
