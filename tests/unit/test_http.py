"""The HTTP client against servers of its own: redirects, patience, limits, files that come in pieces."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from orchestrator.host.site import SiteConfig
from orchestrator.http import client as module
from orchestrator.http.answer import Answer, Partial
from orchestrator.http.client import Client, Request, split_credentials, trust
from orchestrator.http.failures import HttpError, Limits, Retries

pytestmark = pytest.mark.sockets
DATA = bytes(range(256)) * 1000


@contextmanager
def server(handle):
    """A server on this machine, its address and its requests; ``handle(handler, count)`` answers the count-th one."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            size = int(self.headers.get("Content-Length", 0))
            asked.append((self.command, self.path, dict(self.headers), self.rfile.read(size)))
            handle(self, len(asked))

        do_POST = do_HEAD = do_GET  # noqa: N815  # as the base class calls them

        def log_message(self, *_):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()
        listening.server_close()


def answer(handler, status=200, body=b"", length=None, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    if length is not None:
        handler.close_connection = True


def client(*, proxies=None, **limits) -> Client:
    return Client(
        site=SiteConfig(proxies=proxies or {}),
        limits=Limits(**limits),
        retries=Retries(attempts=3, first_pause_s=0.001, longest_pause_s=0.01),
    )


def asked_patiently(url: str) -> Answer:
    """The answer with its whole body, tried again after passing trouble."""
    own = client()

    def once() -> Answer:
        answer = own.send(Request(url=url))
        answer.content  # noqa: B018 (a body that breaks off is tried again too)
        if answer.status != 200:
            raise answer.failure()
        return answer

    return own.patiently(once)


# -- redirects and credentials -----------------------------------------------------------------


def test_credentials_go_to_the_server_that_was_asked_and_to_no_other():
    with (
        server(lambda h, _: answer(h, body=b"found")) as (other, elsewhere),
        server(lambda h, _: answer(h, 302, Location="/here" if h.path == "/start" else f"{other}/there")) as (
            root,
            asked,
        ),
    ):
        got = client().send(Request(url=root.replace("//", "//me:pw@") + "/start", headers={"Authorization": "Own"}))
        assert got.content == b"found"
    assert [path for _, path, _, _ in asked] == ["/start", "/here"]
    assert [headers.get("Authorization") for _, _, headers, _ in asked] == ["Own", "Own"]
    assert "Authorization" not in elsewhere[0][2]
    assert "Cookie" not in elsewhere[0][2]


def test_a_server_gets_no_cookie_back():
    with server(lambda h, _: answer(h, Set_Cookie="a=b")) as (root, asked):
        own = client()
        for _ in range(2):
            own.send(Request(url=root)).close()
    assert all("Cookie" not in headers for _, _, headers, _ in asked)


def test_a_post_that_is_sent_on_keeps_its_body_or_becomes_a_get_as_the_status_says():
    def handle(handler, _count):
        status = {"/307": 307, "/303": 303}.get(handler.path)
        answer(handler, status or 200, **({"Location": "/end"} if status else {}))

    with server(handle) as (root, asked):
        for path in ("/307", "/303"):
            client().send(Request(url=root + path, method="POST", body=lambda: b"data")).close()
    assert [(method, body) for method, path, _, body in asked if path == "/end"] == [("POST", b"data"), ("GET", b"")]


def test_circles_end_and_a_redirect_that_is_not_followed_is_an_answer():
    with server(lambda h, _: answer(h, 302, Location="/again")) as (root, asked):
        with pytest.raises(HttpError, match="redirects more than"):
            client().send(Request(url=root))
        assert len(asked) == 11
        assert client().send(Request(url=root, follow=False)).status == 302


def test_from_tls_nobody_is_sent_on_to_a_plain_connection():
    with pytest.raises(HttpError) as caught:
        module._redirected("https://safe.example/x", "http://safe.example/x", {})
    assert caught.value.slug == "http-unsafe"
    kept = module._redirected("https://a.example/x", "https://a.example:444/", {"Authorization": "x", "Accept": "y"})
    assert kept == {"Accept": "y"}


def test_credentials_of_an_address_become_a_header():
    assert split_credentials("https://me:p%40w@h:1/x?y") == ("https://h:1/x?y", "Basic bWU6cEB3")
    assert split_credentials("https://h/x") == ("https://h/x", None)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http:///x", "http://a b/"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(HttpError) as caught:
        client().send(Request(url=url))
    assert caught.value.slug == "bad-url"


# -- patience ----------------------------------------------------------------------------------


def test_a_server_says_how_long_to_wait_and_is_heard():
    heard = []

    def handle(handler, count):
        answer(handler, 200 if count > 1 else 429, **({} if count > 1 else {"Retry_After": "1"}))

    with server(handle) as (root, asked):
        own = client()

        def once():
            got = own.send(Request(url=root))
            if got.status != 200:
                raise got.failure()
            return got

        began = time.monotonic()
        own.patiently(once, lambda error, wait: heard.append((error.status, wait))).close()
    assert time.monotonic() - began >= 1
    assert (heard[0][0], heard[0][1] >= 1, len(asked)) == (429, True, 2)


def test_one_that_wants_to_be_left_alone_for_an_hour_is_not_asked_again():
    for said in ("3600", "Fri, 01 Jan 2100 00:00:00 GMT"):
        with server(lambda h, _, said=said: answer(h, 503, Retry_After=said)) as (root, asked):
            with pytest.raises(HttpError, match="503"):
                asked_patiently(root)
            assert len(asked) == 1


def test_passing_trouble_is_tried_again_and_other_trouble_is_not():
    with server(lambda h, count: answer(h, 503 if count < 3 else 200, b"ok")) as (root, asked):
        assert asked_patiently(root).content == b"ok"
        assert len(asked) == 3
    with server(lambda h, _: answer(h, 404)) as (root, asked):
        with pytest.raises(HttpError) as caught:
            asked_patiently(root)
        assert (caught.value.status, len(asked)) == (404, 1)
        assert client().send(Request(url=root)).status == 404


def test_a_body_that_breaks_off_is_asked_for_again():
    with server(lambda h, count: answer(h, body=b"ab", length=2 if count > 1 else 9)) as (root, asked):
        assert asked_patiently(root).content == b"ab"
    assert len(asked) == 2


# -- limits ------------------------------------------------------------------------------------


def test_silence_has_an_end():
    with server(lambda _handler, _count: time.sleep(1)) as (root, _):
        began = time.monotonic()
        with pytest.raises(HttpError) as caught:
            client(idle_s=0.2).send(Request(url=root))
    assert (caught.value.slug, time.monotonic() - began < 0.9) == ("http-slow", True)


def test_a_trickle_is_stopped():
    def handle(handler, _count):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)

    with server(handle) as (root, _):
        began = time.monotonic()
        with pytest.raises(HttpError) as caught:
            client(idle_s=0.3).send(Request(url=root)).content  # noqa: B018
    assert (caught.value.slug, time.monotonic() - began < 1.5) == ("http-slow", True)


