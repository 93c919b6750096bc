"""A registry of a few lines for tests of its client: what it holds, and how it misbehaves."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from orchestrator.host.site import discover
from orchestrator.http.client import Client
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.manifests import OCI_INDEX, OCI_MANIFEST, Descriptor, digest_of, index_of

D = f"sha256:{'a' * 64}"


def docker_config(folder, **document):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(document))
    return {"HOME": str(folder), "DOCKER_CONFIG": str(folder)}


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass
class Fake:
    """A registry of a dictionary: what it holds, what it was asked, how it misbehaves."""

    host: str = ""
    manifests: dict = field(default_factory=dict)
    blobs: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    trouble: list = field(default_factory=list)
    """Statuses (or ``(status, body)``, or ``hang``) that come before good answers."""
    guard: str = ""
    realm: str = ""
    referrers_api: bool = False
    lies: bool = False
    """It says that it keeps what has a subject, and has nothing to ask for it (405)."""
    location: str = ""
    """Where an upload goes on."""
    page: object = None
    """Gives the answer to a list of tags, by its number."""

    def about(self, digest):
        """What has a manifest as its subject."""
        for media_type, data in dict.fromkeys(self.manifests.values()):
            found = json.loads(data)
            if (found.get("subject") or {}).get("digest") == digest:
                kind = found.get("artifactType", "")
                yield Descriptor(media_type=media_type, digest=digest_of(data), size=len(data), artifact_type=kind)

    def manifest(self, repository, data, media_type=OCI_MANIFEST, tag="t"):
        self.manifests[f"{repository}/{tag}"] = self.manifests[f"{repository}/{digest_of(data)}"] = (media_type, data)
        return digest_of(data)


class Handler(http.server.BaseHTTPRequestHandler):
    fake: Fake

    def log_message(self, *_):
        pass

    def answer(self, status=200, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refused(self) -> bool:
        fake = self.fake
        if fake.trouble:
            what = fake.trouble.pop(0)
            if what == "hang":
                time.sleep(2)
                return True
            status, body = what if isinstance(what, tuple) else (what, "{}")
            self.answer(status, body.encode())
            return True
        if fake.guard and self.headers.get("Authorization") != fake.guard:
            challenge = f'Bearer realm="{fake.realm}",service="s",scope="repository:a:pull"' if fake.realm else "Basic"
            self.answer(401, b"{}", WWW_Authenticate=challenge + ' realm="x"' * (not fake.realm))
            return True
        return False

    def do_GET(self):
        fake, address = self.fake, urlsplit(self.path)
        fake.asked.append(f"{self.command} {self.path}")
        if address.path == "/token":
            fake.asked.append(self.headers.get("Authorization", ""))
            assert parse_qs(address.query)["scope"] == ["repository:a:pull"]
            self.answer(200, json.dumps({"token": "T"}).encode())
        elif not self.refused():
            self.found(address.path.removeprefix("/v2/"), address.query)

    do_HEAD = do_GET  # noqa: N815  # as the base class calls it

    def found(self, path, query):
        fake = self.fake
        repository, _, rest = path.partition("/")
        kind, _, name = rest.partition("/")
        if kind == "manifests" and f"{repository}/{name}" in fake.manifests:
            media_type, data = fake.manifests[f"{repository}/{name}"]
            self.answer(200, data, Content_Type=media_type, Docker_Content_Digest=digest_of(data))
        elif kind == "blobs" and name in fake.blobs:
            self.answer(200, fake.blobs[name])
        elif kind == "tags" and fake.page is not None:
            body, headers = fake.page(len(fake.asked))
            self.answer(200, body, **headers)
        elif kind == "tags":
            last = parse_qs(query).get("last")
            more = {} if last else {"Link": f'</v2/{repository}/tags/list?n=1&last=b>; rel="next"'}
            self.answer(200, json.dumps({"tags": ["a"] if last else ["b"]}).encode(), **more)
        elif kind == "referrers" and fake.lies:
            self.answer(405, b"{}")
        elif kind == "referrers" and fake.referrers_api:
            self.answer(200, index_of(tuple(fake.about(name))).data, Content_Type=OCI_INDEX)
        elif path == "":
            self.answer(200, b"{}")
        else:
            self.answer(404, b'{"errors": [{"code": "X", "message": "unknown to us"}]}')

    def do_POST(self):
        self.fake.asked.append(f"POST {self.path}")
        if not self.refused():
            self.answer(202, Location=self.fake.location or f"{self.path}id?state=1")

    def do_DELETE(self):
        self.fake.asked.append(f"DELETE {self.path}")
        self.answer(204)

    def do_PUT(self):
        fake, address = self.fake, urlsplit(self.path)
        fake.asked.append(f"PUT {self.path}")
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.refused():
            return
        repository, _, name = address.path.removeprefix("/v2/").partition("/")
        if name.startswith("blobs"):
            fake.blobs[parse_qs(address.query)["digest"][0]] = data
            self.answer(201)
            return
        tag = name.removeprefix("manifests/")
        fake.manifest(repository, data, self.headers["Content-Type"], tag)
        more = {"OCI_Subject": D} if (fake.referrers_api or fake.lies) and b"subject" in data else {}
        self.answer(201, Docker_Content_Digest=digest_of(data), **more)


@contextlib.contextmanager
def serving_registry():
    """A fake that listens on this machine."""
    found = Fake()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"fake": found}))
    server.handle_error = lambda *_: None  # a client that hangs up
    found.host = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def asked(fake, env=None, silence_s=5.0) -> Registry:
    return Registry.at(fake.host, client_of(env or {"HOME": "/nonexistent"}), silence_s)


def client_of(env) -> Client:
    return Client(site=discover(env))
