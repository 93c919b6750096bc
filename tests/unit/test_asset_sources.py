"""Sources of models and data over the network, against servers of the tests' own: what comes, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse

import pytest
from deb_parts import quick_client
from test_http import answer, server

from orchestrator.assets import provider as provider_module
from orchestrator.assets import room
from orchestrator.assets.hub import Hub, hub_token, this_hub
from orchestrator.assets.mlcommons import Mlcommons, access_headers
from orchestrator.assets.provider import AssetProvider, Prep
from orchestrator.assets.sources import Sources
from orchestrator.assets.store import Store
from orchestrator.definitions.catalog import Root, load
from orchestrator.errors import AssetError, UsageError
from orchestrator.host.site import SiteConfig
from orchestrator.packages.download import Downloads, Wanted
from orchestrator.packages.fetch import Fetcher
from orchestrator.plan.run.devices.plan import Devices

pytestmark = pytest.mark.sockets
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


@pytest.fixture
def recipes(tmp_path):
    return Recipes(tmp_path)


def http_source(*urls, data=DATA, **more):
    return {"kind": "http", "urls": list(urls), "sha256": sha(data), "size": len(data), **more}


FILE = [{"file": "net.bin", "sha256": sha(DATA)}]


# -- http ----------------------------------------------------------------------------------


def test_the_second_address_is_asked_and_a_redirect_followed(recipes):
    def handle(handler, _count):
        if handler.path == "/a/net.bin":
            answer(handler, 404)
        elif handler.path == "/b/net.bin":
            answer(handler, 302, Location="/c/net.bin")
        else:
            answer(handler, body=DATA)

    with server(handle) as (url, asked):
        recipes.model([http_source(f"{url}/a/net.bin", f"{url}/b/net.bin")], FILE)
        stored = recipes.get()
        assert (stored.folder / "net.bin").read_bytes() == DATA
        assert [path for _, path, _, _ in asked] == ["/a/net.bin", "/b/net.bin", "/c/net.bin"]
        assert recipes.get() == stored
    assert len(asked) == 3


def ranged(handler, _count, *, breaks_off, data=DATA):
    """A server that knows ranges and breaks off as long as ``breaks_off`` holds a number of bytes."""
    start = 0
    wanted = handler.headers.get("Range", "")
    if wanted and handler.headers.get("If-Range") == '"v1"':
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    rest = data[start:]
    headers = {"ETag": '"v1"'}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    cut = breaks_off.pop(0) if breaks_off else None
    answer(handler, 206 if start else 200, rest[:cut], length=len(rest), **headers)


def test_a_download_that_broke_off_is_gone_on_with_by_the_next_process(recipes):
    breaks_off = [100_000] + [0] * 4
    with server(lambda h, n: ranged(h, n, breaks_off=breaks_off)) as (url, asked):
        recipes.model([http_source(f"{url}/net.bin")], FILE)
        assert recipes.refused().slug == "download-failed"
        assert recipes.cached() == []
        assert len(asked) == 5
        assert (recipes.get().folder / "net.bin").read_bytes() == DATA
    assert asked[-1][2]["Range"] == "bytes=100000-"


def test_a_server_that_ignores_ranges_gives_the_whole_again(recipes):
    breaks_off = [100_000]

    def handle(handler, _count):
        cut = breaks_off.pop() if breaks_off else None
        answer(handler, 200, DATA[:cut], length=len(DATA), ETag='"v1"')

    with server(handle) as (url, asked):
        recipes.model([http_source(f"{url}/net.bin")], FILE)
        assert (recipes.get().folder / "net.bin").read_bytes() == DATA
    assert asked[1][2]["Range"] == "bytes=100000-"


def test_a_part_that_was_damaged_meanwhile_is_fetched_anew(recipes):
    breaks_off = [100_000] + [0] * 4
    with server(lambda h, n: ranged(h, n, breaks_off=breaks_off)) as (url, _asked):
        recipes.model([http_source(f"{url}/net.bin")], FILE)
        recipes.refused()
        (part,) = (recipes.home / "downloads").rglob("*.part")
        part.write_bytes(b"x" * 100_000)
        assert (recipes.get().folder / "net.bin").read_bytes() == DATA
    assert not list((recipes.home / "downloads").rglob("*.part"))


def test_other_bytes_are_refused_and_nothing_is_cached(recipes):
    with server(lambda h, _: answer(h, body=DATA[:-1] + b"!")) as (url, _asked):
        recipes.model([http_source(f"{url}/net.bin")], FILE)
        error = recipes.refused()
    assert error.slug == "hash-mismatch"
    assert "net.bin" in error.message
    assert recipes.cached() == []
    assert not list((recipes.home / "downloads").rglob("*.part"))


def test_too_small_a_disk_is_told_before_anything_is_fetched(recipes, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda _folder: 70_000_000_000)
    with server(lambda h, _: answer(h, body=DATA)) as (url, asked):
        recipes.model([http_source(f"{url}/net.bin")], FILE, needs={"disk": "100g"})
        error = recipes.refused()
    assert error.slug == "disk-full"
    assert "model/net 107.4 GB" in error.message
    assert "70.0 GB are free" in error.message
    assert "--data" in error.hint
    assert asked == []


def test_nobody_has_it(recipes):
    with server(lambda h, _: answer(h, 404)) as (url, _asked):
        recipes.model([http_source(f"{url}/net.bin")], FILE)
        error = recipes.refused()
    assert error.slug == "source-gone"


# -- unlocked ------------------------------------------------------------------------------


def test_what_nobody_has_hashed_is_not_used(recipes):
    with server(lambda h, _: answer(h, body=DATA)) as (url, asked):
        recipes.model([{"kind": "http", "urls": [f"{url}/net.bin"]}], [{"file": "net.bin"}])
        error = recipes.refused()
    assert error.slug == "asset-unlocked"
    assert "mlorch assets lock model/net" in error.hint
    assert asked == []


# -- the Hugging Face hub ------------------------------------------------------------------

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


def test_a_repository_comes_by_its_hashes_and_the_token_stays_at_the_hub(recipes, tmp_path):
    with server(storage) as (far, far_asked), server(HubServer(far, gated=True)) as (url, asked):
        recipes.hub = Hub(endpoint=url, token=SECRET)
        recipes.model([hub_source(files=locked_files(), gated=True)], HUB_OUTPUT)
        stored = recipes.get()
        assert (stored.folder / "Net/weights/model 1.safetensors").read_bytes() == DATA
        assert (stored.folder / "Net/config.json").read_bytes() == b"{}"
    assert {headers.get("Authorization") for _, _, headers, _ in asked} == {f"Bearer {SECRET}"}
    assert all("Authorization" not in headers for _, _, headers, _ in far_asked)
    for path in tmp_path.rglob("*"):
        assert SECRET not in path.name
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_a_repository_that_a_program_names_lies_as_in_the_hubs_own_cache(recipes):
    snapshot = f"models--them--Net/snapshots/{REVISION}"
    laid_out = {f"{snapshot}/{name}": FILES[name] for name in list(FILES)[:2]}
    laid_out["models--them--Net/refs/main"] = REVISION.encode()
    with server(storage) as (far, _), server(HubServer(far)) as (url, _asked):
        recipes.hub = Hub(endpoint=url)
        source = hub_source(files=locked_files(), layout="cache")
        recipes.model([source], [{"folder": "hub", "files": 3, "sha256": manifest(laid_out)}])
        stored = recipes.get()
    found = {path.relative_to(stored.folder / "hub").as_posix() for path in stored.folder.rglob("*") if path.is_file()}
    assert found == set(laid_out)
    assert (stored.folder / "hub/models--them--Net/refs/main").read_text() == REVISION
    assert (stored.folder / "hub" / snapshot / "config.json").read_bytes() == b"{}"
    assert len(list((stored.path / "licences").iterdir())) == 1


def test_a_gated_repository_without_a_token_says_where_to_accept_and_which_token(recipes):
    with server(storage) as (far, _), server(HubServer(far, gated=True)) as (url, _asked):
        recipes.hub = Hub(endpoint=url)
        recipes.model([hub_source(files=locked_files(), gated=True)], HUB_OUTPUT)
        error = recipes.refused()
    assert error.slug == "token-missing"
    assert "https://huggingface.co/them/Net" in error.hint
    assert "HF_TOKEN" in error.hint


def test_terms_that_were_not_accepted_are_told_without_the_token(recipes):
    with server(storage) as (far, _), server(HubServer(far, gated=True, allowed=())) as (url, _asked):
        recipes.hub = Hub(endpoint=url, token=SECRET)
        recipes.model([hub_source(files=locked_files(), gated=True)], HUB_OUTPUT)
        error = recipes.refused()
    assert error.slug == "terms-not-accepted"
    assert "https://huggingface.co/them/Net" in error.hint
    assert SECRET not in f"{error.message}{error.hint}{error.detail}{error!r}{error.__cause__!r}"


def test_the_listing_of_a_commit_gives_sizes_and_hashes_over_several_pages(recipes):
    with server(storage) as (far, _), server(HubServer(far)) as (url, asked):
        recipes.hub = Hub(endpoint=url)
        entry = recipes.model([hub_source()], [{"folder": "Net"}])
        source = entry.definition.sources[0]
        listed = recipes.provider.sources.listed(source)
        assert {one.path: (one.size, one.sha256, one.blob) for one in listed} == {
            "config.json": (2, "", blob(b"{}")),
            "weights/model 1.safetensors": (len(DATA), sha(DATA), ""),
        }
        came = recipes.provider.sources.trust(source, listed)
    assert {one.path: one.sha256 for one in came} == {name: sha(FILES[name]) for name in list(FILES)[:2]}
    assert sum(path.startswith("/api/") for _, path, _, _ in asked) == 3


def test_a_small_file_that_is_not_that_of_the_commit_is_refused(recipes):
    with server(storage) as (far, _), server(HubServer(far)) as (url, _asked):
        recipes.hub = Hub(endpoint=url)
        entry = recipes.model([hub_source()], [{"folder": "Net"}])
        sources = recipes.provider.sources
        listed = tuple(one for one in sources.listed(entry.definition.sources[0]) if one.blob)
        wrong = tuple(type(one)(path=one.path, size=one.size, blob="f" * 40) for one in listed)
        with pytest.raises(AssetError) as caught:
            sources.trust(entry.definition.sources[0], wrong)
    assert caught.value.slug == "hash-mismatch"
    assert recipes.cached() == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\nb", "-rf", "a//b", "\u202egnp.exe"]
)
def test_a_name_that_leads_elsewhere_is_refused(recipes, name):
    with server(HubServer("", files={name: b"x"})) as (url, _asked):
        recipes.hub = Hub(endpoint=url)
        entry = recipes.model([hub_source()], [{"folder": "Net"}])
        with pytest.raises(AssetError) as caught:
            recipes.provider.sources.listed(entry.definition.sources[0])
    assert caught.value.slug == "unsafe-name"


def test_the_token_is_the_environments_or_of_the_hubs_own_file(tmp_path):
    assert hub_token({"HOME": str(tmp_path)}) == ""
    place = tmp_path / ".cache/huggingface/token"
    place.parent.mkdir(parents=True)
    place.write_text("hf_file\n")
    assert hub_token({"HOME": str(tmp_path)}) == "hf_file"
    assert hub_token({"HOME": str(tmp_path), "HF_TOKEN": " hf_env "}) == "hf_env"
    (tmp_path / "other").write_text("hf_other")
    assert hub_token({"HF_TOKEN_PATH": str(tmp_path / "other")}) == "hf_other"


def test_a_mirror_is_used_and_a_token_goes_over_tls_alone():
    assert this_hub("", {"HF_ENDPOINT": "https://mirror.example"}).endpoint == "https://mirror.example"
    assert this_hub("https://own.example", {"HF_ENDPOINT": "https://mirror.example"}).endpoint == "https://own.example"
    assert Hub(endpoint="https://mirror.example", token=SECRET).headers
    assert Hub(endpoint="http://mirror.example", token=SECRET).headers == {}
    assert SECRET not in repr(Hub(token=SECRET))
    with pytest.raises(UsageError) as caught:
        Hub(endpoint="https://me:pw@mirror.example")
    assert "pw" not in caught.value.message


# -- MLCommons -----------------------------------------------------------------------------

R2 = {"data/a b.npy": b"one" * 1000, "labels.txt": b"two"}


class R2Server:
    """MLCommons' storage as its downloader asks it."""

    def __init__(self, files=R2, *, gated=False, base=None):
        self.files, self.gated, self.base = files, gated, base

    def __call__(self, handler, _count):
        if self.gated and handler.headers.get("CF-Access-Client-Secret") != SECRET:
            answer(handler, 302, Location="https://mlcommons.cloudflareaccess.com/cdn-cgi/access/login/x")
            return
        path = urllib.parse.unquote(handler.path)
        here = f"http://{handler.headers['Host']}"
        if path == "/metadata/squad.uri":
            answer(handler, body=f"{self.base or here}/stored/squad\n".encode())
        elif path == "/metadata/squad.md5":
            lines = (f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  ./{n}\n" for n, data in R2.items())
            answer(handler, body="".join(lines).encode())
        else:
            data = self.files.get(path.removeprefix("/stored/squad/"))
            answer(handler, 404 if data is None else 200, data or b"")


def r2_source(url, **more):
    return {"kind": "mlcommons", "uri": f"{url}/metadata/squad.uri", **more}


def test_mlcommons_metadata_gives_files_with_their_md5_and_size(recipes):
    with server(R2Server()) as (url, _asked):
        entry = recipes.model([r2_source(url)], [{"folder": "squad"}])
        (source,) = entry.definition.sources
        listed = recipes.provider.sources.listed(source)
        assert {one.path: one.size for one in listed} == {"data/a b.npy": 3000, "labels.txt": 3}
        came = recipes.provider.sources.trust(source, listed)
    assert {one.path: one.sha256 for one in came} == {name: sha(data) for name, data in R2.items()}


def test_mlcommons_files_with_another_md5_are_refused(recipes):
    with server(R2Server({**R2, "labels.txt": b"owt"})) as (url, _asked):
        entry = recipes.model([r2_source(url)], [{"folder": "squad"}])
        (source,) = entry.definition.sources
        sources = recipes.provider.sources
        with pytest.raises(AssetError) as caught:
            sources.trust(source, sources.listed(source))
    assert caught.value.slug == "hash-mismatch"
    assert "labels.txt" in caught.value.message


def test_mlcommons_files_by_their_hashes(recipes):
    files = [{"path": name, "sha256": sha(data), "size": len(data)} for name, data in R2.items()]
    output = [{"folder": "squad", "files": 2, "sha256": manifest(R2)}]
    with server(R2Server()) as (url, asked):
        recipes.model([r2_source(url, files=files)], output)
        assert (recipes.get().folder / "squad/data/a b.npy").read_bytes() == R2["data/a b.npy"]
    assert sum(path.endswith(".uri") for _, path, _, _ in asked) == 1


def test_what_only_members_get_says_what_shows_a_member(recipes, monkeypatch):
    for name in ("CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET", "CF_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with server(R2Server(gated=True)) as (url, asked):
        entry = recipes.model([r2_source(url, gated=True)], [{"folder": "squad"}])
        with pytest.raises(AssetError) as caught:
            recipes.provider.sources.listed(entry.definition.sources[0])
        assert caught.value.slug == "token-missing"
        assert "CF_ACCESS_CLIENT_ID" in caught.value.hint
        assert len(asked) == 1  # nobody was sent on to a page for people
        monkeypatch.setenv("CF_ACCESS_CLIENT_ID", "me")
        monkeypatch.setenv("CF_ACCESS_CLIENT_SECRET", SECRET)
        assert len(recipes.provider.sources.listed(entry.definition.sources[0])) == 2


def test_metadata_that_leads_to_another_server_is_refused(recipes):
    with server(R2Server(base="http://elsewhere.example")) as (url, _asked):
        entry = recipes.model([r2_source(url)], [{"folder": "squad"}])
        with pytest.raises(AssetError) as caught:
            recipes.provider.sources.listed(entry.definition.sources[0])
    assert caught.value.slug == "bad-metadata"


def test_a_members_secrets_are_in_no_text():
    headers = access_headers({"CF_ACCESS_CLIENT_ID": "me", "CF_ACCESS_CLIENT_SECRET": SECRET})
    assert SECRET not in repr(Mlcommons(headers=headers))
    assert SECRET not in repr(Wanted(name="x", sha256="", size=0, urls=(), headers=headers))
    assert access_headers({"CF_ACCESS_TOKEN": "t"}) == {"cf-access-token": "t"}


# -- git, a user's own, a device -----------------------------------------------------------


@pytest.mark.processes
def test_the_files_of_a_commit_come_through_git(recipes, tmp_path):
    from orchestrator.host.command import run_program

    repository = tmp_path / "upstream"
    (repository / "sub").mkdir(parents=True)
    (repository / "sub/list.txt").write_bytes(b"names")
    (repository / "other.txt").write_bytes(b"not wanted")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        assert run_program(["git", "-C", str(repository), *words], env={"HOME": str(tmp_path)}).code == 0
    commit = run_program(["git", "-C", str(repository), "rev-parse", "HEAD"], env={}).stdout.strip()
    source = {"kind": "git", "url": f"file://{repository}", "commit": commit, "paths": ["sub"], "to": "tree"}
    output = {"folder": "tree", "files": 1, "sha256": manifest({"sub/list.txt": b"names"})}
    recipes.model([source], [output])
    stored = recipes.get()
    assert (stored.folder / "tree/sub/list.txt").read_bytes() == b"names"
    assert not (stored.folder / "tree/other.txt").exists()


def on_a_device(recipes):
    layer = "kind: layer\nname: tools\ntitle: T\nlevel: side\ntemplate: python.Dockerfile.j2\n"
    (recipes.root / "tools.yaml").write_text(layer)
    prepare = {"command": ["quantise"], "layer": "tools", "needs_device": True}
    return recipes.model([{"kind": "generated"}], FILE, prepare=prepare)


def test_a_step_on_a_device_is_told_before_anything_is_made_where_none_can_be_given(recipes):
    def none():
        raise AssetError("target `cpu` has none", slug="prepare-device")

    recipes.devices = none
    on_a_device(recipes)
    assert recipes.refused().slug == "prepare-device"


def test_a_step_on_a_device_is_given_it(recipes):
    entry = on_a_device(recipes)
    asset = entry.definition
    spec = provider_module.prep_spec(asset, asset.prepare, "image", recipes.home, (), {})
    found = Devices(nodes=("/dev/x0",), groups=("44",), env={"X": "0"}).given_to(spec)
    assert (found.devices, found.groups, found.env["X"]) == (("/dev/x0",), ("44",), "0")
    assert (found.network, found.read_only, found.mounts) == ("none", True, spec.mounts)


def test_nothing_runs_with_roots_uid(recipes, monkeypatch):
    from orchestrator.plan.run.user import run_user

    user = run_user(0, 0, {})
    monkeypatch.setattr(provider_module, "this_user", lambda: user)
    layer = "kind: layer\nname: tools\ntitle: T\nlevel: side\ntemplate: python.Dockerfile.j2\n"
    (recipes.root / "tools.yaml").write_text(layer)
    entry = recipes.model([{"kind": "generated"}], FILE, prepare={"command": ["make"], "layer": "tools"})
    asset = entry.definition
    spec = provider_module.prep_spec(asset, asset.prepare, "image", recipes.home, (), {})
    assert spec.user == "65534:65534"
    assert spec.command == ("make",)
    assert (spec.network, spec.read_only) == ("none", True)
    assert os.getuid() == 0 or spec.user != f"{os.getuid()}:{os.getgid()}"


def test_a_long_download_says_how_far_it_is(recipes, monkeypatch):
    from orchestrator.packages import kept_part

    monkeypatch.setattr(kept_part, "PROGRESS_S", 0.0)
    heard = []
    with server(lambda h, _: answer(h, body=DATA)) as (url, _asked):
        downloads = Downloads(recipes.home, quick_client(), heard.append)
        downloads.get(Wanted(name="net.bin", sha256=sha(DATA), size=len(DATA), urls=(f"{url}/net.bin",)))
    told = [event for event in heard if event.kind == "progress"]
    assert told
    assert {event.total for event in told} == {len(DATA)}
    assert [event.current for event in told] == sorted(event.current for event in told)


@pytest.mark.parametrize("kind", ["huggingface", "mlcommons"])
def test_what_is_gated_is_told_before_anything_else_is_fetched(recipes, monkeypatch, kind):
    for name in ("CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET", "CF_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    files = [{"path": "net.bin", "sha256": sha(DATA), "size": len(DATA)}]
    gated = {"kind": "huggingface", "repo": "org/net", "revision": REVISION, "gated": True, "files": files}
    if kind == "mlcommons":
        gated = {"kind": kind, "uri": "https://members.example/metadata/net.uri", "gated": True, "files": files}
    free = recipes.model([http_source("https://nobody.example/net.bin")], FILE, name="free")
    entry = recipes.model([gated], [{"file": "net/net.bin", "sha256": sha(DATA)}])
    with pytest.raises(AssetError) as caught:  # no server was asked for either: there is none
        recipes.provider.require_obtainable([free, entry])
    assert caught.value.slug == "token-missing"
    assert "token" in caught.value.hint