@contextmanager
def trickling(*answers: bytes):
    """A server that answers so, one for each message, and then with a byte now and then, without end; its port."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def greet(sock):
        with sock, contextlib.suppress(OSError):
            for each in answers:
                sock.recv(10_000)
                sock.sendall(each)
            while not over.wait(0.05):
                sock.sendall(b"x")

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=greet, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@pytest.mark.parametrize(
    ("by_proxy", "answers"),
    [
        (True, [b"HTTP/1.1 200 "]),
        (True, [b"HTTP/1.1 200 OK\r\nX-Long: "]),
        (True, [b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x03\x3f\xff"]),
        (False, [b"\x16\x03\x03\x3f\xff"]),
    ],
    ids=["a proxy's status", "a proxy's head", "TLS behind a proxy", "TLS"],
)
def test_no_greeting_is_without_end(by_proxy, answers):
    """Each byte comes in time, so that no silence is ever too long."""
    with trickling(*answers) as port:
        proxies = {"https_proxy": f"http://127.0.0.1:{port}"} if by_proxy else {}
        own = client(proxies=proxies, connect_s=0.3, idle_s=0.3)
        began = time.monotonic()
        with pytest.raises(HttpError) as caught:
            own.send(Request(url="https://far.example/x" if by_proxy else f"https://127.0.0.1:{port}/x"))
    assert (caught.value.slug, time.monotonic() - began < 3) == ("http-slow", True)


def test_a_body_has_a_largest_size():
    with server(lambda h, _: answer(h, body=DATA)) as (root, _), pytest.raises(HttpError) as caught:
        list(client().send(Request(url=root)).blocks(1000))
    assert caught.value.slug == "http-size"


# -- files -------------------------------------------------------------------------------------


def ranges(handler, count, *, tag='"one"', breaks=1):
    """A server of one file that breaks off `breaks` times and knows ranges."""
    begin = 0
    wanted, known = handler.headers.get("Range"), handler.headers.get("If-Range")
    if wanted and known == tag:
        begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
    rest = DATA[begin:]
    sent = rest[: len(rest) // 2] if count <= breaks else rest
    more = {"Content_Range": f"bytes {begin}-{len(DATA) - 1}/{len(DATA)}"} if begin else {}
    answer(handler, 206 if begin else 200, sent, length=len(rest), ETag=tag, **more)


def received(root, part, own) -> Partial:
    own.patiently(lambda: own.receive(f"{root}/x", part))
    return part


def test_a_download_that_breaks_off_goes_on_where_it_ended(tmp_path):
    with server(lambda h, count: ranges(h, count, breaks=2)) as (root, asked), (tmp_path / "x").open("wb") as out:
        part = received(root, Partial(out=out), client())
    assert (tmp_path / "x").read_bytes() == DATA
    assert part.sha256 == hashlib.sha256(DATA).hexdigest()
    starts = [headers.get("Range") for _, _, headers, _ in asked]
    assert starts == [None, f"bytes={len(DATA) // 2}-", f"bytes={len(DATA) // 4 * 3}-"]


def test_a_file_that_became_another_one_comes_anew():
    with server(lambda h, count: ranges(h, count, tag=f'"{count}"')) as (root, asked):
        part = received(root, Partial(), client())
    assert part.out.getvalue() == DATA
    assert part.count == len(DATA)
    assert asked[1][2]["If-Range"] == '"1"'


def test_a_server_that_gives_another_range_is_not_believed():
    def handle(handler, count):
        if count == 2:
            answer(handler, 206, b"evil", Content_Range="bytes 3-7/8")
        else:
            ranges(handler, count)

    with server(handle) as (root, asked):
        part = received(root, Partial(), client())
    assert part.out.getvalue() == DATA
    assert "Range" not in asked[2][2]


def test_without_a_mark_of_the_file_nothing_is_put_together():
    with server(lambda h, count: answer(h, body=DATA if count > 1 else DATA[:9], length=len(DATA))) as (root, asked):
        assert received(root, Partial(), client()).out.getvalue() == DATA
    assert "Range" not in asked[1][2]


def test_of_a_file_without_end_not_much_more_is_taken_than_wanted():
    with server(lambda h, _: answer(h, body=DATA * 8)) as (root, _):
        part = Partial(limit=10)
        client().receive(f"{root}/x", part)
    assert 10 < part.count <= 1 << 18


def test_what_a_server_packed_unasked_is_the_file_that_is_wanted():
    """Old servers say of every tar.gz that it is a packed tar."""
    with server(lambda h, _: answer(h, body=b"\x1f\x8bpacked", Content_Encoding="gzip")) as (root, asked):
        part = Partial()
        client().receive(f"{root}/x", part)
    assert part.out.getvalue() == b"\x1f\x8bpacked"
    assert asked[0][2]["Accept-Encoding"] == "identity"


# -- the site ----------------------------------------------------------------------------------


def test_the_sites_proxy_is_asked_and_the_environments_is_not(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with server(lambda h, _: answer(h, body=b"by proxy")) as (root, asked):
        own = client(proxies={"http_proxy": root, "no_proxy": "10.0.0.0/8"})
        assert own.send(Request(url="http://host.example/x")).content == b"by proxy"
    assert asked[0][1] == "http://host.example/x"


def test_a_bundle_that_is_none_is_told(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(HttpError) as caught:
        trust(SiteConfig(ca_bundle=tmp_path / "ca.pem"))
    assert caught.value.slug == "http-ca"
    assert "ca.pem" in caught.value.message


@pytest.mark.processes
def test_asking_for_nothing_imports_neither_requests_nor_tenacity():
    import subprocess
    import sys

    code = (
        "import sys, orchestrator.http.client; print([m for m in ('requests', 'tenacity', 'ssl') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_head_may_take_longer_than_a_connection():
    """What a server needs until it answers is its own affair, up to the silence that is allowed."""

    def handle(handler, _count):
        time.sleep(1)
        answer(handler, body=b"at last")

    with server(handle) as (root, _):
        assert client(connect_s=0.2, idle_s=5).send(Request(url=root)).content == b"at last"
