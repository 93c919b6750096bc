"""Downloads: by hash, from the first place that has the file, again after a passing fault, never wrong bytes."""

import hashlib
import threading

import pytest
from deb_parts import Shelf, quick_client, server

from orchestrator.errors import AssetError
from orchestrator.host.site import SiteConfig
from orchestrator.packages.download import Downloads, GoneError, Wanted
from orchestrator.packages.fetch import Fetcher, pip_wheel

DATA = b"bytes of a package " * 1000
pytestmark = pytest.mark.sockets


def wanted(*urls, data=DATA):
    return Wanted(name="x.deb", sha256=hashlib.sha256(data).hexdigest(), size=len(data), urls=urls)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def downloads(tmp_path, heard):
    return Downloads(tmp_path, quick_client(), heard.append)


def test_a_server_that_is_unwell_is_asked_again_and_it_is_said(downloads, heard):
    with server(lambda _path, count: (200, DATA) if count > 2 else (503, b"")) as (root, asked):
        path = downloads.get(wanted(f"{root}/x"))
    assert path.read_bytes() == DATA
    assert len(asked) == 3
    retries = [event for event in heard if event.kind == "retry"]
    assert len(retries) == 2
    assert "503" in retries[0].text


def test_a_connection_that_breaks_off_is_tried_again(downloads):
    with server(lambda _path, count: (200, DATA if count > 1 else DATA[:100], len(DATA))) as (root, asked):
        assert downloads.get(wanted(f"{root}/x")).read_bytes() == DATA
    assert len(asked) == 2


def test_a_fault_that_stays_ends_with_what_to_do(downloads):
    with server(lambda *_: (500, b"")) as (root, _), pytest.raises(AssetError) as caught:
        downloads.get(wanted(f"{root}/x"))
    assert caught.value.slug == "download-failed"
    assert caught.value.hint


def test_the_next_mirror_is_asked_when_one_does_not_have_it(downloads):
    with server(lambda path, _: (200, DATA) if path == "/b/x" else (404, b"")) as (root, asked):
        assert downloads.get(wanted(f"{root}/a/x", f"{root}/b/x")).read_bytes() == DATA
    assert [path for path, _ in asked] == ["/a/x", "/b/x"]


def test_what_nobody_has_is_gone_and_not_asked_again(downloads):
    with server(lambda *_: (404, b"")) as (root, asked), pytest.raises(GoneError):
        downloads.get(wanted(f"{root}/x"))
    assert len(asked) == 1


def test_other_bytes_are_refused_and_kept_aside(downloads, tmp_path):
    bad = b"z" * len(DATA)
    with server(lambda *_: (200, bad)) as (root, asked), pytest.raises(AssetError) as caught:
        downloads.get(wanted(f"{root}/x"))
    assert caught.value.slug == "hash-mismatch"
    assert caught.value.exit_code == 1
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert aside.read_bytes() == bad
    assert str(aside) in caught.value.message
    assert not downloads.has(wanted().sha256)
    assert len(asked) == 1


def test_a_file_that_goes_on_for_ever_is_cut(downloads):
    with server(lambda *_: (200, DATA * 50)) as (root, _), pytest.raises(AssetError) as caught:
        downloads.get(wanted(f"{root}/x"))
    assert caught.value.slug == "hash-mismatch"


def test_the_cache_needs_no_network_and_is_checked(downloads, tmp_path):
    with server(lambda *_: (200, DATA)) as (root, asked):
        path = downloads.get(wanted(f"{root}/x"))
        assert downloads.get(wanted()) == path
        path.write_bytes(b"bit rot")
        assert downloads.get(wanted(f"{root}/x")).read_bytes() == DATA
    assert len(asked) == 2
    assert [p.read_bytes() for p in (tmp_path / "quarantine").iterdir()] == [b"bit rot"]


def test_two_at_once_download_once(downloads):
    with server(lambda *_: (200, DATA)) as (root, asked):
        threads = [threading.Thread(target=downloads.get, args=(wanted(f"{root}/x"),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) == 1


def test_only_web_and_file_addresses_are_opened(downloads):
    with pytest.raises(AssetError) as caught:
        downloads.get(wanted("ftp://127.0.0.1/x"))
    assert caught.value.slug == "bad-url"


def test_user_and_password_go_into_a_header_not_into_messages(downloads, heard):
    with server(lambda _path, count: (200, DATA) if count > 1 else (503, b"")) as (root, asked):
        downloads.get(wanted(root.replace("//", "//me:s3cret@") + "/x"))
    assert asked[0][1]["Authorization"] == "Basic bWU6czNjcmV0"
    assert "s3cret" not in repr(heard)


def test_a_version_that_left_the_mirrors_is_named_with_the_way_out(tmp_path):
    shelf = Shelf(tmp_path / "mirror")
    here, gone = shelf.add("here", [("./x", b"1")]), shelf.add("gone", [("./x", b"2")])
    (shelf.root / gone.path).unlink()
    with pytest.raises(AssetError) as caught:
        Fetcher(SiteConfig(archives=shelf.mirrors), tmp_path / "cache").debs([here, gone], relock="base-bookworm")
    assert caught.value.slug == "lock-drift"
    assert "gone 1.0" in caught.value.message
    assert "here" not in caught.value.message
    assert "mlorch images lock base-bookworm" in caught.value.hint


def test_versions_with_special_characters_are_quoted_in_addresses(tmp_path):
    from orchestrator.packages.download import pool_urls

    path = "pool/main/l/libx/libx_1.2+dfsg-1~deb12u1_amd64.deb"
    assert pool_urls(["http://m/debian"], path) == (
        "http://m/debian/pool/main/l/libx/libx_1.2%2Bdfsg-1~deb12u1_amd64.deb",
    )


def test_pip_comes_out_of_its_package(tmp_path):
    shelf = Shelf(tmp_path / "mirror")
    pin = shelf.add("python3-pip-whl", [("./usr/share/python-wheels/pip-23.0.1-py3-none-any.whl", b"wheel")])
    other = shelf.add("empty", [("./usr/share/python-wheels/evil.whl", b"no")])
    fetch = Fetcher(SiteConfig(archives=shelf.mirrors), tmp_path / "cache")
    wheel = pip_wheel(pin, fetch)
    assert wheel.read_bytes() == b"wheel"
    wheel.write_bytes(b"other")
    assert pip_wheel(pin, fetch).read_bytes() == b"wheel"
    with pytest.raises(AssetError) as caught:
        pip_wheel(other, fetch)
    assert caught.value.slug == "no-pip"


@pytest.mark.parametrize(("status", "word"), [(200, ""), (404, ""), (403, "403"), (503, "503")])
def test_a_server_answers_even_when_it_has_no_such_page_but_not_when_it_refuses_or_is_unwell(status, word):
    from orchestrator.http.reachable import answers

    with server(lambda *_: (status, b"")) as (root, _):
        said = answers(f"{root}/dists/", 2.0)
    assert (word in said) if word else said == ""


def test_a_server_that_is_not_there_does_not_answer():
    from orchestrator.http.reachable import answers

    with server(lambda *_: (200, b"")) as (root, _):
        pass
    assert "refused" in answers(f"{root}/dists/", 2.0)
