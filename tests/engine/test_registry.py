"""Published on one engine, pulled by digest on another with an empty store; and everything that may go wrong.

One registry and one second engine serve all tests of this file; images have a megabyte.
"""

from __future__ import annotations

import http.server
import json
import os
import threading
from dataclasses import replace

import pytest
from docker_parts import busybox, spec
from registry_parts import (
    another_engine,
    builder,
    certificates,
    client_of,
    delete_manifest,
    discard,
    image_sources,
    publisher,
    registry,
    tiny_plan,
)
from test_private_engine import needs_host

from orchestrator.engines.docker import transfer as docker_transfer
from orchestrator.errors import EngineError, RegistryError, StepFailed
from orchestrator.facts.build_settings import BuildSettings
from orchestrator.images.publish import Published
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.manifests import OCI_MANIFEST, Manifest, digest_of

pytestmark = [pytest.mark.engine, needs_host]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box") / "busybox"
    path.write_bytes(busybox())
    path.chmod(0o755)  # as the plan says: a build refuses a file that is otherwise
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry") / "plain") as running:
        yield running


@pytest.fixture(scope="module")
def second(_engine_for_all):
    with another_engine() as found:
        yield found


@pytest.fixture
def published(engine, plain, box, tmp_path):
    """A plan built on the first engine and pushed; its images leave the first engine afterwards."""
    plan = tiny_plan("reg", box)
    builder(engine, tmp_path / "a").build([plan])
    pushed = publisher(engine, plain).push(plan.layers)
    yield plan, pushed
    discard(engine, plan)


def test_pulled_by_digest_and_run_with_nothing_built(engine, second, plain, published, tmp_path):
    plan, pushed = published
    sent = plain.size()
    assert [one.state for one in pushed] == ["pushed", "pushed"]
    assert not any(plain.host in name for name in (facts.image for facts in engine.images("org.mlorch.layer")))
    assert [one.state for one in publisher(engine, plain).push(plan.layers)] == ["there", "there"]
    assert plain.size() == sent
    events = []
    outcomes = builder(
        second.engine, tmp_path / "b", image_sources=image_sources(plain), may_build=False,
        on_event=lambda _step, event: events.append(event),
    ).build([plan])  # fmt: skip
    assert [(one.state, one.digest) for one in outcomes] == [("hit", None), ("pulled", pushed[1].image.digest)]
    assert second.names() == [plan.image]
    assert events
    lines = []
    second.engine.run(spec(plan.image, "/bin/busybox cat /note"), lines.append)
    assert lines == [plan.layers[1].files[0].text]
    again = builder(second.engine, tmp_path / "b", image_sources=image_sources(plain)).build([plan])
    assert [one.state for one in again] == ["hit", "hit"]
    discard(second.engine, plan)


def test_only_what_no_registry_has_is_built(engine, second, plain, published, box, tmp_path):
    plan, _ = published
    base = plan.layers[0]
    other = tiny_plan("reg2", box)
    above = replace(other.layers[1], parent=base.image, dockerfile=f"FROM {base.image}\nCOPY note /other\n")
    longer = replace(plan, layers=(base, above))
    outcomes = builder(second.engine, tmp_path, image_sources=image_sources(plain)).build([longer])
    assert [one.state for one in outcomes] == ["pulled", "built"]
    discard(second.engine, longer)


def test_a_missing_image_where_nothing_may_be_built(second, plain, box, tmp_path):
    plan = tiny_plan("nowhere", box)
    with pytest.raises(StepFailed) as caught:
        builder(second.engine, tmp_path, image_sources=image_sources(plain), may_build=False).build([plan])
    assert caught.value.slug == "image-missing"
    assert second.names() == []


# -- tampering -----------------------------------------------------------------------------------------


def refused(second, plan, tmp_path, **more) -> RegistryError:
    """The error of a pull that must fail, after which the engine has no image."""
    with pytest.raises(RegistryError) as caught:
        builder(second.engine, tmp_path, **more).build([plan])
    assert second.names() == []
    return caught.value


