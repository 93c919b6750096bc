"""Registries that lie, trickle or say no: nothing hangs, nothing is given away, their words are shown."""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import dataclass, field

import pytest
from fake_registry import D, asked, coded, docker_config, serving_registry

from orchestrator.engines.registry_failures import from_engine
from orchestrator.errors import DefinitionError, RegistryError, StepFailed, UsageError
from orchestrator.host.site import discover
from orchestrator.http.client import Client
from orchestrator.images.attest.evidence import lay_out
from orchestrator.images.attest.signatures import load_verifier
from orchestrator.images.registry.client import Registry, referrers_tag
from orchestrator.images.registry.credentials import credentials
from orchestrator.images.registry.manifests import OCI_MANIFEST, Manifest, descriptor_from
from orchestrator.images.registry.transport import Transport

BASE = "https://reg.example"


@pytest.fixture
def fake():
    with serving_registry() as found:
        yield found


# -- who is told a password ----------------------------------------------------------------------


@dataclass
class Said:
    """An answer that needs no server."""

    status: int
    headers: dict = field(default_factory=dict)
    content: bytes = b""
    asked: str = "GET"
    url: str = BASE
    reason: str = ""
    retry_after: float = 0.0

    def beginning(self) -> str:
        return self.content.decode()


@pytest.fixture
def behind_tls(monkeypatch):
    """A registry with TLS and a login, whose uploads go on at ``location``; gives what was sent where."""

    def registry(location: str):
        sent = []

        def send(_self, request):
            sent.append((request.method, request.url, request.headers.get("Authorization")))
            return {"HEAD": Said(404), "POST": Said(202, {"Location": location}), "PUT": Said(201)}[request.method]

        monkeypatch.setattr(Client, "send", send)
        transport = Transport("reg.example", Client(site=discover({"HOME": "/nonexistent"})), _base=BASE)
        transport._headers["a"] = "Basic secret"
        return Registry("reg.example", transport), sent

    return registry


@pytest.mark.parametrize("location", ["http://reg.example/up?state=1", "http://reg.example:80/up?state=1"])
def test_an_upload_that_goes_on_without_tls_at_the_same_registry_is_sent_with_it(behind_tls, location):
    registry, sent = behind_tls(location)
    registry.put_blob("a", b"data")
    assert all(url.startswith(f"{BASE}/") for _, url, _ in sent)
    assert sent[-1][1].startswith(f"{BASE}/up?state=1&digest=")
    assert sent[-1][2] == "Basic secret"


def test_an_upload_that_goes_on_elsewhere_without_tls_is_refused_before_anything_is_sent(behind_tls):
    registry, sent = behind_tls("http://storage.example/up")
    with pytest.raises(RegistryError) as caught:
        registry.put_blob("a", b"data")
    assert caught.value.slug == "registry-unsafe"
    assert "storage.example" in caught.value.message
    assert [method for method, *_ in sent] == ["HEAD", "POST"]


@pytest.mark.parametrize("location", ["https://storage.example/up", "https://reg.example:444/up", "//evil.example/up"])
def test_another_server_or_port_gets_the_data_and_no_password(behind_tls, location):
    registry, sent = behind_tls(location)
    registry.put_blob("a", b"data")
    assert (sent[-1][0], sent[-1][2]) == ("PUT", None)


@pytest.mark.parametrize("location", ["http://[", "https://reg.example:99999/up"])
def test_a_place_that_is_none_is_an_error_of_the_registry(behind_tls, location):
    registry, _ = behind_tls(location)
    with pytest.raises(RegistryError):
        registry.put_blob("a", b"data")


# -- logins --------------------------------------------------------------------------------------


def test_logins_of_a_namespace_and_with_a_slash_are_found_and_the_nearest_counts(tmp_path):
    env = docker_config(
        tmp_path,
        auths={"r.example/": {"auth": coded("slash:p")}, "r.example/team": {"auth": coded("team:p")},
               "r.example/team/x": {"auth": coded("x:p")}, "other.example/team": {"auth": coded("other:p")}},
    )  # fmt: skip
    site = discover(env)
    found = {repository: credentials("r.example", site, repository).username
             for repository in ("", "team/x/y", "team/z", "teams/z", "any")}  # fmt: skip
    assert found == {"": "slash", "team/x/y": "x", "team/z": "team", "teams/z": "slash", "any": "slash"}
    assert credentials("other.example", site).username == "other"
    assert credentials("other.example", site, "another/x") is None


