"""The registry client against a small server of its own: names, credentials, tokens, troubles, referrers."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest
from fake_registry import D, asked, client_of, coded, docker_config, serving_registry

from orchestrator.engines.registry_failures import from_engine
from orchestrator.engines.registry_trust import context, listed
from orchestrator.errors import EngineError, RegistryError, StepFailed, UsageError
from orchestrator.facts.references import (
    DOCKER_HUB,
    RegistryPrefix,
    is_loopback,
    parse_reference,
    parse_registry_prefix,
    registry_of_key,
)
from orchestrator.host.site import discover
from orchestrator.images.registry import transport
from orchestrator.images.registry.client import Registry, referrers_tag
from orchestrator.images.registry.credentials import credentials
from orchestrator.images.registry.manifests import (
    DOCKER_LIST,
    OCI_MANIFEST,
    Manifest,
)

# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("me/tool:1", "docker.io/me/tool:1"),
        ("docker.io/debian:12", "docker.io/library/debian:12"),
        ("index.docker.io/me/tool:1", "docker.io/me/tool:1"),
        ("localhost/mlorch/base:x", "localhost/mlorch/base:x"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
        ("[::1]:5000/a:t", "[::1]:5000/a:t"),
        (f"reg.example/a@{D}", f"reg.example/a@{D}"),
        (f"reg.example/a:t@{D}", f"reg.example/a:t@{D}"),
    ],
)
def test_references_read_as_docker_reads_them(text, said):
    assert str(parse_reference(text)) == said


@pytest.mark.parametrize(
    "text", ["", "A/b", "reg.example/", "a:b:c", "a@sha256:12", "a:" + "x" * 129, "-x.y/a", "a//b"]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.slug == "bad-reference"


def test_places_and_what_is_none():
    assert parse_registry_prefix("reg.example:5000/team/x/") == RegistryPrefix(host="reg.example:5000", path="team/x")
    assert str(parse_registry_prefix("r").image("base", "id")) == "r/mlorch/base:id"
    for text in (
        "https://reg.example",
        "user:secret@reg.example",
        "reg.example/Team",
        "reg.example:70000/x",
        "",
        "a b",
    ):
        with pytest.raises(UsageError) as caught:
            parse_registry_prefix(text)
        assert caught.value.slug == "bad-registry"
        assert "secret" not in caught.value.message


def test_loopback_is_this_machine_only():
    assert all(map(is_loopback, ("localhost", "localhost:5000", "127.1.2.3:5", "[::1]:5000")))
    assert not any(map(is_loopback, ("reg.example", "10.0.0.1:5000", "127.0.0.1.example", "localhost.example:1")))


# -- credentials -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "registry", "namespace"),
    [
        ("https://index.docker.io/v1/", DOCKER_HUB, ""),
        ("index.docker.io", DOCKER_HUB, ""),
        ("docker.io/team", DOCKER_HUB, "team"),
        ("r.example:5000/", "r.example:5000", ""),
        ("http://r.example/v2/", "r.example", ""),
    ],
)
def test_the_registry_that_a_key_of_dockers_credentials_is_about(key, registry, namespace):
    assert registry_of_key(key) == (registry, namespace)


def test_credentials_of_docker_login(tmp_path):
    env = docker_config(
        tmp_path,
        auths={"r:5000": {"auth": coded("me:a:b")}, "https://old.example/v1/": {"username": "u", "password": "p"},
               "t": {"auth": coded("me:"), "identitytoken": "tok"}, "empty": {}, "torn": {"auth": "%%"}},
    )  # fmt: skip
    assert (credentials("r:5000", discover(env)).username, credentials("r:5000", discover(env)).password) == (
        "me",
        "a:b",
    )
    assert credentials("old.example", discover(env)).password == "p"
    assert credentials("t", discover(env)).identity_token == "tok"
    assert [credentials(host, discover(env)) for host in ("empty", "torn", "other")] == [None, None, None]
    assert "a:b" not in repr(credentials("r:5000", discover(env)))


def test_podmans_file_counts_too_and_torn_files_do_not(tmp_path):
    (tmp_path / "run/containers").mkdir(parents=True)
    (tmp_path / "run/containers/auth.json").write_text(json.dumps({"auths": {"r": {"auth": coded("pod:man")}}}))
    (tmp_path / "config.json").write_text("{")
    env = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert credentials("r", discover(env)).username == "pod"


@pytest.mark.processes
def test_credential_helpers(tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-safe"
    helper.write_text(
        "#!/bin/sh\nread host\ncase $host in\n"
        """r) echo '{"Username": "me", "Secret": "pw"}';;\n"""
        """t) echo '{"Username": "<token>", "Secret": "idt"}';;\n"""
        "no) echo 'credentials not found in native keychain' >&2; exit 1;;\n"
        "bad) echo hello;;\n*) exit 3;;\nesac\n"
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    env = docker_config(tmp_path, credsStore="safe", credHelpers={"gone.example": "nowhere"})
    assert credentials("r", discover(env)).password == "pw"
    assert credentials("t", discover(env)).identity_token == "idt"
    assert credentials("no", discover(env)) is None
    for host in ("bad", "worse", "gone.example"):
        with pytest.raises(RegistryError) as caught:
            credentials(host, discover(env))
        assert caught.value.slug == "registry-credentials"


# -- certificates ------------------------------------------------------------------------------------------


def test_certificates_are_found_where_engines_have_them(tmp_path):
    folder = tmp_path / "mlorch/certs.d/reg.example:5000"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("no certificate")
    site = discover({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)})
    assert listed("reg.example:5000", site, ".crt") == [folder / "ca.crt"]
    with pytest.raises(RegistryError) as caught:
        context("reg.example:5000", site)
    assert caught.value.slug == "registry-ca"
    assert listed("other", site, ".crt") == []


# -- a server ------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(transport, "RETRIES", replace(transport.RETRIES, first_pause_s=0.001))
    with serving_registry() as found:
        yield found


@pytest.mark.sockets
def test_manifests_blobs_and_tags(fake, tmp_path):
    registry = asked(fake)
    digest = fake.manifest("a", b'{"layers": []}', DOCKER_LIST)
    assert registry.head_manifest("a", "t").digest == digest
    assert registry.head_manifest("a", "other") is None
    assert registry.get_manifest("a", "t").is_index
    assert registry.tags("a") == ("a", "b")
    big = bytes(3 << 20)
    put = registry.put_blob("a", big)
    assert registry.put_blob("a", big) == put
    assert sum(line.startswith("POST") for line in fake.asked) == 1  # what is there is not sent again
    registry.get_blob("a", put.digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == big
    with pytest.raises(RegistryError) as caught:
        registry.get_blob("a", put.digest, tmp_path / "small", limit=10)
    assert caught.value.slug == "blob-size"
    assert not (tmp_path / "small").exists()


@pytest.mark.sockets
def test_bytes_that_are_not_those_of_their_digest(fake, tmp_path):
    registry = asked(fake)
    fake.blobs[D] = b"evil"
    fake.manifests[f"a/{D}"] = (OCI_MANIFEST, b"{}")
    for call in (
        lambda: registry.get_blob("a", D, tmp_path / "out"),
        lambda: registry.read_blob("a", D),
        lambda: registry.get_manifest("a", D),
        lambda: registry.head_manifest("a", D),
    ):
        with pytest.raises(RegistryError) as caught:
            call()
        assert caught.value.slug == "digest-mismatch"
    assert not (tmp_path / "out").exists()


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("trouble", "slug"),
    [
        ([403], "registry-auth"),
        ([(507, "full")], "registry-full"),
        (
            [(500, '{"errors": [{"message": "unknown", "detail": "write x: no space left on device"}]}')],
            "registry-full",
        ),
        ([503] * 9, "registry-down"),
        ([429, 503], ""),
        ([(418, "{}")], "registry-refused"),
        (["hang"], "registry-slow"),
    ],
)
def test_troubles_of_a_registry(fake, trouble, slug):
    registry = asked(fake, silence_s=1.0)
    fake.trouble += trouble
    if not slug:
        return registry.ping()
    with pytest.raises(RegistryError) as caught:
        registry.ping()
    assert (caught.value.slug, bool(caught.value.message)) == (slug, True)
    return None


@pytest.mark.sockets
def test_a_registry_that_is_not_there(fake):
    with pytest.raises(RegistryError) as caught:
        Registry.at("127.0.0.1:9", client_of({"HOME": "/nonexistent"})).ping()
    assert caught.value.slug == "registry-down"
    with pytest.raises(RegistryError) as caught:
        asked(fake).get_manifest("a", D)
    assert caught.value.slug == "digest-not-found"


@pytest.mark.sockets
def test_basic_credentials_are_sent_when_asked_for(fake, tmp_path):
    fake.guard = f"Basic {coded('me:pw')}"
    with pytest.raises(RegistryError, match="wants a login") as caught:
        asked(fake).ping()
    assert caught.value.slug == "registry-auth"
    asked(fake, docker_config(tmp_path, auths={fake.host: {"auth": coded("me:pw")}})).ping()
    with pytest.raises(RegistryError) as caught:
        asked(fake, docker_config(tmp_path, auths={fake.host: {"auth": coded("me:wrong")}})).ping()
    assert "wrong" not in caught.value.message + caught.value.hint


@pytest.mark.sockets
def test_tokens_are_asked_for_once_and_a_password_only_goes_to_a_safe_place(fake, tmp_path):
    env = docker_config(tmp_path, auths={fake.host: {"auth": coded("me:pw")}})
    fake.guard, fake.realm = "Bearer T", f"http://{fake.host}/token"
    fake.manifest("a", b"{}")
    registry = asked(fake, env)
    registry.get_manifest("a", "t")
    registry.get_manifest("a", "t")
    assert [line for line in fake.asked if "token" in line] == ["GET /token?service=s&scope=repository%3Aa%3Apull"]
    assert f"Basic {coded('me:pw')}" in fake.asked
    fake.realm = "/token"  # where it is seen from the registry itself
    asked(fake, env).get_manifest("a", "t")
    assert len([line for line in fake.asked if "/token?" in line]) == 2
    fake.realm = "http://tokens.example/token"
    with pytest.raises(RegistryError) as caught:
        asked(fake, env).get_manifest("a", "t")
    assert caught.value.slug == "registry-auth"


@pytest.mark.sockets
@pytest.mark.parametrize("api", [False, True])
def test_referrers_by_the_api_or_by_their_tag(fake, api):
    fake.referrers_api = api
    registry = asked(fake)
    subject = Manifest(media_type=OCI_MANIFEST, data=b'{"schemaVersion": 2}')
    registry.put_manifest("a", subject, tag="t")
    for kind in ("x/y", "x/z"):
        text = json.dumps({"artifactType": kind, "subject": subject.descriptor().document()})
        registry.put_manifest("a", Manifest(media_type=OCI_MANIFEST, data=text.encode()))
    assert "x/y" in {one.artifact_type for one in registry.referrers("a", subject.digest)}
    assert (f"a/{referrers_tag(subject.digest)}" in fake.manifests) is not api
    assert len(registry.referrers("a", subject.digest)) == 2


# -- what engines say ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "slug"),
    [
        (
            "failed commit on ref: unexpected commit digest sha256:1, expected sha256:2: failed precondition",
            "digest-mismatch",
        ),
        ("filesystem layer verification failed for digest sha256:1", "digest-mismatch"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "registry-ca"),
        ("http: server gave HTTP response to HTTPS client", "registry-http"),
        ("no basic auth credentials", "registry-auth"),
        ("unauthorized: authentication required", "registry-auth"),
        ("manifest for x not found: manifest unknown", "digest-not-found"),
        ("net/http: request canceled while waiting (Client.Timeout exceeded while awaiting headers)", "registry-slow"),
        ("dial tcp 127.0.0.1:5: connect: connection refused", "registry-down"),
        ("a word of a kind that nobody knows", "engine-refused"),
    ],
)
def test_an_engines_words_become_our_errors(said, slug):
    error = from_engine("r.example/a:t", said, pushing=False)
    assert error.slug == slug
    assert "r.example" in error.message


@pytest.mark.parametrize("said", ["write /x: no space left on device", "write /x: disk quota exceeded"])
def test_no_space_is_the_engines_when_pulling_and_the_registrys_when_pushing(said):
    pulling, pushing = (from_engine("r.example/a:t", said, pushing=flag) for flag in (False, True))
    assert (type(pulling), pulling.slug) == (EngineError, "engine-disk-full")
    assert (isinstance(pushing, StepFailed), pushing.slug) == (True, "registry-full")