def listed(pushed) -> dict[str, Published]:
    return {one.image.content_id: one.image for one in pushed}


def test_another_image_under_the_tag_is_refused(engine, second, plain, published, box, tmp_path):
    plan, pushed = published
    evil = tiny_plan("evil", box)
    builder(engine, tmp_path / "a").build([evil])
    publisher(engine, plain).push(evil.layers)
    discard(engine, evil)
    client, top, other = Registry.at(plain.host), plan.layers[1], evil.layers[1]
    repository = f"team/mlorch/{top.name}"
    manifest = client.get_manifest(f"team/mlorch/{other.name}", other.content_id)
    for blob in (manifest.config(), *manifest.layers()):
        client.put_blob(repository, client.read_blob(f"team/mlorch/{other.name}", blob.digest, 8 << 20))
    client.put_manifest(repository, manifest, tag=top.content_id)
    error = refused(second, plan, tmp_path, image_sources=image_sources(plain))
    assert error.slug == "image-mismatch"
    assert "org.mlorch.content-id" in error.message or "org.mlorch.layer" in error.message
    # A list holds the digest: the tag may say what it likes.
    found = builder(second.engine, tmp_path, image_sources=image_sources(plain, published=listed(pushed))).build([plan])
    assert found[1].digest == pushed[1].image.digest
    discard(second.engine, plan)
    delete_manifest(client, repository, pushed[1].image.digest)
    error = refused(second, plan, tmp_path, image_sources=image_sources(plain, published=listed(pushed)))
    assert error.slug == "digest-mismatch"
    with pytest.raises(RegistryError, match=r"org\.mlorch"):
        publisher(engine, plain).push(plan.layers)


def test_a_published_image_that_is_gone(second, plain, published, tmp_path):
    plan, pushed = published
    bound = {plan.layers[1].content_id: replace(pushed[1].image, digest=f"sha256:{'0' * 64}", registry="127.0.0.1:1")}
    one = image_sources(plain, published=bound)
    assert refused(second, plan, tmp_path, image_sources=one).slug in {"registry-down", "digest-mismatch"}
    bound = {plan.layers[1].content_id: replace(pushed[1].image, layer="x", digest=f"sha256:{'0' * 64}")}
    delete_manifest(Registry.at(plain.host), f"team/mlorch/{plan.layers[1].name}", pushed[1].image.digest)
    assert (
        refused(second, plan, tmp_path, image_sources=image_sources(plain, published=bound)).slug == "digest-not-found"
    )


def test_an_image_of_other_bytes_than_the_list_says_is_replaced(second, engine, plain, published, tmp_path):
    plan, pushed = published
    builder(second.engine, tmp_path).build([plan])
    own = second.engine.image(plan.image).digest
    outcomes = builder(second.engine, tmp_path, image_sources=image_sources(plain, published=listed(pushed))).build(
        [plan]
    )
    if own != pushed[1].image.digest:
        assert outcomes[1].state == "pulled"
    assert second.engine.image(plan.image).digest == pushed[1].image.digest
    discard(second.engine, plan)


def test_changed_bytes_in_the_registrys_storage_are_refused(second, plain, published, tmp_path):
    plan, pushed = published
    client = Registry.at(plain.host)
    manifest = client.get_manifest(f"team/mlorch/{plan.layers[1].name}", pushed[1].image.digest)
    layer = manifest.layers()[-1]
    for digest, change in (
        (pushed[1].image.digest, lambda data: data.replace(b'"size"', b'"Size"', 1)),
        (manifest.config().digest, lambda data: data.replace(b"org.mlorch.content-id", b"org.mlorch.content-ix")),
        (layer.digest, lambda data: data[:-9] + bytes(9)),
    ):
        place = plain.blob(digest)
        was = place.read_bytes()
        place.write_bytes(change(was))
        assert refused(second, plan, tmp_path, image_sources=image_sources(plain)).slug == "digest-mismatch"
        place.write_bytes(was)
    assert builder(second.engine, tmp_path, image_sources=image_sources(plain)).build([plan])[1].state == "pulled"
    discard(second.engine, plan)


