"""Small Debian packages and a mirror of them, made in memory for tests."""

import hashlib
import http.server
import io
import tarfile
import threading
from contextlib import contextmanager
from pathlib import Path

from orchestrator.facts.build import DebPin
from orchestrator.host.site import discover
from orchestrator.http.client import Client
from orchestrator.http.failures import Retries


def tar(members, compression="gz"):
    """A tar of (name, content) where content is bytes, a mode for a folder, or a prepared TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            if isinstance(content, int):
                info.type, info.mode = tarfile.DIRTYPE, content
                archive.addfile(info)
            else:
                info.size, info.mode = len(content), 0o644
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def node(kind, target="", mode=0o777, uid=1000):
    """A member that is no plain file."""
    info = tarfile.TarInfo("later")
    info.type, info.linkname, info.mode, info.uid = kind, target, mode, uid
    return info


def deb(name, members, version="1.0", compression="xz"):
    """The bytes of a package with these files."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\nDescription: test\n"
    parts = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", tar([("./control", control.encode())])),
        (f"data.tar.{compression}", tar(members, compression)),
    ]
    out = b"!<arch>\n"
    for part, data in parts:
        out += f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        out += b"\n" if len(data) % 2 else b""
    return out


class Shelf:
    """Packages in a folder that serves as an archive, and their pins."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, name, members, archive="main", **kwargs) -> DebPin:
        data = deb(name, members, **kwargs)
        path = f"pool/main/{name[0]}/{name}/{name}_1.0_amd64.deb"
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return DebPin(name=name, version="1.0", archive=archive, path=path, sha256=digest, size=len(data))

    @property
    def mirrors(self):
        return {"main": (self.root.as_uri(),), "security": ()}


def quick_client(**env):
    """A client that does not wait long between attempts, at a site of this environment."""
    return Client(site=discover(env, Path("/nonexistent")), retries=Retries(first_pause_s=0.001, longest_pause_s=0.01))


@contextmanager
def server(answer):
    """An HTTP server on this machine; ``answer(path, count)`` gives (status, body) for the count-th request."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            status, body, *rest = answer(self.path, sum(path == self.path for path, _ in asked))
            self.send_response(status)
            self.send_header("Content-Length", str(rest[0] if rest else len(body)))
            self.send_header("Content-Type", rest[1] if len(rest) > 1 else "application/octet-stream")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
