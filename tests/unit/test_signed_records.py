"""Records that are signed: a forged one is refused with the key, and without one nobody claims more than is known."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest
from hostile_run_parts import forge, key_pairs
from results_parts import LOGS, add_run

from orchestrator.cli import run as mlorch
from orchestrator.errors import StepFailed
from orchestrator.facts.record_file import from_json
from orchestrator.operations.signing import sign_runs
from orchestrator.results.store import Store
from orchestrator.results.verify.signature import held_to_signature, sign_record
from orchestrator.results.verify.verification import verify


@pytest.fixture
def key(tmp_path):
    return key_pairs(tmp_path)


def test_a_record_that_was_forged_with_all_its_hashes_is_refused_with_the_key(tmp_path, key):
    signer, verifier = key["own"]
    _, folder = add_run(Store(tmp_path / "r"), "server-invalid")
    sign_record(folder, signer)
    assert held_to_signature(verify(folder), verifier).ok
    assert held_to_signature(verify(folder), verifier).signed
    for source in (LOGS / "server").iterdir():  # a good run's logs, and everything made to fit
        shutil.copy(source, folder)
    from orchestrator.host.files import sha256_file
    from orchestrator.results.measure import measure

    record = from_json((folder / "run.json").read_text(), path="run.json")
    files = {name: replace(fact, sha256=sha256_file(folder / name), size=(folder / name).stat().st_size)
             for name, fact in record.files.items()}  # fmt: skip
    forge(folder, valid=True, files=files, measured=measure(record, folder, {})[0])
    assert verify(folder).ok  # nothing else could tell
    found = held_to_signature(verify(folder), verifier)
    assert [(one.file, "not made with this key" in one.message) for one in found.faults] == [("run.json.sig", True)]


def test_only_the_key_that_signed_passes_and_no_signature_is_none(tmp_path, key):
    _, folder = add_run(Store(tmp_path / "r"), "offline")
    assert held_to_signature(verify(folder), key["own"][1]).faults[0].message == "the record is not signed"
    sign_record(folder, key["other"][0])
    assert not held_to_signature(verify(folder), key["own"][1]).ok
    for hostile in ("", "[]", "{" * 1000, '{"sig": "!"}'):
        (folder / "run.json.sig").write_text(hostile)
        assert not held_to_signature(verify(folder), key["own"][1]).ok
    (folder / "run.json.sig").unlink()
    os.mkfifo(folder / "run.json.sig")
    assert "no regular file" in held_to_signature(verify(folder), key["own"][1]).faults[0].message


def test_runs_are_signed_and_verified_by_the_command_line_which_says_what_it_proves(tmp_path, key, capsys):
    results = ["--results", str(tmp_path / "r")]
    _, folder = add_run(Store(tmp_path / "r"), "offline")
    assert mlorch(["results", "verify", *results]) == 0
    assert "could have made both" in capsys.readouterr().err
    assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results]) == 1
    assert mlorch(["results", "sign", "--key", str(tmp_path / "own.key"), *results]) == 0
    capsys.readouterr()
    assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results]) == 0
    assert "somebody with this key" in capsys.readouterr().err
    _, other = add_run(Store(tmp_path / "r"), "server", 1)
    for at_fault, good in ((folder, other), (other, folder)):  # in whatever order, of the good one it is the same
        sign_record(good, key["own"][0])
        for broken in ("", "[]", None):
            (at_fault / "run.json.sig").unlink(missing_ok=True)
            if broken is not None:
                (at_fault / "run.json.sig").write_text(broken)
            assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results]) == 1
            said = capsys.readouterr()
            assert "somebody with this key" in said.err
            assert "could have made both" not in said.err
            assert ("it is no signature" if broken is not None else "the record is not signed") in said.out
    shutil.rmtree(other)
    forge(folder, target="gpu")
    assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["results"][0]["signed"] is False


def test_a_run_that_does_not_verify_is_not_signed(tmp_path, key):
    from orchestrator.operations.progress import Silent

    _, folder = add_run(Store(tmp_path / "r"), "offline")
    (folder / "harness.json").write_text("{}")
    with pytest.raises(StepFailed) as caught:
        sign_runs(tmp_path / "r", (), key["own"][0], Silent())
    assert caught.value.slug == "verify"
    assert not (folder / "run.json.sig").exists()


def test_a_run_may_sign_its_records_with_a_key_that_is_read_before_anything_runs(tmp_path, key):
    from orchestrator.errors import UsageError
    from orchestrator.operations.signing import record_signing

    _, folder = add_run(Store(tmp_path / "r"), "offline")
    record_signing("")(folder)
    assert not (folder / "run.json.sig").exists()
    with pytest.raises(UsageError) as caught:
        record_signing(str(tmp_path / "none.key"))
    assert caught.value.slug == "bad-key"
    record_signing(str(tmp_path / "own.key"))(folder)
    assert held_to_signature(verify(folder), key["own"][1]).ok


@pytest.mark.parametrize(("name", "slug"), [("none.key", "bad-key"), ("closed.key", "key-password")])
def test_a_dry_run_looks_at_the_key_too(tmp_path, key, name, slug, capsys, monkeypatch):
    from orchestrator.images.attest.signatures import generate

    monkeypatch.delenv("MLORCH_KEY_PASSWORD", raising=False)
    (tmp_path / "closed.key").write_bytes(generate("secret")[0])
    line = ["run", "image-fashion", "-t", "cpu", "--dry-run", "--json", "--sign-key"]
    assert mlorch([*line, str(tmp_path / name)]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == slug
    assert mlorch([*line, str(tmp_path / "own.key")]) == 0


def test_a_record_that_cannot_be_signed_is_told_and_hides_no_other_result(tmp_path, key, monkeypatch):
    from contextlib import nullcontext
    from types import SimpleNamespace

    from orchestrator.operations.progress import Silent
    from orchestrator.operations.run import order
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.results.summary import document

    store, warned = Store(tmp_path / "r"), []
    ended = [SimpleNamespace(record=record, folder=folder) for record, folder in
             (add_run(store, "offline"), add_run(store, "offline", 1))]  # fmt: skip
    (ended[0].folder / "run.json.sig").mkdir()  # nothing can be written in its place
    idle = SimpleNamespace(end=lambda: None, wait_removed=lambda: None)
    ready = SimpleNamespace(runner=SimpleNamespace(store=store, engine=idle, kept=idle))
    monkeypatch.setattr(order, "prepare", lambda *_: None)
    monkeypatch.setattr(order, "with_processors", lambda *_: nullcontext(ready))
    monkeypatch.setattr(order, "outcomes", lambda *_: iter(ended))
    progress = Silent()
    monkeypatch.setattr(Silent, "warn", lambda _self, text: warned.append(text))
    request = RunRequest(sign_key=str(tmp_path / "own.key"))
    bad, good = order.run(None, request, progress, None)
    assert (bad.good, good.good) == (False, True)
    assert "is not signed" in document(bad)["reasons"][0]
    assert "results sign" in warned[0]
    assert held_to_signature(verify(good.folder), key["own"][1]).signed


def test_who_signs_names_the_key(capsys):
    assert mlorch(["results", "sign"]) == 2
    assert "--key" in capsys.readouterr().err
