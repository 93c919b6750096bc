"""Sources of models and data over the network, against servers of the tests' own: what comes, and what goes wrong."""

from __future__ import annotations

import os

import pytest
from asset_source_parts import DATA, FILE, REVISION, Recipes, http_source, manifest, sha
from deb_parts import quick_client
from test_http import answer, server

from orchestrator.assets import provider as provider_module
from orchestrator.assets import room
from orchestrator.errors import AssetError
from orchestrator.packages.download import Downloads, Wanted
from orchestrator.plan.run.devices.plan import Devices

pytestmark = pytest.mark.sockets


@pytest.fixture
def recipes(tmp_path):
    return Recipes(tmp_path)


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
