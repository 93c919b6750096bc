"""`mlorch images lock` against a package index that means harm: real pip, and a server that does as it likes."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import AssetError
from orchestrator.host.site import discover
from orchestrator.packages import wheels
from orchestrator.packages.wheels import python_pins

AMD64 = "linux/amd64"
FILE = "evil-1.0-py3-none-any.whl"


def wheel(name: str = "evil", *more: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr("evil-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("evil-1.0.dist-info/RECORD", "")
        for each in more:
            archive.writestr(each, "x")
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def index(data: bytes, fragment: str = "", *, endless: str = ""):
    """An index with one file; ``endless`` is where it never stops: in its ``page`` or in the ``file``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = self.path.startswith("/simple/")
            body = f'<a href="/{FILE}#{fragment}">x</a>'.encode() if page else data
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)
            while endless == ("page" if page else "file"):
                try:
                    self.wfile.write(b'<a href="x">' * 50_000)
                except OSError:
                    return

        def log_message(self, *_):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://me:secretword@127.0.0.1:{listening.server_port}/simple"
    finally:
        listening.shutdown()
        listening.server_close()


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """What pip and mlorch make of an index."""
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")

    def lock(url: str):
        monkeypatch.setenv("PIP_INDEX_URL", url)
        return python_pins(["evil==1.0"], AMD64, "3.11", site=discover(dict(os.environ), Path("/")))

    return lock


@pytest.mark.sockets
@pytest.mark.processes
@pytest.mark.parametrize(
    ("data", "fragment", "endless", "slug", "words"),
    [
        (wheel(), f"sha256={'0' * 64}", "", "pip-failed", "Expected sha256"),
        (wheel(), "", "page", "pip-failed", "MemoryError"),
        (wheel(), "", "file", "pip-failed", "File too large"),
        (wheel("other"), "", "", "bad-index", "other distributions"),
        (wheel(), f"md5={hashlib.md5(wheel()).hexdigest()}", "", "bad-index", "no sha256"),
    ],
    ids=["another file than hashed", "endless page", "endless file", "renamed", "md5 alone"],
)
def test_an_index_that_means_harm_is_refused_by_name_in_bounded_time(
    locked, tmp_path, monkeypatch, data, fragment, endless, slug, words
):
    bounded = wheels._BOUNDED_PIP.replace("4 << 30", "300 << 20").replace("32 << 30", "64 << 20")
    monkeypatch.setattr(wheels, "_BOUNDED_PIP", bounded)
    with index(data, fragment, endless=endless) as url, pytest.raises(AssetError) as caught:
        locked(url)
    assert caught.value.slug == slug
    assert words in caught.value.message + caught.value.detail
    assert "evil" in caught.value.message
    assert url.replace("me:secretword@", "") in caught.value.message
    assert "secretword" not in caught.value.message + caught.value.hint + caught.value.detail
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


@pytest.mark.sockets
@pytest.mark.processes
def test_a_wheel_with_names_that_lead_elsewhere_is_pinned_by_its_hash_and_unpacked_by_nobody(locked, tmp_path):
    """It is a container without rights that installs it, and pip refuses it there."""
    data = wheel("evil", "../../../../../../../../../../sprung", f"{tmp_path}/sprung")
    with index(data) as url:
        (pin,) = locked(url)
    assert pin.sha256 == (sha256(data),)
    assert not list(tmp_path.rglob("*sprung*"))


def report(**changes) -> str:
    item = {
        "metadata": {"name": "evil", "version": "1.0"},
        "download_info": {"archive_info": {"hashes": {"sha256": "a" * 64}}},
    }
    return json.dumps({"install": [{**item, **changes}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (report(metadata={"name": "e\nRUN x", "version": "1.0"}), "no name and version"),
        (report(metadata={"name": "evil", "version": "1.0\x1b[2J --index-url=http://x"}), "no name and version"),
        (report(download_info={"archive_info": {"hashes": {"sha256": "A"}}}), "no sha256"),
        (report(download_info={"archive_info": {"hash": "md5=1"}}), "no sha256"),
        (report(download_info={"vcs_info": {}}), "archive_info"),
        (report(is_yanked=True), "withdrawn"),
        ("[" * 100_000, "levels"),
        ("[]", "TypeError"),
        ('{"install": [1]}', "TypeError"),
    ],
)
def test_what_cannot_stand_in_a_lock_is_refused(text, words):
    with pytest.raises(AssetError) as caught:
        wheels._wheels(text, "http://i/simple")
    assert caught.value.slug == "bad-index"
    assert "http://i/simple" in caught.value.message
    assert words in caught.value.message
    assert caught.value.message.isprintable()
