# ruff: noqa: E501 (good inputs, one a line)
"""What is fuzzed of images: bundles, layouts, and the answers of registries and engines."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from fuzz_target import Target, folder

from orchestrator.errors import MlorchError


def _bundles() -> list[bytes]:
    import bundle_parts

    with tempfile.TemporaryDirectory() as text:
        return [bundle_parts.bundle(Path(text)).read_bytes()]


def _bundle(data: bytes) -> None:
    from orchestrator.images.bundle.read import checked

    path = folder() / "bundle.tar"
    path.write_bytes(data)
    with checked(path):
        pass


def _members() -> list[bytes]:
    """The small files of a bundle and of its layout, each in turn, as a JSON object of texts."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(_bundles()[0])) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            data = stream.read() if stream is not None else b""
            if data.startswith((b"{", b"[")):
                found.append(member.name.encode() + b"\n" + data)
    return found


@cache
def _good_bundle() -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(_bundles()[0])) as tar:
        return {member.name: stream.read() for member in tar if (stream := tar.extractfile(member)) is not None}


def _documents(data: bytes) -> None:
    """A bundle whose one JSON file is another: the tar around it is whole."""
    from orchestrator.images.bundle.read import checked

    name, _, content = data.partition(b"\n")
    files = {**_good_bundle(), name.decode("ascii", "replace").replace("\0", ""): content}
    path = folder() / "documents.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, text in files.items():
            info = tarfile.TarInfo(member)
            info.size, info.mode = len(text), 0o644
            try:
                tar.addfile(info, io.BytesIO(text))
            except ValueError:  # a name that this form of tar cannot hold
                return
    with checked(path):
        pass


_MANIFEST = {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "1" * 64, "size": 7},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + "2" * 64, "size": 9}],
    "manifests": [{"mediaType": "x", "digest": "sha256:" + "3" * 64, "size": 1, "platform": {"os": "linux", "architecture": "arm64"}}],
    "annotations": {"a": "b"}, "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "4" * 64]},
}  # fmt: skip


def _answers() -> list[bytes]:
    heads = [
        b"200\nContent-Type: application/vnd.oci.image.manifest.v1+json\nDocker-Content-Digest: sha256:" + b"5" * 64,
        b'401\nWWW-Authenticate: Bearer realm="https://auth.test/token",service="s",scope="repository:a:pull"',
        b"429\nRetry-After: 3",
        b'200\nLink: </v2/_catalog?n=1&last=a>; rel="next"\nContent-Length: 12',
        b"307\nLocation: http://other.test/v2/a/blobs/uploads/1?x=y",
        b"403",
    ]
    bodies = [
        json.dumps(_MANIFEST).encode(), b'{"token": "abc", "expires_in": 60}', b'{"tags": ["a", "b"], "repositories": []}',
        b'{"errors": [{"code": "DENIED", "message": "quota", "detail": {}}]}',
    ]  # fmt: skip
    return [head + b"\n\n" + body for head in heads for body in bodies]


def _registry(data: bytes) -> None:
    """A server that gives the same answer to whatever it is asked."""
    from dataclasses import replace

    from orchestrator.host.site import SiteConfig
    from orchestrator.http.client import Client
    from orchestrator.http.failures import Retries
    from orchestrator.images.registry.client import Registry

    asked: list[str] = []

    class Given(Client):
        """The real client, but for the wire. A list without end ends, as the limit of its pages is tested elsewhere."""

        def _exchange(self, method: str, url: str, *_: object) -> object:
            asked.append(url)
            return _response(method, url, data if len(asked) < 100 else b"500\n\n")

    digest = "sha256:" + "5" * 64
    for ask in (
        lambda registry: registry.ping(),
        lambda registry: registry.head_manifest("a", "t"),
        lambda registry: _looked_at(registry.get_manifest("a", "t")),
        lambda registry: registry.tags("a"),
        lambda registry: registry.referrers("a", digest),
        lambda registry: registry.read_blob("a", digest),
    ):
        registry = Registry.at("registry.test", Given(site=SiteConfig()))
        registry.transport.client = replace(registry.transport.client, retries=Retries(attempts=1))
        try:
            ask(registry)
        except MlorchError as error:
            str(error)