# -- registries that do not work -------------------------------------------------------------------------


def test_a_registry_that_is_down(second, plain, published, tmp_path):
    plan, _ = published
    said = []
    plain.stop()
    try:
        assert refused(second, plan, tmp_path, image_sources=image_sources(plain, strict=True)).slug == "registry-down"
        outcomes = builder(second.engine, tmp_path, image_sources=image_sources(plain, warn=said.append)).build([plan])
    finally:
        plain.start()
    assert [one.state for one in outcomes] == ["built", "built"]
    assert len(said) == 1
    assert "registry-down" in said[0]
    discard(second.engine, plan)


class Hanging(http.server.BaseHTTPRequestHandler):
    """Hands on what a real registry says, but of layers only the first bytes; then nothing."""

    upstream = ""
    held = threading.Event()

    def do_GET(self):
        import requests

        answer = requests.request(
            self.command,
            f"http://{self.upstream}{self.path}",
            timeout=10,
            headers={"Accept": self.headers.get("Accept", "*/*")},
        )
        big = "/blobs/" in self.path and self.command == "GET" and len(answer.content) > 1 << 16
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Docker-Content-Digest", "Content-Length"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.content[:1000] if big else answer.content)
            if big:
                self.wfile.flush()
                self.held.wait(30)

    do_HEAD = do_GET  # noqa: N815  # as the base class calls it

    def log_message(self, *_):
        pass


@pytest.fixture
def hanging(plain, tmp_path):
    import ssl

    ca = certificates(tmp_path / "tls", "127.0.0.1")
    Hanging.upstream, Hanging.held = plain.host, threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ca.parent / "server.crt", ca.parent / "server.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield replace(plain, host=f"127.0.0.1:{server.server_port}", ca=ca)
    Hanging.held.set()
    server.shutdown()
    server.server_close()


def test_a_pull_that_stalls_is_given_up(second, hanging, published, tmp_path, monkeypatch):
    plan, _ = published
    monkeypatch.setattr(docker_transfer, "STALLED_S", 2.0)
    assert (
        refused(
            second, plan, tmp_path, image_sources=image_sources(hanging, env={"MLORCH_CA_BUNDLE": str(hanging.ca)})
        ).slug
        == "registry-slow"
    )


@pytest.fixture(scope="module")
def guarded(second, tmp_path_factory):
    """A registry with TLS and a password on the second engine's bridge; and an engine that trusts its CA."""
    folder = tmp_path_factory.mktemp("guarded")
    with registry(folder / "registry", tls=True, login=True, address=second.address) as running:
        bundle = folder / "bundle.pem"
        bundle.write_text(running.ca.read_text())
        with another_engine(ca=bundle) as trusting:
            yield running, trusting


def test_tls_and_a_password(engine, second, guarded, box, tmp_path):
    running, trusting = guarded
    plan = tiny_plan("tls", box)
    home = {"HOME": str(tmp_path)}
    stranger = {**home, "DOCKER_CONFIG": str(tmp_path / "none")}
    with pytest.raises(RegistryError) as caught:
        Registry.at(running.host, client_of(stranger)).ping()
    assert caught.value.slug == "registry-ca"
    assert f"/etc/docker/certs.d/{running.host}/ca.crt" in caught.value.hint
    believing = {**stranger, "MLORCH_CA_BUNDLE": str(running.ca)}
    with pytest.raises(RegistryError) as caught:
        Registry.at(running.host, client_of(believing)).ping()
    assert caught.value.slug == "registry-auth"
    wrong = {**believing, "DOCKER_CONFIG": str(running.login(tmp_path / "wrong", "no"))}
    with pytest.raises(RegistryError) as caught:
        Registry.at(running.host, client_of(wrong)).ping()
    assert caught.value.slug == "registry-auth"
    right = {**believing, "DOCKER_CONFIG": str(running.login(tmp_path / "right"))}
    builder(trusting.engine, tmp_path / "a").build([plan])
    pushed = publisher(trusting.engine, running, env=right).push(plan.layers)
    assert [one.state for one in pushed] == ["pushed", "pushed"]
    # An engine that does not know the CA says so, and holds nothing.
    error = refused(second, plan, tmp_path, image_sources=image_sources(running, env=right))
    assert (error.slug, "reported by the engine" in error.message) == ("registry-ca", True)
    discard(trusting.engine, plan)
    outcomes = builder(
        trusting.engine, tmp_path / "b", image_sources=image_sources(running, env=right), may_build=False
    ).build([plan])
    assert outcomes[1].state == "pulled"
    discard(trusting.engine, plan)
    with pytest.raises(RegistryError) as caught:
        builder(trusting.engine, tmp_path / "c", image_sources=image_sources(running, env=wrong, strict=True)).build(
            [plan]
        )
    assert caught.value.slug == "registry-auth"


