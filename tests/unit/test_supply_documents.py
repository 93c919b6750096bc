"""SBOM, provenance, signatures and their checks, without an engine, a registry or a network."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest
from bundle_parts import INSIDE, inside, plan

from orchestrator.cli import run
from orchestrator.errors import UsageError
from orchestrator.images.attest import provenance as origin
from orchestrator.images.attest.attach import Attached
from orchestrator.images.attest.check import Evidence, check_all, differences, good
from orchestrator.images.attest.documents import digests, documents, find_documents, folder_of, keep_documents
from orchestrator.images.attest.sbom import read_sbom, sbom
from orchestrator.images.attest.signatures import (
    BadSignature,
    Signer,
    Verifier,
    check_payload,
    envelope,
    generate,
    image_payload,
    load_signer,
    load_verifier,
)
from orchestrator.images.attest.signatures import opened as unwrapped
from orchestrator.images.attest.subject import packages_of, subject_of

DIGEST = "sha256:" + "7" * 64


def verify_with(signer: Signer):
    """Checks what a signer signs."""
    return Verifier(signer._key.public_key()).verify


def subject(more: str = "", digest: str = DIGEST, base_source: str = "bootstrap"):
    made = plan(more)
    base = dataclasses.replace(made.layers[0], base_source=base_source)
    made = dataclasses.replace(made, layers=(base, made.layers[1]))
    return subject_of(made, made.layers[-1], digest, "9" * 64)


@pytest.fixture
def keys(tmp_path):
    """A signer and its verifier, and those of somebody else."""
    pairs = []
    for name in ("own", "other"):
        private, public = generate("")
        (tmp_path / f"{name}.key").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public)
        pairs.append(load_signer(tmp_path / f"{name}.key", str))
    return pairs


# -- what is in it -----------------------------------------------------------------------


def test_the_same_image_has_the_same_sbom_and_another_image_another():
    first = sbom(subject())
    assert first == sbom(subject())
    document = json.loads(first)
    assert "timestamp" not in document["metadata"]
    assert document["serialNumber"] != json.loads(sbom(subject(digest="sha256:" + "8" * 64)))["serialNumber"]
    purls = {each["purl"] for each in document["components"]}
    assert purls == {"pkg:deb/debian/libc6@2.36-9?arch=amd64", "pkg:pypi/some-engine@1.20"}
    assert document["components"][0]["hashes"][0]["content"] == "a" * 64
    assert read_sbom(first).digest == DIGEST


def test_a_base_from_a_registry_is_listed_by_its_digest():
    with_base = subject(base_source=f"registry:reg.example/debian@sha256:{'5' * 64}")
    document = json.loads(sbom(with_base))
    (base,) = [each for each in document["components"] if each["type"] == "container"]
    assert base["name"] == "reg.example/debian"
    assert base["version"] == f"sha256:{'5' * 64}"
    assert any(
        p["value"] == "pinned packages and the base image" for p in document["metadata"]["component"]["properties"]
    )
    wanted = {"name": "reg.example/debian", "uri": f"oci:reg.example/debian@sha256:{'5' * 64}"}
    (first, *_) = json.loads(origin.provenance(with_base, "1"))["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert wanted.items() <= first.items()


def test_what_a_later_layer_replaces_is_listed_once():
    made = plan()
    top = dataclasses.replace(made.layers[1], inputs={**made.layers[1].inputs, "deb:libc6": f"2.40 {'e' * 64}"})
    parts = packages_of((made.layers[0], top))
    assert [(part.name, part.version, part.layer) for part in parts if part.kind == "deb"] == [
        ("libc6", "2.40", "classify-chip")
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"bomFormat":"CycloneDX"}', b"\xff"])
def test_what_is_no_sbom_is_an_error_of_ours(data):
    with pytest.raises(ValueError):
        read_sbom(data)


# -- how it came to be --------------------------------------------------------------------


def test_provenance_can_be_checked_against_the_content_id_alone():
    about = subject()
    digest, predicate = origin.read_statement(origin.provenance(about, "1.0"), origin.PREDICATE_TYPE)
    assert digest == DIGEST
    layers = origin.layers_of(predicate)
    assert origin.broken_links(layers, about.content_id) == []
    assert origin.broken_links(layers, "0" * 64)
    assert origin.broken_links(layers[:1], about.content_id)
    assert origin.broken_links([layers[1], layers[0]], about.content_id)
    for index in range(2):
        for name in layers[index]["inputs"]:
            changed = [dict(layer) for layer in layers]
            changed[index]["inputs"] = {**layers[index]["inputs"], name: "changed"}
            assert origin.broken_links(changed, about.content_id), name


def test_provenance_knows_the_version_the_recipe_and_no_machine():
    text = origin.provenance(subject(), "1.2.3").decode()
    predicate = json.loads(text)["predicate"]
    assert predicate["runDetails"]["builder"]["version"] == {"mlorch": "1.2.3"}
    assert predicate["buildDefinition"]["externalParameters"]["recipeSha256"] == "9" * 64
    assert "metadata" not in predicate["runDetails"]  # neither a time nor the id of a run


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b'{"_type":"https://in-toto.io/Statement/v1"}', b"not json", b'{"_type":"other"}']
)
def test_what_is_no_statement_is_an_error_of_ours(data):
    with pytest.raises(ValueError):
        origin.read_statement(data, origin.PREDICATE_TYPE)


# -- signatures ----------------------------------------------------------------------------


def test_a_signature_is_about_one_image_and_by_one_key(keys):
    own, other = keys
    payload = image_payload(DIGEST, "reg.example/x")
    signature = own.sign(payload)
    verify = verify_with(own)
    assert check_payload(payload, signature, DIGEST, verify) == "reg.example/x"
    for wrong in (
        lambda: check_payload(payload, signature, "sha256:" + "8" * 64, verify),
        lambda: check_payload(payload + b" ", signature, DIGEST, verify),
        lambda: check_payload(payload, signature, DIGEST, verify_with(other)),
        lambda: check_payload(payload, b"", DIGEST, verify),
        lambda: check_payload(b"{}", own.sign(b"{}"), DIGEST, verify),
    ):
        with pytest.raises(BadSignature):
            wrong()


def test_an_envelope_opens_for_its_key_only(keys):
    own, other = keys
    wrapped = envelope(b"a statement", own.sign)
    assert unwrapped(wrapped, verify_with(own)) == b"a statement"
    assert unwrapped(wrapped, None) == b"a statement"
    document = json.loads(wrapped)
    document["payload"] = base64.b64encode(b"another").decode()
    for data, verify in (
        (wrapped, verify_with(other)),
        (json.dumps(document).encode(), verify_with(own)),
        (b"{}", verify_with(own)),
        (b"nonsense", None),
        (json.dumps({**json.loads(wrapped), "payloadType": "text/plain"}).encode(), None),
    ):
        with pytest.raises(BadSignature):
            unwrapped(data, verify)


def test_keys_are_read_with_their_password_or_refused_with_a_reason(tmp_path):
    private, public = generate("secret word")
    key, pub = tmp_path / "k.key", tmp_path / "k.pub"
    key.write_bytes(private)
    pub.write_bytes(public)
    assert b"ENCRYPTED" in private
    signer = load_signer(key, lambda: "secret word")
    assert load_verifier(pub).verify(b"x", signer.sign(b"x"))
    assert "secret" not in repr(signer)
    assert "0x" not in repr(signer)
    cases = [
        (lambda: load_signer(key, lambda: "wrong"), "key-password"),
        (lambda: load_signer(key, str), "key-password"),
        (lambda: load_signer(tmp_path / "none", str), "bad-key"),
        (lambda: load_signer(pub, str), "bad-key"),
        (lambda: load_verifier(key), "bad-key"),
        (lambda: load_verifier(tmp_path / "none"), "bad-key"),
    ]
    for work, slug in cases:
        with pytest.raises(UsageError) as caught:
            work()
        assert caught.value.slug == slug
        assert caught.value.hint
        assert "secret" not in caught.value.message


@pytest.mark.parametrize("kind", ["rsa", "p384", "cosign"])
def test_keys_of_another_kind_are_refused(tmp_path, kind):
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    made = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    data = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "k").write_bytes(data.replace(b"PRIVATE", b"ENCRYPTED SIGSTORE PRIVATE") if kind == "cosign" else data)
    (tmp_path / "p").write_bytes(made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="cannot be used"):
        load_signer(tmp_path / "k", str)
    with pytest.raises(UsageError, match="another kind"):
        load_verifier(tmp_path / "p")


def test_keygen_never_writes_over_a_key(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLORCH_KEY_PASSWORD", "a word")
    assert run(["images", "keygen", "-o", str(tmp_path / "k"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    before = (tmp_path / "k.key").read_bytes()
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600
    assert made["sha256"] == load_verifier(tmp_path / "k.pub").fingerprint
    assert run(["images", "keygen", "-o", str(tmp_path / "k")]) == 1
    assert (tmp_path / "k.key").read_bytes() == before
    (tmp_path / "half.pub").write_text("somebody's")
    assert run(["images", "keygen", "-o", str(tmp_path / "half")]) == 1
    assert not (tmp_path / "half.key").exists()
    assert (tmp_path / "half.pub").read_text() == "somebody's"


# -- all checks together ----------------------------------------------------------------------


@pytest.fixture
def evidence(tmp_path, keys):
    """A signed image of the plan with its documents; and what it should be."""
    image, packages = inside(tmp_path, [INSIDE])
    about = subject(digest=image.digest)
    made = documents(about, keys[0], "localhost/mlorch/classify-chip")
    beside = Attached(
        sboms=(made.sbom,), provenances=(made.provenance,), signatures=(made.signature,), envelopes=made.envelopes
    )
    found = Evidence(image=image, asked=image.digest, packages=packages, attached=beside, published=True)
    return found, about


def failed(found, about, verify):
    checks = check_all(found, about, verify)
    assert all(check.hint for check in checks if check.passed is False)
    return {check.name for check in checks if check.passed is False}


def test_an_honest_image_passes_every_check(evidence, keys):
    found, about = evidence
    checks = check_all(found, about, verify_with(keys[0]))
    assert all(check.passed for check in checks), checks
    assert good(checks)
    assert failed(found, about, None) == set()


def changed(found, **attached):
    return dataclasses.replace(found, attached=dataclasses.replace(found.attached, **attached))


def test_each_lie_is_found_by_the_check_that_is_about_it(evidence, keys):
    found, about = evidence
    verify, image = verify_with(keys[0]), found.image
    bill, statement = found.attached.sboms[0], found.attached.provenances[0]
    labels = {**image.labels, "org.mlorch.inputs": '{"a":"b"}'}
    assert failed(found, about, verify_with(keys[1])) == {"signature"}
    assert failed(dataclasses.replace(found, asked="sha256:" + "0" * 64), about, verify) == {"digest"}
    assert failed(found, None, verify) == {"content-id"}
    assert failed(found, subject("other recipe", image.digest), verify) == {"content-id"}
    assert "content-id" in failed(
        dataclasses.replace(found, image=dataclasses.replace(image, labels=labels)), about, verify
    )
    assert "content-id" in failed(
        dataclasses.replace(found, image=dataclasses.replace(image, labels={})), about, verify
    )
    more = {**found.packages, ("deb", "evil"): "1"}
    assert failed(dataclasses.replace(found, packages=more), about, verify) == {"sbom"}
    assert failed(dataclasses.replace(found, packages={}), about, verify) == {"sbom"}
    assert failed(changed(found, sboms=(bill.replace(b"2.36-9", b"2.36-8"),)), about, verify) == {"sbom", "signature"}
    assert failed(changed(found, sboms=(b"junk",)), about, verify) == {"sbom", "signature"}
    assert failed(changed(found, sboms=(bill, bill.replace(b"libc6", b"libd6"))), about, verify) == {
        "sbom",
        "signature",
    }
    assert failed(changed(found, provenances=(statement.replace(b"1.20 ccc", b"1.21 ccc"),)), about, verify) == {
        "provenance",
        "signature",
    }
    assert failed(changed(found, provenances=(b"{}",)), about, verify) == {"provenance", "signature"}
    assert failed(changed(found, sboms=(), provenances=()), about, verify) == {"sbom", "provenance"}
    assert failed(changed(found, signatures=()), about, verify) == {"signature"}
    assert failed(changed(found, envelopes=()), about, verify) == {"signature"}


def test_a_dependency_that_no_layer_has_is_found(evidence):
    found, about = evidence
    document = json.loads(found.attached.provenances[0])
    listed = document["predicate"]["buildDefinition"]["resolvedDependencies"]
    for change in (listed[1:], [*listed, {"name": "evil", "digest": {"sha256": "f" * 64}}], [], None):
        document["predicate"]["buildDefinition"]["resolvedDependencies"] = change
        assert failed(changed(found, provenances=(json.dumps(document).encode(),)), about, None) == {"provenance"}


def test_packages_of_a_base_image_are_its_own():
    inside_it = {("deb", "libc6"): "2", ("deb", "apt"): "1"}
    assert list(differences({("deb", "libc6"): "2"}, inside_it, more_inside=True)) == []
    assert list(differences({("deb", "libc6"): "2"}, inside_it)) == ["deb apt 1 is inside, but not listed"]
    assert list(differences({("deb", "libc6"): "1"}, inside_it, more_inside=True))


# -- kept ---------------------------------------------------------------------------------------


def test_documents_are_kept_by_digest_and_a_signature_never_outlives_what_it_signs(keys):
    made = documents(subject(), keys[0], "x")
    keep_documents(made)
    assert find_documents(DIGEST) == made
    keep_documents(documents(subject()))
    assert find_documents(DIGEST).signature is None
    assert find_documents(DIGEST).envelopes == ()
    assert find_documents("sha256:" + "1" * 64) is None
    (folder_of(DIGEST) / "signature.json").write_text("broken")
    assert find_documents(DIGEST).signature is None


def test_digests_for_a_result_are_computed_once(monkeypatch):
    first = digests(subject())
    import orchestrator.images.attest.documents as module

    monkeypatch.setattr(module, "documents", lambda *_: pytest.fail("computed again"))
    assert digests(subject()) == first
    monkeypatch.undo()
    assert digests(subject(digest="sha256:" + "8" * 64)) != first


def test_unknown_names_are_told_with_the_nearest(capsys):
    for command in ("verify", "sbom", "sign"):
        assert run(["images", command, "image-fashoin-cpu", "--target", "cpu", "-b", "image-fashion"]) == 2
        assert "did you mean `image-fashion-cpu`" in capsys.readouterr().err
    assert run(["images", "sign", "reg.example/x:1", "--target", "cpu", "-b", "image-fashion"]) == 2
    assert "nothing is known about how it was made" in capsys.readouterr().err
