"""SBOM, provenance and signatures of real images: in the engine, and beside them in a real registry.

Others read what we write: cosign (signatures and signed statements), oras (what lies beside
an image), securesystemslib, the CycloneDX schema, the in-toto library. Then everything is tampered with.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from registry_parts import cache_home, delete_manifest, registry

from orchestrator.facts.references import parse_reference
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.manifests import Descriptor, Manifest, digest_of

pytestmark = pytest.mark.engine
LAYER = "base-bookworm"
IMAGE = ("--target", "cpu", "-b", "image-fashion")


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory):
    """Documents are kept in a home of these tests; what was fetched before is used."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        (home / "cache").symlink_to(cache_home())
        cache_home().mkdir(parents=True, exist_ok=True)
        patch.setenv("MLORCH_HOME", str(home))
        yield


@pytest.fixture(scope="module")
def built(mlorch, _home):
    """The layers of image-fashion on cpu: facts of `build --json` by layer."""
    done = mlorch("build", *IMAGE, "--json")
    assert done.returncode == 0, done.stderr
    return {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}


@pytest.fixture(scope="module")
def keys(mlorch, tmp_path_factory):
    """A key pair with a password, and another one."""
    folder = tmp_path_factory.mktemp("keys")
    for name, password in (("own", "a pass word"), ("other", "")):
        done = mlorch("images", "keygen", "-o", str(folder / name), env={**os.environ, "MLORCH_KEY_PASSWORD": password})
        assert done.returncode == 0, done.stderr
    assert (folder / "own.key").stat().st_mode & 0o077 == 0
    return folder


@pytest.fixture(scope="module")
def pushed(built, engine, tmp_path_factory):
    """A real registry that holds the base image; gives it and the image's name there."""
    layer = built[LAYER]
    with registry(tmp_path_factory.mktemp("registry")) as running:
        repository = f"{running.host}/mlorch/{LAYER}"
        engine.sdk.tag(layer["image"], repository, layer["content_id"])
        for line in engine.sdk.push(repository, tag=layer["content_id"], stream=True, decode=True):
            assert "error" not in line, line
        yield running, f"{repository}:{layer['content_id']}"
        with suppress(Exception):
            engine.sdk.remove_image(f"{repository}:{layer['content_id']}")


def verify(mlorch, *words):
    """The exit status and, by its name, each check of the one image."""
    done = mlorch("images", "verify", *words, *IMAGE, "--json")
    assert done.stdout, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    return done.returncode, {check["name"]: check for check in image["checks"]}


