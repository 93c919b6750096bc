"""Parts that tests of prepared assets share: recipes of a model and a data set, and a container that makes them."""

import hashlib
import io
import zipfile
from pathlib import Path

from deb_parts import Shelf

from orchestrator.assets.provider import AssetProvider, Prep
from orchestrator.assets.sources import Sources
from orchestrator.assets.store import Store
from orchestrator.definitions.catalog import Root, load
from orchestrator.engines import ContainerExit
from orchestrator.host.site import SiteConfig
from orchestrator.packages.fetch import Fetcher

WEIGHTS = b"weights"
ARRAY = b"array made of the sources"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def wheel(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


WHEEL = wheel({"photos/a.jpg": "jpg", "photos-1.0.dist-info/LICENSE": "do what you like"})


class Engine:
    """Stands for a container: makes ``out`` in the folder that is mounted there."""

    def __init__(self, out=ARRAY, exit_code=0):
        self.out, self.exit_code, self.specs, self.seen, self.scripts = out, exit_code, [], {}, {}

    def run(self, spec, on_line, on_started=None):
        self.specs.append(spec)
        mounts = {m.target: m for m in spec.mounts}
        self.seen = {p.name: p.read_bytes() for p in Path(mounts["/sources"].source).iterdir()}
        self.scripts = {Path(at).name: Path(m.source).read_bytes() for at, m in mounts.items() if "/script/" in at}
        on_line("working\n")
        if self.out is not None:
            (Path(mounts["/out"].source) / "x.npy").write_bytes(self.out)
        return ContainerExit(container_id="c", exit_code=self.exit_code, out_of_memory=False)


class World:
    """A recipe folder with a model from beside the recipe and a dataset from a wheel and a Debian package."""

    def __init__(self, tmp_path):
        self.root, self.home = tmp_path / "recipes-root", tmp_path / "home"
        self.shelf, self.links = Shelf(tmp_path / "mirror"), tmp_path / "links"
        self.engine, self.images, self.events = Engine(), [], []
        self.links.mkdir()
        (self.links / "photos-1.0-py3-none-any.whl").write_bytes(WHEEL)
        deb = self.shelf.add("more-photos", [("./usr/share/doc/more-photos/copyright", b"MIT terms")])
        self.write("net/net.onnx", WEIGHTS)
        self.write("photos/prepare.py", b"pass\n")
        self.write(
            "net.yaml",
            "kind: model\nname: net\ntitle: A network\nformat: onnx\nparameters: 10\ntrained_by: us\n"
            f"sources:\n  - {{kind: recipe, path: net/net.onnx, sha256: {sha(WEIGHTS)}, licence: {{spdx: MIT}}}}\n"
            f"outputs:\n  - {{file: net.onnx, sha256: {sha(WEIGHTS)}}}\n",
        )
        self.write(
            "photos.yaml",
            "kind: dataset\nname: photos\ntitle: Photos\nsamples: 2\ninputs: x.npy\nlabels: x.npy\n"
            "sources:\n  - kind: pypi\n    package: photos\n    version: '1.0'\n"
            f"    filename: photos-1.0-py3-none-any.whl\n    sha256: {sha(WHEEL)}\n    size: {len(WHEEL)}\n"
            "    licence: {spdx: MIT, note: a note, file: photos-1.0.dist-info/LICENSE}\n"
            f"  - kind: debian\n    package: more-photos\n    version: '1.0'\n    path: {deb.path}\n"
            f"    sha256: {deb.sha256}\n    size: {deb.size}\n"
            "    licence: {spdx: MIT, file: usr/share/doc/more-photos/copyright}\n"
            "prepare: {script: photos/prepare.py, layer: tools, args: [--fast]}\n"
            f"outputs:\n  - {{file: x.npy, sha256: {sha(ARRAY)}}}\n",
        )
        self.write("tools.yaml", "kind: layer\nname: tools\ntitle: T\nlevel: side\ntemplate: python.Dockerfile.j2\n")

    def write(self, name, data):
        place = self.root / "recipes" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())

    @property
    def asset_provider(self):
        catalog = load([Root(self.root, "path:test")])
        pip = {"no-index": ("1",), "find-links": (str(self.links),)}
        fetch = Fetcher(SiteConfig(pip=pip, archives=self.shelf.mirrors), self.home)
        return AssetProvider(
            catalog=catalog,
            store=Store(self.home),
            sources=Sources(catalog, fetch),
            prep=Prep(engine=lambda: self.engine, image=lambda layer: self.images.append(layer) or f"img:{layer}"),
            on_event=self.events.append,
        )

    def get(self, name, kind="dataset"):
        asset_provider = self.asset_provider
        return asset_provider.get(asset_provider.catalog.get(kind, name))

    def quarantined(self):
        folder = self.home / "quarantine"
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
