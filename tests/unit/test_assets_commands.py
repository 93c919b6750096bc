"""`mlorch assets` and `mlorch images lock` as a user meets them; no engine and no network needed here."""

import json
from pathlib import Path

import pytest

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.kinds.lock import Deb
from orchestrator.packages import locking

MODEL = "resnet8-fashion"


@pytest.fixture
def mlorch(capsys):
    """Runs a command: exit status, the JSON document (None without one), what was said."""

    def call(*words):
        status = run(list(words))
        out, err = capsys.readouterr()
        return status, json.loads(out) if "--json" in words else None, out + err

    return call


def facts(document, name=MODEL):
    return next(asset for asset in document["assets"] if asset["name"] == name)


def test_list_says_what_is_here_and_under_which_terms(mlorch):
    status, document, _ = mlorch("assets", "--json")
    assert status == 0
    asset = facts(document)
    assert (asset["kind"], asset["state"], asset["folder"]) == ("model", "absent", None)
    assert asset["licences"] == ["Apache-2.0"]
    assert "model.onnx" in asset["files"]
    _, _, text = mlorch("assets", "list")
    assert MODEL in text
    assert "absent" in text


def test_get_then_verify_then_a_wrong_file(mlorch):
    status, document, _ = mlorch("assets", "get", MODEL, "--json")
    assert status == 0
    folder = Path(facts(document)["folder"])
    assert folder.is_dir()
    assert mlorch("assets", "verify", MODEL)[0] == 0

    (folder / "model.onnx").chmod(0o644)
    (folder / "model.onnx").write_bytes(b"bit rot")
    assert facts(mlorch("assets", "list", "--json")[1])["state"] == "absent"
    assert folder.is_dir()  # listing changes nothing
    status, document, _ = mlorch("assets", "verify", MODEL, "--json")
    assert status == 1
    assert facts(document)["wrong"] == ["model.onnx"]
    assert Path(facts(document)["folder"]).parent.name == "quarantine"
    assert not folder.exists()
    assert mlorch("assets", "get", f"model/{MODEL}")[0] == 0
    assert mlorch("assets", "verify")[0] == 0


def test_an_unknown_asset_is_answered_with_the_nearest_name(mlorch):
    status, _, text = mlorch("assets", "get", "resnet8-fashoin")
    assert status == 2
    assert f"`{MODEL}`" in text
    assert "Traceback" not in text


@pytest.fixture
def newer_world(monkeypatch):
    """A distribution where every package of the base has version `new`."""
    lock = load([builtin_root()]).lock("base-bookworm")
    pins = {deb.name: deb for deb in lock.platforms["linux/amd64"].debs}

    def debian_pins(names, _platform, _suite, _fetch):
        return [Deb(**{**pins[name].model_dump(), "version": "new"}) for name in names]

    monkeypatch.setattr(locking, "debian_pins", debian_pins)
    return pins


def test_lock_writes_what_changed_and_says_so(mlorch, newer_world, tmp_path):
    status, document, _ = mlorch("images", "lock", "base-bookworm", "-u", "libc6", "-o", str(tmp_path), "--json")
    assert status == 0
    (lock,) = document["locks"]
    change = {"platform": "linux/amd64", "name": "libc6", "was": newer_world["libc6"].version, "is": "new"}
    assert lock["changes"] == [change, {**change, "platform": "linux/arm64"}]
    text = (tmp_path / "base-bookworm.lock.yaml").read_text()
    assert text.count('version: "new"') == 2
    assert newer_world["tzdata"].version in text


def test_lock_leaves_the_file_alone_when_nothing_changed(mlorch, monkeypatch, tmp_path):
    pins = load([builtin_root()]).lock("pip").platforms["linux/amd64"].debs
    monkeypatch.setattr(locking, "debian_pins", lambda *_: list(pins))
    assert mlorch("images", "lock", "pip", "-o", str(tmp_path))[0] == 0
    path = tmp_path / "pip.lock.yaml"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    status, _, text = mlorch("images", "lock", "pip", "-o", str(tmp_path))
    assert status == 0
    assert "nothing changed" in text
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert path.read_text() == (builtin_root().images / "pip.lock.yaml").read_text()


def test_lock_of_an_unknown_layer(mlorch):
    status, _, text = mlorch("images", "lock", "base-bookwrm")
    assert status == 2
    assert "`base-bookworm`" in text
