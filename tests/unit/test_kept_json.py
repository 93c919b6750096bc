"""Notes that mlorch keeps for itself, and files that it is given: no sound JSON counts as absent, or is told."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from orchestrator.engines.podman.images import unpack
from orchestrator.engines.private import EnginePaths, read_state, unpacked
from orchestrator.errors import RegistryError, StepFailed
from orchestrator.host import model_files
from orchestrator.host.site import discover
from orchestrator.images.attest import documents
from orchestrator.images.attest.subject import Subject
from orchestrator.images.registry.credentials import credentials
from orchestrator.operations.recipe_cache import Slot
from orchestrator.packages.kept_part import kept_part

NESTED = "[" * 100_000 + "]" * 100_000
BROKEN = {
    "nested": NESTED,
    "nan": '{"url": NaN}',
    "twice": '{"url": "a", "url": "b", "validator": "c"}',
    "bytes": "\ud800",
}


@pytest.fixture(params=BROKEN)
def text(request) -> bytes:
    return BROKEN[request.param].encode(errors="surrogatepass")


def test_the_note_of_a_part_of_a_download(tmp_path, text):
    (tmp_path / "part").write_bytes(b"begun")
    (tmp_path / "part.json").write_bytes(text)
    with kept_part(tmp_path / "part") as part:
        assert (part.resumed, part.count) == (False, 0)


def test_what_is_known_of_a_model_file(tmp_path, text):
    (tmp_path / "kept.json").write_bytes(text)
    assert model_files._known(tmp_path / "kept.json", [1]) is None


def test_the_state_and_the_packages_of_the_private_engine(tmp_path, text):
    at = EnginePaths(home=tmp_path, run=tmp_path / "mlorch-a")
    for place in (at.state, at.prefix / "packages.json"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
    assert read_state(at) is None
    assert unpacked(at) == {}


def test_the_digests_of_documents(tmp_path, text, monkeypatch):
    monkeypatch.setattr(documents, "cache_home", lambda: tmp_path)
    monkeypatch.setattr(documents, "documents", lambda _: documents.Documents(digest="d", sbom=b"1", provenance=b"2"))
    subject = Subject(name="n", digest="sha256:d", platform="linux/amd64", layers=(), target="t")
    monkeypatch.setattr(Subject, "content_id", "c")
    first = documents.digests(subject)
    (kept,) = (tmp_path / "supply").iterdir()
    kept.write_bytes(text)
    assert documents.digests(subject) == first
    assert json.loads(kept.read_text()) == {"sbom": first[0], "provenance": first[1]}


def test_a_kept_plan(tmp_path):
    (tmp_path / "plan.json").write_text(NESTED)
    assert Slot(tmp_path / "plan.json").read() is None


def test_the_index_of_an_archive_of_images(tmp_path, text):
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        member = tarfile.TarInfo("index.json")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    with pytest.raises(StepFailed) as caught:
        unpack(tmp_path / "images.tar", tmp_path / "out")
    assert caught.value.slug == "bad-archive"


@pytest.mark.processes
def test_logins_nested_for_ever_are_none_and_a_helper_that_prints_them_is_told(tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    site = discover({"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)})
    config.write_text(NESTED)
    assert credentials("r.example", site) is None
    config.write_text(json.dumps({"credHelpers": {"r.example": "odd"}}))
    helper = tmp_path / "docker-credential-odd"
    helper.write_text("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' '['\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RegistryError, match="something else than credentials"):
        credentials("r.example", site)