def _response(method: str, url: str, data: bytes) -> object:
    """An answer as `requests` has it: a status, lines of headers, an empty line, the body."""
    from requests import PreparedRequest, Response
    from urllib3 import HTTPResponse

    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    found, request = Response(), PreparedRequest()
    request.method = method
    found.request = request
    found.url = url
    found.status_code = int(first) if len(first) == 3 and first.isascii() and first.isdigit() else 200
    found.headers.update({name.strip(): value.strip() for line in lines for name, _, value in [line.partition(":")]})
    found.raw = HTTPResponse(
        body=io.BytesIO(b"" if method == "HEAD" else body), status=found.status_code, preload_content=False
    )
    return found


def _looked_at(manifest: object) -> None:
    from orchestrator.images.registry.manifests import config_from

    for name in ("document", "layers", "config", "manifests", "is_index"):
        getattr(manifest, name)
    manifest.member("linux/arm64")  # type: ignore[attr-defined]
    config_from(manifest.document)  # type: ignore[attr-defined]


def _engine(data: bytes) -> None:
    """Docker's and podman's answers."""
    from orchestrator.engines.docker.lookup import Lookup
    from orchestrator.engines.inventory import understood
    from orchestrator.engines.podman import cli

    lookup = Lookup("unix:///fuzz", lambda _method, _path: (200, data))
    for ask in (
        lambda: lookup.images(["a:1"]),
        lambda: lookup.labelled("x"),
        lambda: lookup.labels_in("a"),
        lambda: lookup.containers("x"),
        lambda: _docker_facts(lookup),
        lambda: _podman_facts(data),
    ):
        try:
            ask()
        except MlorchError as error:
            str(error)
    assert understood is not None
    assert cli is not None


def _docker_facts(lookup: object) -> None:
    from orchestrator.engines.deployed import deployed
    from orchestrator.engines.docker.facts import facts_of
    from orchestrator.engines.inventory import understood

    document = lookup.document("/info")  # type: ignore[attr-defined]
    with understood("docker"):
        facts_of(document, document, "unix:///fuzz", "0.13.1", private=False)
        deployed(document)


def _podman_facts(data: bytes) -> None:
    from orchestrator.engines.inventory import container_facts, image_facts, understood
    from orchestrator.engines.podman.cli import complaint, facts_of

    text = data.decode("utf-8", "replace")
    complaint(text)
    with understood("podman"):
        found = json.loads(text)
        facts_of(found, "/p", private=False)
        container_facts(found)
        image_facts("a", found, "")


def _engine_answers() -> list[bytes]:
    found = [
        {"Id": "1", "Names": ["/a"], "State": {"Running": True}, "Labels": {"org.mlorch.run": "r"}, "Config": {"Labels": {"a": "b"}}},
        [{"Id": "1", "RepoTags": ["a:1"], "Size": 3, "Labels": None, "Names": ["/a"], "State": "running"}],
        {"Id": "sha256:1", "RepoDigests": ["a@sha256:2"], "Size": 3, "RootFS": {"Layers": ["sha256:4"]}, "Created": "x"},
        {"NCPU": 2, "MemTotal": 9, "DriverStatus": [["driver-type", "x"]], "Runtimes": {"runc": {}}, "SecurityOptions": ["name=rootless"],
         "Components": [{"Name": "Engine"}], "Version": "26.1.5", "ApiVersion": "1.45", "CDISpecDirs": ["/etc/cdi"], "DiscoveredDevices": None},
        {"host": {"cpus": 2, "security": {"rootless": True}, "memTotal": 4}, "store": {"graphRoot": "/x"}, "version": {"Version": "5.4.2"}},
    ]  # fmt: skip
    return [json.dumps(one).encode() for one in found]


TARGETS = (
    Target("bundle", _bundles, _bundle, (b"ustar", b"././@LongLink", b"path=", b"0000644")),
    Target(
        "layout",
        _members,
        _documents,
        (b'"digest": ', b'"size": ', b'"layers": ', b'"manifests": ', b"index.json\n"),
    ),
    Target("registry", _answers, _registry, (b"WWW-Authenticate: ", b"Link: <", b"Location: ", b'"errors": ', b"\n\n")),
    Target("engine", _engine_answers, _engine, (b'"Labels": ', b'"RepoTags": ', b'"State": ', b'"Names": ')),
)