def test_one_bad_entry_for_another_registry_ends_no_command(tmp_path, monkeypatch):
    import docker
    import docker.utils.config

    from orchestrator.engines.docker.engine import DockerEngine

    env = docker_config(
        tmp_path, auths={"bad.example": {"auth": "%%"}, "list": [], "good.example": {"auth": coded("me:p")}}
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(docker.utils.config, "load_general_config", docker.utils.config.load_general_config)
    monkeypatch.setattr(docker.APIClient, "_retrieve_server_version", lambda _self: "1.43")
    assert DockerEngine("unix:///nonexistent").sdk.base_url
    assert credentials("good.example", discover(env)).username == "me"
    assert credentials("bad.example", discover(env)) is None


# -- what a registry says ------------------------------------------------------------------------

NO = '{{"errors": [{{"code": "X", "message": "{}"}}]}}'


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("status", "said", "slug", "hint"),
    [
        (403, "project quota of 10 GB exceeded", "registry-refused", ""),
        (403, "your subscription has expired", "registry-auth", "docker login"),
        (413, "client intended to send too large body", "registry-refused", "limit"),
        (429, "slow down please", "registry-slow", "later"),
    ],
)
def test_the_registrys_own_words_are_shown_and_advice_where_it_fits(fake, status, said, slug, hint):
    fake.trouble += [(status, NO.format(said))] * 9
    with pytest.raises(RegistryError) as caught:
        asked(fake).ping()
    assert (caught.value.slug, said in caught.value.message) == (slug, True)
    assert hint in caught.value.hint
    assert ("login" in caught.value.hint) == ("login" in hint or status == 429)


@pytest.mark.sockets
def test_a_repository_that_has_to_be_made_first_was_not_deleted(fake):
    registry = asked(fake)
    fake.trouble += [404, (404, NO.format("no such project: team"))]  # there is no such blob, and no place for one
    with pytest.raises(RegistryError) as caught:
        registry.put_blob("a", b"x")
    assert caught.value.slug == "registry-refused"
    assert "no such project: team" in caught.value.message
    assert "make the repository" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "pushing", "slug"),
    [
        ("denied: quota exceeded for project", True, "registry-refused"),
        ("denied: installation not allowed to Write organization package", True, "registry-auth"),
        ("failed to authorize: audience does not match expected: failed precondition", False, "registry-auth"),
        ("exec: docker-credential-x: executable file not found in $PATH", False, "engine-refused"),
        ("name unknown: repository team/x not found", True, "registry-refused"),
        ("toomanyrequests: You have reached your pull rate limit", False, "registry-slow"),
        ("unexpected status from HEAD request to https://r/v2/: 502 Bad Gateway", False, "registry-down"),
        ("copied 1502 of 3000 blobs", False, "engine-refused"),
        ("r.example/a:t: not found", False, "digest-not-found"),
    ],
)  # fmt: skip
def test_an_engines_words_are_shown_and_taken_for_no_other_ones(said, pushing, slug):
    error = from_engine("r.example/a:t", said, pushing=pushing)
    assert (error.slug, said in error.message) == (slug, True)


# -- referrers -------------------------------------------------------------------------------------


@pytest.mark.sockets
def test_documents_are_found_again_where_a_registry_claims_an_api_that_it_has_not(fake):
    fake.lies = True
    registry = asked(fake)
    subject = Manifest(media_type=OCI_MANIFEST, data=b'{"schemaVersion": 2}')
    registry.put_manifest("a", subject, tag="t")
    text = json.dumps({"artifactType": "x/y", "subject": subject.descriptor().document()})
    put = registry.put_manifest("a", Manifest(media_type=OCI_MANIFEST, data=text.encode()))
    assert [one.digest for one in registry.referrers("a", subject.digest)] == [put.digest]
    assert f"a/{referrers_tag(subject.digest)}" in fake.manifests


# -- without end -------------------------------------------------------------------------------------


@pytest.mark.sockets
def test_a_list_of_pages_without_end_is_an_error(fake, monkeypatch):
    monkeypatch.setattr("orchestrator.images.registry.client._MOST_PAGES", 20)
    fake.page = lambda number: (
        json.dumps({"tags": [f"t{number}"]}).encode(),
        {"Link": f'</v2/a/tags/list?last={number}>; rel="next"'},
    )
    with pytest.raises(RegistryError) as caught:
        asked(fake).tags("a")
    assert "without end" in caught.value.message
    assert len(fake.asked) == 20


