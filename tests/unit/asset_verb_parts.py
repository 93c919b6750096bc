"""Parts that tests of `mlorch assets` share: a user's folder of recipes, and a data set that lies on a disk."""

from __future__ import annotations

import hashlib
import json

from orchestrator.cli import run

DATA = b"weights " * 5000


def sha(data):
    return hashlib.sha256(data).hexdigest()


def manifest(files):
    return sha(manifest_text(files).encode())


def manifest_text(files):
    return "".join(f"{sha(data)}  {name}\n" for name, data in sorted(files.items()))


class Site:
    """A folder of recipes of one user, with the commands over it."""

    def __init__(self, tmp_path, capsys):
        self.root, self.capsys = tmp_path / "mine", capsys
        (self.root / "recipes").mkdir(parents=True)

    def write(self, kind, name, sources, outputs, **more):
        own = {"parameters": 1, "trained_by": "us"} if kind == "model" else {"samples": 2}
        if kind == "model":
            more = {"format": "other", **more}
        definition = {
            "kind": kind,
            "name": name,
            "title": name,
            "sources": [{**source, "licence": {"spdx": "MIT"}} for source in sources],
            "outputs": outputs,
            **own,
            **more,
        }
        (self.root / "recipes" / f"{name}.yaml").write_text(json.dumps(definition))

    def __call__(self, *words):
        status = run(["assets", *words, "--recipes", str(self.root)])
        out, err = self.capsys.readouterr()
        return status, json.loads(out) if "--json" in words and out else None, out + err


def local_recipe(site, folder, data=DATA, name="net"):
    """A model of a file beside its recipe."""
    (site.root / "recipes" / f"{name}.bin").write_bytes(data)
    source = {"kind": "recipe", "path": f"{name}.bin", "sha256": sha(data)}
    site.write("model", name, [source], [{"file": f"{name}.bin", "sha256": sha(data)}])


FOLDER = {"val/a.jpg": b"a picture", "val/b.jpg": b"another", "list.txt": b"a 1\nb 2\n"}
LOCAL = {"kind": "local", "where": "https://image-net.org", "looks_like": "val/ with pictures, list.txt"}


def folder_of_data(tmp_path):
    """The files of `FOLDER` in a folder."""
    folder = tmp_path / "mnt"
    for name, data in FOLDER.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def imagenet(site, *, with_manifest=False):
    output = {"folder": ".", "files": len(FOLDER), "sha256": manifest(FOLDER)}
    if with_manifest:
        (site.root / "recipes/imagenet.sha256").write_text(manifest_text(FOLDER))
        output["manifest"] = "imagenet.sha256"
    site.write("dataset", "imagenet", [LOCAL], [output])
