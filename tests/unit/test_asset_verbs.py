"""`mlorch assets lock|why|prune|export` as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from asset_verb_parts import DATA, Site, folder_of_data, imagenet, local_recipe, sha
from test_http import answer, server

from orchestrator.api import assets as api
from orchestrator.assets.use import hold, release
from orchestrator.cli import run
from orchestrator.errors import AssetError
from orchestrator.host.command import run_program


@pytest.fixture
def site(tmp_path, capsys):
    return Site(tmp_path, capsys)


@pytest.fixture
def mounted(tmp_path):
    return folder_of_data(tmp_path)


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
    from asset_source_parts import DATA as LARGE
    from asset_source_parts import FILES, HubServer, hub_source, storage

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
    from asset_source_parts import HubServer, hub_source, storage

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