def signed(mlorch, keys, name, key="own"):
    done = mlorch(
        "images", "sign", name, *IMAGE, "--key", str(keys / f"{key}.key"), "--json",
        env={**os.environ, "MLORCH_KEY_PASSWORD": "a pass word"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["images"][0]


def test_an_sbom_lists_exactly_what_is_in_the_image_and_is_the_same_every_time(mlorch, built, tmp_path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    first = mlorch("images", "sbom", "image-fashion-cpu", *IMAGE)
    assert first.returncode == 0, first.stderr
    assert mlorch("images", "sbom", "image-fashion-cpu", *IMAGE).stdout == first.stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first.stdout) is None
    document = json.loads(first.stdout)
    purls = {each["purl"].partition("?")[0] for each in document["components"]}
    assert {"pkg:pypi/mlcommons-loadgen@6.0.17", "pkg:pypi/onnxruntime@1.32.0"} <= purls
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)
    assert not any("fashion" in each["name"] for each in document["components"])  # no model, no dataset
    code, checks = verify(mlorch, "image-fashion-cpu")
    assert code == 0
    assert "exactly" in checks["sbom"]["detail"]
    assert checks["signature"]["passed"] is None
    done = mlorch("images", "sbom", *IMAGE, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "image-fashion-cpu.cdx.json").read_text() == first.stdout


def test_provenance_is_what_in_toto_expects_and_names_nothing_of_this_machine(mlorch, built):
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    done = mlorch("images", "sbom", "image-fashion-cpu", *IMAGE, "--provenance")
    document = json.loads(done.stdout)
    Statement.copy_from_pb(json_format.ParseDict(document, Message())).validate()
    predicate = json_format.ParseDict(document["predicate"], Provenance())
    digests = {each.digest["sha256"] for each in predicate.build_definition.resolved_dependencies}
    assert len(digests) > 30
    assert document["subject"][0]["digest"]["sha256"] == built["image-fashion-cpu"]["digest"].partition(":")[2]
    for secret in (os.uname().nodename, str(Path.home()), str(Path.cwd()), "http://", "/tmp"):
        assert secret not in done.stdout


def test_a_signature_in_the_engine_is_by_one_key_and_no_other(mlorch, built, keys):
    signed(mlorch, keys, LAYER)
    code, checks = verify(mlorch, LAYER, "--key", str(keys / "own.pub"))
    assert code == 0, checks
    assert all(check["passed"] for check in checks.values())
    code, checks = verify(mlorch, LAYER, "--key", str(keys / "other.pub"))
    assert code == 1
    assert "not made with this key" in checks["signature"]["detail"]
    done = mlorch("images", "sign", LAYER, *IMAGE, "--key", str(keys / "own.key"), stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "[key-password]" in done.stderr


def tools() -> Path:
    """cosign and oras of the distribution that mlorch's own engine comes from, unpacked into the cache."""
    from orchestrator.engines.private import packages

    place = cache_home() / "tests/supply-tools"
    if not (place / "usr/bin/cosign").exists():
        new = place.with_name("supply-tools.new")
        shutil.rmtree(new, ignore_errors=True)
        origin = packages.find_origin()
        with tempfile.TemporaryDirectory(prefix="mlorch-apt-") as text:
            options = packages._options(Path(text), Path(text), origin)
            packages._apt(["apt-get", *options, "update", "-qq"], "read the package lists")
            wanted = [f"{name}/{origin.engine_suite}" for name in ("cosign", "oras")]
            packages._apt(["apt-get", *options, "-qq", "download", *wanted], "download", cwd=Path(text) / "debs")
            for deb in (Path(text) / "debs").glob("*.deb"):
                packages._apt(["dpkg-deb", "-x", deb, new], f"unpack {deb.name}")
        new.rename(place)
    return place / "usr/bin"


def cosign(*words: str) -> subprocess.CompletedProcess:
    """cosign against a registry without TLS, and without the public log of signatures."""
    verb, *rest = words
    options = ["--insecure-ignore-tlog=true", "--allow-http-registry", "--allow-insecure-registry"]
    with tempfile.TemporaryDirectory() as home:  # it wants one, and writes there
        return subprocess.run(
            [str(tools() / "cosign"), verb, *options, *rest],
            capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "HOME": home},
        )  # fmt: skip


def test_other_tools_find_and_believe_what_lies_beside_an_image(mlorch, keys, pushed, tmp_path):
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    running, name = pushed
    code, checks = verify(mlorch, name)
    assert code == 1  # pushed, but nobody vouched for it
    assert "`mlorch images sign" in checks["sbom"]["hint"]
    row = signed(mlorch, keys, name)
    assert len(row["attached"]) == 4
    assert signed(mlorch, keys, name)["digest"] == row["digest"]  # twice is as good as once
    code, checks = verify(mlorch, name, "--key", str(keys / "own.pub"))
    assert code == 0, checks
    assert all(check["passed"] for check in checks.values())
    assert verify(mlorch, f"{name.rpartition(':')[0]}@{row['digest']}", "--key", str(keys / "own.pub"))[0] == 0
    assert verify(mlorch, LAYER, "--registry", running.host, "--key", str(keys / "other.pub"))[0] == 1

    by_digest = f"{name.rpartition(':')[0]}@{row['digest']}"
    own, other = str(keys / "own.pub"), str(keys / "other.pub")
    done = cosign("verify", "--key", own, by_digest)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["critical"]["image"]["docker-manifest-digest"] == row["digest"]
    assert cosign("verify", "--key", other, by_digest).returncode != 0
    for kind in ("slsaprovenance1", "cyclonedx"):
        done = cosign("verify-attestation", "--type", kind, "--key", own, by_digest)
        assert done.returncode == 0, done.stderr
        assert cosign("verify-attestation", "--type", kind, "--key", other, by_digest).returncode != 0
    done = subprocess.run(
        [str(tools() / "oras"), "discover", "--plain-http", "--format", "json", by_digest],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    kinds = {each["artifactType"] for each in json.loads(done.stdout)["manifests"]}
    assert kinds >= {"application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}

    reference, there = parse_reference(name), Registry.at(running.host)
    statements = there.get_manifest(reference.repository, f"{row['digest'].replace(':', '-')}.att")
    key = SSlibKey("", "ecdsa", "ecdsa-sha2-nistp256", {"public": (keys / "own.pub").read_text()})
    for layer in statements.layers():
        envelope = Envelope.from_dict(json.loads(there.read_blob(reference.repository, layer.digest)))
        envelope.verify([key], 1)


def test_a_pushed_image_has_its_documents_beside_it(mlorch, built, keys, tmp_path):
    with registry(tmp_path) as running:
        words = ("images", "push", running.host, *IMAGE, "--json")
        done = mlorch(*words)
        assert done.returncode == 0, done.stderr
        assert verify(mlorch, "--registry", running.host)[0] == 0
        assert verify(mlorch, "--registry", running.host, "--key", str(keys / "own.pub"))[0] == 1
        key = ("--key", str(keys / "own.key"))
        done = mlorch(*words, *key, env={**os.environ, "MLORCH_KEY_PASSWORD": "a pass word"})
        (made,) = json.loads(done.stdout)["documents"]
        assert made["signed"]
        name = f"{running.host}/mlorch/image-fashion-cpu:latest"  # an index, of one platform so far
        code, checks = verify(mlorch, name, "--key", str(keys / "own.pub"))
        assert code == 0, checks


def test_tampering_with_anything_in_a_registry_is_found(mlorch, keys, pushed):
    running, name = pushed
    row = signed(mlorch, keys, name)
    reference, there = parse_reference(name), Registry.at(running.host)
    manifest = there.get_manifest(reference.repository, row["digest"])
    public = str(keys / "own.pub")

    def found(*words):
        return verify(mlorch, name, "--key", public, *words)

    layer = running.blob(manifest.layers()[0].digest)
    kept = layer.read_bytes()
    for place, change in (
        (running.blob(row["digest"]), lambda data: data.replace(b'"size"', b'"Size"', 1)),
        (layer, lambda data: data[:-20] + bytes(20)),
        (running.blob(manifest.config().digest), lambda data: data.replace(b"org.mlorch.level", b"org.mlorch.LEVEL")),
    ):
        before = place.read_bytes()
        place.write_bytes(change(before))
        code, checks = found()
        assert code == 1, place
        assert checks["digest"]["passed"] is False
        assert checks["digest"]["hint"]
        place.write_bytes(before)
    assert layer.read_bytes() == kept
    assert found()[0] == 0

    # A document that is whole in itself, but tells something else: only its own check can see that.
    documents = {one.artifact_type: one for one in there.referrers(reference.repository, row["digest"])}
    bill = there.get_manifest(reference.repository, documents["application/vnd.cyclonedx+json"].digest)
    origin = there.get_manifest(reference.repository, documents["application/vnd.in-toto+json"].digest)
    listed = json.loads(there.read_blob(reference.repository, bill.layers()[0].digest))["components"]
    version = next(each["version"] for each in listed if each["name"] == "libc6").encode()
    for artifact, old, new, check in (
        (bill, version, version + b"0", "sbom"),
        (bill, b"mlorch:layer", b"mlorch:LAYER", "signature"),  # the packages are right, but nobody signed this
        (origin, b"bookworm", b"bullseye", "signature"),
        (origin, b'"contentId":"', b'"contentId":"0', "provenance"),
    ):
        data = there.read_blob(reference.repository, artifact.layers()[0].digest)
        assert old in data, old
        forged = replaced(there, reference.repository, artifact, data.replace(old, new))
        code, checks = found()
        assert code == 1
        assert checks[check]["passed"] is False, checks
        delete_manifest(there, reference.repository, forged)
        forget(there, reference.repository, row["digest"], forged)
        assert found()[0] == 0

    # An image of somebody else under our name, with our documents beside it.
    other = json.loads(manifest.data)
    config = there.read_blob(reference.repository, manifest.config().digest).replace(b'"Cmd"', b'"CmD"')
    put = there.put_blob(reference.repository, config.replace(b"org.mlorch.inputs", b"org.mlorch.inputz"))
    other["config"] |= {"digest": put.digest, "size": put.size}
    there.put_manifest(
        reference.repository, Manifest(media_type=manifest.media_type, data=json.dumps(other).encode()),
        tag=reference.tag,
    )  # fmt: skip
    code, checks = found()
    assert code == 1
    assert {check for check, facts in checks.items() if facts["passed"] is False} >= {"content-id", "sbom", "signature"}
    there.put_manifest(reference.repository, manifest, tag=reference.tag)
    assert found()[0] == 0


def replaced(there: Registry, repository: str, artifact: Manifest, data: bytes) -> str:
    """Put an artifact like ``artifact`` with another blob; gives its digest."""
    document = json.loads(artifact.data)
    there.put_blob(repository, data)
    described = Descriptor(media_type=document["layers"][0]["mediaType"], digest=digest_of(data), size=len(data))
    document["layers"] = [described.document()]
    forged = Manifest(media_type=artifact.media_type, data=json.dumps(document).encode())
    return there.put_manifest(repository, forged).digest


def forget(there: Registry, repository: str, digest: str, forged: str) -> None:
    """Take a referrer off the list under the image's fallback tag."""
    from orchestrator.images.registry.manifests import index_of

    left = tuple(one for one in there.referrers(repository, digest) if one.digest != forged)
    there.put_manifest(repository, index_of(left), tag=digest.replace(":", "-"))


def test_an_image_that_is_not_there_is_told_as_that(mlorch, pushed):
    _, name = pushed
    done = mlorch("images", "verify", f"{name[:-1]}{'0' if name[-1] != '0' else '1'}", *IMAGE)
    assert done.returncode == 1
    assert "[digest-not-found]" in done.stderr
    done = mlorch("images", "verify", "base-bookwurm", *IMAGE)
    assert done.returncode == 2
    assert "did you mean `base-bookworm`?" in done.stderr