@pytest.mark.sockets
def test_a_list_that_leads_back_to_a_page_ends_there(fake):
    fake.page = lambda _number: (b'{"tags": ["b", "a"]}', {"Link": '</v2/a/tags/list?n=1000>; rel="next"'})
    assert asked(fake).tags("a") == ("a", "b")
    assert len(fake.asked) == 1


@pytest.mark.sockets
@pytest.mark.parametrize("body", [b"[" * 10_000, b'{"tags": [1]}', b'{"tags": "abc"}', b"[]", b"\xff"])
def test_a_list_that_is_none_is_told(fake, body):
    fake.page = lambda _number: (body, {})
    with pytest.raises(RegistryError, match="gives no list of tags"):
        asked(fake).tags("a")


@pytest.mark.sockets
@pytest.mark.parametrize(
    "data",
    [b'{"layers":' * 10_000, b'{"layers": ' + b"[" * 10_000, b'{"layers": "x"}', b'{"layers": [{"digest": "foo:1"}]}',
     b'{"layers": [{"digest": "shake_128:1"}]}', b'{"layers": [{"digest": "../../x"}]}', b"\xff"],
)  # fmt: skip
def test_a_hostile_manifest_is_an_error_of_ours(fake, data):
    fake.manifest("a", data)
    with pytest.raises(RegistryError) as caught:
        asked(fake).get_manifest("a", "t").layers()
    assert caught.value.slug == "bad-manifest"


@pytest.mark.sockets
def test_a_layer_of_no_size_brings_no_byte(fake, tmp_path):
    big = b"x" * 100_000
    registry = asked(fake)
    blob = registry.put_blob("a", big)
    described = {"digest": blob.digest, "size": 0}
    manifest = Manifest(media_type=OCI_MANIFEST, data=json.dumps({"config": described, "layers": []}).encode())
    with pytest.raises(RegistryError) as caught:
        lay_out(registry, "a", manifest, tmp_path / "image.tar")
    assert caught.value.slug == "blob-size"


def test_a_size_that_is_none_counts_as_nothing():
    assert [descriptor_from({"digest": D, "size": size}).size for size in (True, -1, "1", 2**70)] == [0, 0, 0, 2**70]


def trickle(handler, head: bytes, each: bytes, pause: float = 0.05) -> None:
    handler.wfile.write(head)
    for _ in itertools.count():
        try:
            handler.wfile.write(each)
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(pause)


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("head", "each"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1;ext=", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-T: 1\r\n"),
    ],
    ids=["head", "chunk size", "trailers"],
)
def test_no_part_of_an_answer_is_without_end(fake, monkeypatch, head, each):
    """Each byte comes in time, so that no silence is ever too long."""
    from fake_registry import Handler

    monkeypatch.setattr(Handler, "do_GET", lambda self: trickle(self, head, each))
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        asked(fake, silence_s=0.3).get_manifest("a", "t")
    assert caught.value.slug == "registry-slow"
    assert time.monotonic() - began < 5


@pytest.mark.sockets
def test_an_endless_reason_is_cut(fake, monkeypatch):
    from fake_registry import Handler

    def endless(self):
        self.send_response(418)
        self.end_headers()
        trickle(self, b"", b"no " * 10_000, pause=0)

    monkeypatch.setattr(Handler, "do_GET", endless)
    with pytest.raises(RegistryError) as caught:
        asked(fake).ping()
    assert caught.value.slug == "registry-refused"
    assert len(caught.value.message) < 1000


# -- files that a person names -----------------------------------------------------------------------


def test_a_pipe_is_no_archive_key_or_recipe(tmp_path):
    """Opening one would wait for a writer for ever."""
    from orchestrator.definitions.yaml import read_document
    from orchestrator.images.bundle.read import checked

    pipe = tmp_path / "x.yaml"
    os.mkfifo(pipe)
    with pytest.raises(StepFailed, match="no plain file"), checked(pipe):
        pass
    with pytest.raises(UsageError, match="no plain file"):
        load_verifier(pipe)
    with pytest.raises(DefinitionError, match="no plain file"):
        read_document(pipe)
    with pytest.raises(DefinitionError, match="no plain file"):
        read_document("/dev/zero")
