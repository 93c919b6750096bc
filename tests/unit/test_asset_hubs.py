"""Models and data from the Hugging Face hub and from MLCommons: by their hashes, and a token goes nowhere else."""

from __future__ import annotations

import hashlib
import urllib.parse

import pytest
from asset_source_parts import (
    DATA,
    FILES,
    HUB_OUTPUT,
    REVISION,
    SECRET,
    HubServer,
    Recipes,
    blob,
    hub_source,
    locked_files,
    manifest,
    sha,
    storage,
)
from test_http import answer, server

from orchestrator.assets.hub import Hub, hub_token, this_hub
from orchestrator.assets.mlcommons import Mlcommons, access_headers
from orchestrator.errors import AssetError, UsageError
from orchestrator.packages.download import Wanted

pytestmark = pytest.mark.sockets


@pytest.fixture
def recipes(tmp_path):
    return Recipes(tmp_path)


# -- the Hugging Face hub ------------------------------------------------------------------


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