def test_a_disk_that_fills_while_pulling(plain, tmp_path):
    """The layer is made here: random bytes, more than the engine's whole disk."""
    with another_engine(size="48m") as small:
        plan = _large(plain, tmp_path)
        with pytest.raises(EngineError) as caught:
            builder(small.engine, tmp_path, image_sources=image_sources(plain), may_build=False).build([plan])
        assert caught.value.slug == "engine-disk-full"
        assert small.engine.image(plan.image) is None


def _large(plain, tmp_path):
    """An image of 64 MiB of noise, straight into the registry."""
    import io
    import tarfile

    from orchestrator.plan.build.layers import labels

    (tmp_path / "empty").write_bytes(b"")
    plan = tiny_plan("full", tmp_path / "empty")
    step = plan.layers[1]
    noise = io.BytesIO()
    with tarfile.open(fileobj=noise, mode="w") as tar:
        member = tarfile.TarInfo("noise")
        member.size = 64 << 20
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    client, repository = Registry.at(plain.host), f"team/mlorch/{step.name}"
    layer = client.put_blob(repository, noise.getvalue())
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Labels": labels(step)},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(noise.getvalue())]},
    }).encode()  # fmt: skip
    client.put_blob(repository, config)
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": layer.digest, "size": layer.size}],
    }  # fmt: skip
    made = Manifest(media_type=OCI_MANIFEST, data=json.dumps(manifest).encode())
    client.put_manifest(repository, made, tag=step.content_id)
    return plan


# -- several platforms, caches -----------------------------------------------------------------------------


def test_an_index_names_the_image_of_every_platform(engine, second, plain, box, tmp_path):
    plans = [tiny_plan("multi", box, platform=platform, mark="same") for platform in ("linux/amd64", "linux/arm64")]
    indexed = []
    for plan in plans:
        builder(engine, tmp_path / "a").build([plan])
        sender = publisher(engine, plain)
        pushed = sender.push(plan.layers)
        indexed.append(sender.index(plan, pushed[-1].image.digest, "latest"))
    assert [one.platforms for one in indexed] == [("linux/amd64",), ("linux/amd64", "linux/arm64")]
    index = Registry.at(plain.host).get_manifest("team/mlorch/t-multi", "latest")
    assert {one.platform: one.digest for one in index.manifests()} == {
        "linux/amd64": engine.image(plans[0].image).digest,
        "linux/arm64": engine.image(plans[1].image).digest,
    }
    facts = second.engine.pull(f"{plain.host}/team/mlorch/t-multi:latest", None, lambda _event: None)
    assert facts.labels["org.mlorch.platform"] == "linux/amd64"
    second.engine.remove_image(facts.image)
    # Other definitions: the image of the other platform is of something else, and leaves the name.
    changed = tiny_plan("multi", box, "ENV NEW=1", mark="same")
    builder(engine, tmp_path / "a").build([changed])
    sender = publisher(engine, plain)
    digest = sender.push(changed.layers)[-1].image.digest
    assert sender.index(changed, digest, "latest").platforms == ("linux/amd64",)
    discard(engine, *plans, changed)


