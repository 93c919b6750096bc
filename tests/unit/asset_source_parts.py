"""Parts that tests of fetched assets share: a folder of recipes with a provider, and a hub as it answers."""

from __future__ import annotations

import hashlib
import json
import urllib.parse

import pytest
from deb_parts import quick_client
from test_http import answer

from orchestrator.assets.hub import Hub
from orchestrator.assets.provider import AssetProvider, Prep
from orchestrator.assets.sources import Sources
from orchestrator.assets.store import Store
from orchestrator.definitions.catalog import Root, load
from orchestrator.errors import AssetError
from orchestrator.host.site import SiteConfig
from orchestrator.packages.download import Downloads
from orchestrator.packages.fetch import Fetcher
from orchestrator.plan.run.devices.plan import Devices

DATA = bytes(range(256)) * 4000
REVISION = "a" * 40
SECRET = "hf_" + "s3cret" * 5


def sha(data):
    return hashlib.sha256(data).hexdigest()


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Recipes:
    """A folder of recipes, a store, and a provider over both."""

    def __init__(self, tmp_path):
        self.root, self.home = tmp_path / "recipes-root", tmp_path / "home"
        self.root.mkdir()
        self.hub = Hub()
        self.devices = Devices

    def model(self, sources, outputs, name="net", **more):
        definition = {
            "kind": "model",
            "name": name,
            "title": "A network",
            "format": "other",
            "parameters": 10,
            "trained_by": "them",
            "sources": [{**source, "licence": {"spdx": "MIT"}} for source in sources],
            "outputs": outputs,
            **more,
        }
        (self.root / f"{name}.yaml").write_text(json.dumps(definition))
        return self.entry(name)

    def entry(self, name="net"):
        return load([Root(self.root, "path:test")]).model(name)

    @property
    def provider(self):
        catalog = load([Root(self.root, "path:test")])
        fetch = Fetcher(SiteConfig(), self.home)
        fetch.downloads = Downloads(self.home, quick_client())
        return AssetProvider(
            catalog=catalog,
            store=Store(self.home),
            sources=Sources(catalog, fetch, hub=lambda: self.hub),
            prep=Prep(
                engine=lambda: pytest.fail("no step runs here"), image=lambda _layer: "image", devices=self.devices
            ),
        )

    def get(self, name="net"):
        return self.provider.get(self.entry(name))

    def refused(self, name="net"):
        with pytest.raises(AssetError) as caught:
            self.get(name)
        assert not list((self.home / "assets").rglob("complete.json"))
        return caught.value

    def cached(self):
        """Whole files in the download cache."""
        return [p for p in (self.home / "downloads").rglob("*") if p.is_file() and len(p.name) == 64]


def http_source(*urls, data=DATA, **more):
    return {"kind": "http", "urls": list(urls), "sha256": sha(data), "size": len(data), **more}


FILE = [{"file": "net.bin", "sha256": sha(DATA)}]


FILES = {"config.json": b"{}", "weights/model 1.safetensors": DATA, "weights.bin": b"not wanted"}


class HubServer:
    """The part of the hub that is asked, and a storage of large files elsewhere."""

    def __init__(self, storage, files=FILES, *, gated=False, allowed=(SECRET,), page=1):
        self.storage, self.files, self.gated, self.allowed, self.page = storage, files, gated, allowed, page

    def __call__(self, handler, _count):
        path, _, query = handler.path.partition("?")
        parts = urllib.parse.unquote(path).split("/")
        if path.startswith("/api/models/"):
            self._tree(handler, query)
        elif self.gated and handler.headers.get("Authorization") not in {f"Bearer {one}" for one in self.allowed}:
            status = 403 if "Authorization" in handler.headers else 401
            answer(handler, status, X_Error_Code="GatedRepo")
        else:
            name = "/".join(parts[5:])
            if name not in self.files:
                answer(handler, 404)
            elif len(self.files[name]) > 1000:
                answer(handler, 302, Location=f"{self.storage}/{sha(self.files[name])}")
            else:
                answer(handler, body=self.files[name])

    def _tree(self, handler, query):
        start = int(dict(urllib.parse.parse_qsl(query)).get("cursor", 0))
        names = sorted(self.files)[start : start + self.page]
        items = [{"type": "directory", "path": "weights", "oid": "0" * 40, "size": 0}]
        for name in names:
            data = self.files[name]
            item = {"type": "file", "path": name, "size": len(data), "oid": blob(data)}
            if len(data) > 1000:
                item["lfs"] = {"oid": sha(data), "size": len(data), "pointerSize": 134}
            items.append(item)
        headers = {}
        if start + self.page < len(self.files):
            after = f"{handler.path.partition('?')[0]}?recursive=true&cursor={start + self.page}"
            headers["Link"] = f'<{after}>; rel="next"'
        answer(handler, body=json.dumps(items).encode(), **headers)


def hub_source(**more):
    return {"kind": "huggingface", "repo": "them/Net", "revision": REVISION, "leave_out": ["*.bin"], **more}


def locked_files(files=FILES):
    return [{"path": name, "sha256": sha(data), "size": len(data)} for name, data in files.items()][:2]


def manifest(files):
    return sha("".join(f"{sha(data)}  {name}\n" for name, data in sorted(files.items())).encode())


HUB_OUTPUT = [
    {"folder": "Net", "files": 2, "sha256": manifest({name: FILES[name] for name in list(FILES)[:2]})},
]


def storage(handler, _count):
    answer(handler, body=DATA)
