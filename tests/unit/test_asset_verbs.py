"""`mlorch assets lock|why|prune|export|get --data|verify --data` as a user meets them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from test_http import answer, server

from orchestrator.api import assets as api
from orchestrator.assets import given as given_module
from orchestrator.assets.use import hold, release
from orchestrator.cli import run
from orchestrator.errors import AssetError
from orchestrator.host.command import run_program

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


@pytest.fixture
def site(tmp_path, capsys):
    return Site(tmp_path, capsys)


def local_recipe(site, folder, data=DATA, name="net"):
    """A model of a file beside its recipe."""
    (site.root / "recipes" / f"{name}.bin").write_bytes(data)
    source = {"kind": "recipe", "path": f"{name}.bin", "sha256": sha(data)}
    site.write("model", name, [source], [{"file": f"{name}.bin", "sha256": sha(data)}])


# -- lock ----------------------------------------------------------------------------------


@pytest.mark.sockets
def test_an_unlocked_asset_is_locked_once_and_then_verified_by_others(site, tmp_path, monkeypatch):
    body = [DATA]
    with server(lambda h, _: answer(h, body=b"" if h.command == "HEAD" else body[0])) as (url, asked):
        site.write("model", "net", [{"kind": "http", "urls": [f"{url}/net.bin"]}], [{"file": "net.bin"}])
        _, listed, _ = site("list", "--json")
        (facts,) = [each for each in listed["assets"] if each["name"] == "net"]
        assert facts["state"] == "unlocked"
        assert facts["unlocked"] == ["source net.bin", "output net.bin"]
        status, _, text = site("get", "net")
        assert status == 1
        assert "[asset-unlocked]" in text

        status, done, _ = site("lock", "net", "--json")
        assert (status, done["state"]) == (0, "locked")
        lock = Path(done["path"])
        assert lock == site.root / "images/model-net.lock.yaml"
        assert sha(DATA) in lock.read_text()
        assert "nobody has vouched for" in lock.read_text()
        seen = len(asked)
        status, got, _ = site("get", "net", "--json")
        assert status == 0
        assert (Path(got["assets"][0]["folder"]) / "net.bin").read_bytes() == DATA
        assert len(asked) == seen  # what the lock fetched is what is used

        # Somebody else, to whom the same lock came, gets these bytes or none.
        monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "other"))
        body[0] = DATA[:-1] + b"!"
        status, _, text = site("get", "net")
        assert status == 1
        assert "[hash-mismatch]" in text


@pytest.mark.sockets
def test_lock_says_what_it_trusts_and_locked_writes_nothing(site):
    with server(lambda h, _: answer(h, body=DATA)) as (url, asked):
        site.write("model", "net", [{"kind": "http", "urls": [f"{url}/net.bin"]}], [{"file": "net.bin"}])
        status, _, text = site("lock", "net", "--locked")
        assert (status, asked) == (2, [])
        assert "[locked]" in text
        status, _, text = site("lock", "net")
        assert status == 0
        assert "is trusted as it comes now" in text


@pytest.mark.sockets
def test_a_lock_of_another_recipe_does_not_count(site):
    with server(lambda h, _: answer(h, body=DATA)) as (url, _asked):
        site.write("model", "net", [{"kind": "http", "urls": [f"{url}/net.bin"]}], [{"file": "net.bin"}])
        assert site("lock", "net")[0] == 0
        site.write("model", "net", [{"kind": "http", "urls": [f"{url}/other/net.bin"]}], [{"file": "net.bin"}])
        status, _, text = site("get", "net")
    assert status == 1
    assert "[asset-unlocked]" in text


@pytest.mark.sockets
def test_a_repository_of_the_hub_is_locked_with_every_file(site, monkeypatch):
    from test_asset_sources import DATA as LARGE
    from test_asset_sources import FILES, HubServer, hub_source, storage

    with server(storage) as (far, _), server(HubServer(far)) as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        site.write("model", "net", [hub_source()], [{"folder": "Net"}])
        status, done, text = site("lock", "net", "--json")
        assert status == 0, text
        lock = Path(done["path"]).read_text()
        assert "weights/model 1.safetensors" in lock
        assert all(sha(FILES[name]) in lock for name in ("config.json", "weights/model 1.safetensors"))
        seen = len(asked)
        status, got, _ = site("get", "net", "--json")
        assert (Path(got["assets"][0]["folder"]) / "Net/weights/model 1.safetensors").read_bytes() == LARGE
        assert len(asked) == seen
        assert site("verify", "net")[0] == 0


@pytest.mark.sockets
def test_a_lock_that_does_not_fit_on_the_disk_is_told_before_the_first_byte(site, monkeypatch):
    from test_asset_sources import HubServer, hub_source, storage

    from orchestrator.assets import room

    monkeypatch.setattr(room, "free_bytes", lambda _folder: 1_000_000)
    with server(storage) as (far, far_asked), server(HubServer(far)) as (url, _asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        site.write("model", "net", [hub_source()], [{"folder": "Net"}])
        status, _, text = site("lock", "net")
    assert status == 1
    assert "[disk-full]" in text
    assert far_asked == []


def test_an_unlocked_model_is_planned_and_never_run(site, capsys):
    from orchestrator.definitions.catalog import builtin_root

    source = {"kind": "http", "urls": ["https://example.test/net.onnx"]}
    site.write("model", "net", [source], [{"file": "net.onnx"}], format="onnx")
    text = (builtin_root().recipes / "benchmarks/image-smoke.yaml").read_text()
    text = text.replace("name: image-smoke", "name: image-net").replace("model: efficientnet-lite0", "model: net")
    (site.root / "recipes/image-net.yaml").write_text(text)
    assert run(["plan", "-b", "image-net", "-t", "cpu", "--json", "--recipes", str(site.root)]) == 0
    assert run(["recipes", "lint", "--recipes", str(site.root)]) == 0
    capsys.readouterr()
    status, _, said = site("get", "net")
    assert status == 1
    assert "[asset-unlocked]" in said


def test_a_lock_that_is_stale_is_a_fault_of_lint(site, capsys):
    site.write("model", "net", [{"kind": "http", "urls": ["https://example.test/x"]}], [{"file": "x"}])
    (site.root / "images").mkdir()
    lines = ['version: "1"', "kind: model", "name: net", f"recipe: {'0' * 64}", "outputs:"]
    lines += [f"  - {{path: x, sha256: {'1' * 64}, size: 1}}"]
    (site.root / "images/model-net.lock.yaml").write_text("\n".join(lines) + "\n")
    assert run(["recipes", "lint", "--recipes", str(site.root)]) == 3
    assert "[lock-stale]" in "".join(capsys.readouterr())


@pytest.mark.sockets
def test_a_recipe_with_axes_has_a_lock_for_each_form(site):
    with server(lambda h, _: answer(h, body=DATA + h.path.encode())) as (url, _asked):
        forms = {
            form: {
                "set": {"sources": [{"kind": "http", "urls": [f"{url}/{form}/net.bin"], "licence": {"spdx": "MIT"}}]}
            }
            for form in ("fp32", "int8")
        }
        paths = []
        for default in forms:
            axes = {"precision": {"default": default, "values": forms}}
            site.write("model", "net", [{"kind": "generated"}], [{"file": "net.bin"}], axes=axes)
            status, done, text = site("lock", "net", "--json")
            assert status == 0, text
            paths.append(done["path"])
            assert site("get", "net")[0] == 0
    assert len(set(paths)) == 2
    assert all(Path(path).name.startswith("model-net-") and Path(path).is_file() for path in paths)


def test_a_recipe_with_every_hash_needs_no_lock(site):
    local_recipe(site, site.root)
    status, done, _ = site("lock", "net", "--json")
    assert (status, done["state"], done["path"]) == (0, "unneeded", None)
    assert not (site.root / "images").exists()


# -- a user's own folder -------------------------------------------------------------------

FOLDER = {"val/a.jpg": b"a picture", "val/b.jpg": b"another", "list.txt": b"a 1\nb 2\n"}
LOCAL = {"kind": "local", "where": "https://image-net.org", "looks_like": "val/ with pictures, list.txt"}


@pytest.fixture
def mounted(tmp_path):
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


def test_a_users_folder_is_used_where_it_is_and_hashed_once(site, mounted, monkeypatch):
    imagenet(site)
    hashed = []
    real = given_module.hash_file
    monkeypatch.setattr(given_module, "hash_file", lambda *words: hashed.append(words[1]) or real(*words))
    for _ in range(3):
        status, got, _ = site("get", "imagenet", "--data", f"imagenet={mounted}", "--json")
        assert status == 0
        (facts,) = got["assets"]
        assert (facts["state"], facts["folder"]) == ("given", str(mounted))
    assert sorted(hashed) == ["a.jpg", "b.jpg", "list.txt"]
    assert site("verify", "imagenet", "--data", f"dataset/imagenet={mounted}")[0] == 0
    assert len(hashed) == 6


def test_the_folder_may_stand_in_the_settings(site, mounted, tmp_path, monkeypatch):
    imagenet(site)
    (tmp_path / "mlorch.yaml").write_text("data: {imagenet: mnt}\n")
    monkeypatch.chdir(tmp_path)
    status, got, _ = site("get", "imagenet", "--json")
    assert (status, got["assets"][0]["folder"]) == (0, str(mounted))


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_missing_file_is_named(site, mounted, with_manifest):
    imagenet(site, with_manifest=with_manifest)
    if not with_manifest:  # without a list only what was seen before has a name
        assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    (mounted / "val/b.jpg").unlink()
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "val/b.jpg" in text
    assert "[data-missing]" in text


def test_without_any_list_the_number_of_files_is_told(site, mounted):
    imagenet(site)
    (mounted / "val/b.jpg").unlink()
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "has 2 files where the recipe says 3" in text
    assert "val/ with pictures" in text


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_file_with_other_bytes_is_found_and_never_taken(site, mounted, with_manifest):
    imagenet(site, with_manifest=with_manifest)
    (mounted / "val/b.jpg").write_bytes(b"other!!")
    for _ in range(2):
        status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
        assert status == 1
        assert "[data-wrong]" in text
        assert ("val/b.jpg" in text) == with_manifest


def test_bytes_that_rot_behind_equal_times_are_found_by_verify(site, mounted):
    import os

    imagenet(site)
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    place = mounted / "val/b.jpg"
    before = place.stat()
    place.write_bytes(b"another"[::-1])
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    status, _, text = site("verify", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "val/b.jpg" in text


def test_a_file_too_many_is_named(site, mounted):
    imagenet(site, with_manifest=True)
    (mounted / "val/extra.jpg").write_bytes(b"x")
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "val/extra.jpg" in text


def test_data_that_nobody_hands_on_says_where_it_is(site):
    imagenet(site)
    status, _, text = site("get", "imagenet")
    assert status == 1
    assert "https://image-net.org" in text
    assert "--data imagenet=FOLDER" in text
    assert "[data-missing]" in text


def test_a_users_folder_is_locked_and_then_known(site, mounted):
    site.write("dataset", "imagenet", [LOCAL], [{"folder": "."}])
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "[asset-unlocked]" in text
    status, done, _ = site("lock", "imagenet", "--data", f"imagenet={mounted}", "--json")
    assert (status, done["bytes"]) == (0, sum(map(len, FOLDER.values())))
    assert manifest(FOLDER) in Path(done["path"]).read_text()
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    (mounted / "list.txt").write_bytes(b"a 2\nb 1\n")
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 1


@pytest.mark.parametrize(
    ("text", "slug"), [("imagenet", "bad-data"), ("imagenett=/", "unknown-asset"), ("imagenet=/none", "no-data")]
)
def test_a_data_option_that_means_nothing_is_refused(site, text, slug):
    imagenet(site)
    status, _, said = site("get", "imagenet", "--data", text)
    assert status == 2
    assert f"[{slug}]" in said


# -- why -----------------------------------------------------------------------------------


def test_why_names_the_input_that_changed(site):
    local_recipe(site, site.root)
    status, found, _ = site("why", "net", "--json")
    assert (status, found["state"]) == (0, "miss")
    assert "never made" in found["why"]
    site("get", "net")
    assert site("why", "net", "--json")[1]["state"] == "hit"
    local_recipe(site, site.root, data=b"new weights")
    _, found, _ = site("why", "net", "--json")
    assert found["state"] == "miss"
    assert {one["input"]: (one["was"], one["now"]) for one in found["changed"]} == {
        "source net.bin": (sha(DATA), sha(b"new weights")),
        "output net.bin": (sha(DATA), sha(b"new weights")),
    }
    _, _, text = site("why", "net")
    assert f"{sha(DATA)[:12]}… → {sha(b'new weights')[:12]}…" in text


def test_why_names_files_that_changed_on_disk(site):
    local_recipe(site, site.root)
    folder = Path(site("get", "net", "--json")[1]["assets"][0]["folder"])
    (folder / "net.bin").chmod(0o644)
    (folder / "net.bin").write_bytes(b"rot")
    _, found, _ = site("why", "net", "--json")
    assert (found["state"], found["wrong"]) == ("wrong", ["net.bin"])


# -- prune ---------------------------------------------------------------------------------


def test_prune_removes_what_no_recipe_names_and_says_its_bytes(site):
    local_recipe(site, site.root)
    local_recipe(site, site.root, name="kept")
    site("get", "net")
    site("get", "kept")
    (site.root / "recipes/net.yaml").unlink()
    status, shown, _ = site("prune", "--dry-run", "--json")
    assert status == 0
    (one,) = shown["removed"]
    assert (one["state"], one["bytes"] >= len(DATA)) == ("unneeded", True)
    assert Path(one["folder"]).is_dir()
    (one,) = site("prune", "--json")[1]["removed"]
    assert one["state"] == "removed"
    assert not Path(one["folder"]).exists()
    assert site("why", "kept", "--json")[1]["state"] == "hit"
    assert site("prune", "--json")[1]["removed"] == []


def test_prune_does_not_judge_what_other_recipes_may_name(site, capsys):
    local_recipe(site, site.root)
    folder = Path(site("get", "net", "--json")[1]["assets"][0]["folder"])
    assert run(["assets", "prune", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == []
    assert folder.is_dir()
    shutil.rmtree(site.root)
    assert run(["assets", "prune", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["removed"]) == 1
    assert not folder.exists()


def test_prune_leaves_what_a_run_uses(site):
    local_recipe(site, site.root)
    folder = Path(site("get", "net", "--json")[1]["assets"][0]["folder"])
    hold(folder.parent)
    (one,) = site("prune", "--all", "--json")[1]["removed"]
    assert (one["state"], one["why"]) == ("kept", "a run uses it")
    assert folder.is_dir()
    release(folder.parent)
    (one,) = site("prune", "--all", "--json")[1]["removed"]
    assert one["state"] == "removed"
    assert not folder.exists()


def test_prune_by_age(site):
    local_recipe(site, site.root)
    site("get", "net")
    assert site("prune", "--all", "--older-than", "1h", "--json")[1]["removed"] == []
    assert len(site("prune", "--all", "--older-than", "0s", "--json")[1]["removed"]) == 1
    assert site("prune", "--older-than", "soon")[0] == 2
    assert site("prune", "--older-than", "²d")[0] == 2


@pytest.mark.sockets
def test_prune_takes_downloads_with_their_asset(site):
    with server(lambda h, _: answer(h, body=DATA)) as (url, _asked):
        source = {"kind": "http", "urls": [f"{url}/net.bin"], "sha256": sha(DATA), "size": len(DATA)}
        site.write("model", "net", [source], [{"file": "net.bin", "sha256": sha(DATA)}])
        folder = Path(site("get", "net", "--json")[1]["assets"][0]["folder"])
        cache = folder.parents[4]
        assert [p for p in cache.glob("downloads/*/*") if p.name == sha(DATA)]
        result = site("prune", "--all", "--json")[1]
    assert not [p for p in cache.glob("downloads/*/*") if p.name == sha(DATA)]
    assert result["bytes"] < 2 * len(DATA)  # one inode of two names


# -- export --------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize("copy", [True, False])
def test_export_gives_files_that_sha256sum_checks(site, tmp_path, copy):
    local_recipe(site, site.root)
    assert "[not-here]" in site("export", "net", str(tmp_path / "out"))[2]
    site("get", "net")
    status, done, _ = site("export", "net", str(tmp_path / "out"), "--json", *(["--copy"] if copy else []))
    assert (status, done["files"], done["linked"]) == (0, 1, 0 if copy else 1)
    checked = run_program(["sha256sum", "-c", done["manifest"]], cwd=done["folder"], env={})
    assert checked.code == 0, checked.stderr
    assert "net.bin: OK" in checked.stdout
    assert list((tmp_path / "out/licences").iterdir())
    status, _, text = site("export", "net", str(tmp_path / "out"))
    assert status == 2
    assert "[exists]" in text


# -- the same from Python ------------------------------------------------------------------


def test_the_api_has_the_same_verbs(site, tmp_path, mounted):
    local_recipe(site, site.root)
    imagenet(site)
    options = {"recipes": [str(site.root)]}
    assert api.get(["net"], **options)["assets"][0]["state"] == "present"
    assert api.why("net", **options)["state"] == "hit"
    assert api.export("net", tmp_path / "out", **options)["files"] == 1
    assert api.get(["imagenet"], data=[f"imagenet={mounted}"], **options)["assets"][0]["state"] == "given"
    assert api.lock("net", **options)["state"] == "unneeded"
    assert api.prune(all=True, dry_run=True, **options)["removed"][0]["state"] == "unneeded"
    with pytest.raises(AssetError):
        api.get(["imagenet"], **options)
    shutil.rmtree(tmp_path / "out")