def test_a_build_cache_in_a_registry_serves_another_engine(engine, second, plain, box, tmp_path):
    plan = tiny_plan("cache", box, 'RUN --network=none ["/bin/busybox", "sh", "-c", "echo made > /made"]')
    place = f"{plain.host}/team"
    builder(engine, tmp_path / "a", settings=BuildSettings(cache_to=place)).build([plan])
    publisher(engine, plain).push(plan.layers[:1])
    events = []
    outcomes = builder(
        second.engine, tmp_path / "b", settings=BuildSettings(cache_from=(place,)), image_sources=image_sources(plain),
        on_event=lambda _step, event: events.append(event),
    ).build([plan])  # fmt: skip
    assert [one.state for one in outcomes] == ["pulled", "built"]
    assert any(event.kind == "cached" and "echo made" in event.step for event in events)
    discard(engine, plan)
    discard(second.engine, plan)


# -- what is where, and what may go ---------------------------------------------------------------------------


def test_list_and_prune_by_the_command_line(mlorch, second, plain, published, box, tmp_path):
    plan, pushed = published
    builder(second.engine, tmp_path, image_sources=image_sources(plain)).build([plan])
    extra = tiny_plan("held", box)
    builder(second.engine, tmp_path).build([extra])
    second.engine.tag(plan.image, "somebody/tool:1")
    held = second.engine.sdk.create_container(extra.image, ["/bin/busybox", "true"])
    env = second.env(MLORCH_REGISTRIES=f"{plain.host}/team")

    def document(*arguments):
        done = mlorch("images", *arguments, "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    rows = document("list", "--unused")["images"]
    mine = {(row["where"], row["digest"]) for row in rows if row["content_id"] == plan.layers[1].content_id}
    assert mine == {(where, pushed[1].image.digest) for where in ("engine", f"{plain.host}/team")}
    shown = document("prune")
    assert {row["reference"] for row in shown["images"]} == {plan.image, *(step.image for step in extra.layers)}
    assert (shown["removed"], shown["bytes"] > 1 << 20) == (False, True)
    assert plan.image in second.names()
    done = document("prune", "--yes")
    assert {row["reference"]: row["state"] for row in done["images"]} == {
        plan.image: "removed",
        extra.image: "kept",
        extra.layers[0].image: "removed",
    }
    assert second.names() == [extra.image, "somebody/tool:1"]
    second.engine.sdk.remove_container(held)
    second.engine.remove_image("somebody/tool:1")
    discard(second.engine, extra)
    assert document("prune", "--yes")["images"] == []


# -- the older image store, in which an image's id is that of its configuration ---------------------------------


def test_an_engine_with_the_older_image_store(plain, box, tmp_path):
    with another_engine(old_store=True) as old:
        assert not old.engine.facts().containerd_store
        plan = tiny_plan("old", box)
        builder(old.engine, tmp_path / "a").build([plan])
        assert [one.state for one in publisher(old.engine, plain).push(plan.layers)] == ["pushed", "pushed"]
        pushed = publisher(old.engine, plain).push(plan.layers)
        assert [one.state for one in pushed] == ["there", "there"]
        discard(old.engine, plan)
        assert old.engine.sdk.images() == []
        found = image_sources(plain, published=listed(pushed))
        outcomes = builder(old.engine, tmp_path / "b", image_sources=found).build([plan])
        assert [one.state for one in outcomes] == ["hit", "pulled"]
        assert old.engine.image(plan.image).digest == pushed[1].image.digest
        assert builder(old.engine, tmp_path / "b", image_sources=found).build([plan])[1].state == "hit"
        old.engine.remove_image(plan.image)
        assert old.engine.sdk.images() == []
        with pytest.raises(EngineError) as caught:
            builder(old.engine, tmp_path / "c", settings=BuildSettings(cache_to=plain.host)).build([plan])
        assert caught.value.slug == "no-cache-export"
