"""Files of Python releases: found where the host's pip would look."""

import json
import os
import sys
import time

import pytest
from deb_parts import quick_client, server

from orchestrator.errors import AssetError
from orchestrator.host.site import SiteConfig, discover
from orchestrator.packages.download import Downloads
from orchestrator.packages.index import Indexes, configured_indexes, file_hashes, file_urls

NAME = "some_data-1.0-py3-none-any.whl"


def indexes(tmp_path, **env) -> Indexes:
    return configured_indexes(discover({"HOME": str(tmp_path), **env}, tmp_path))


def test_variables_win_over_files_and_later_files_over_earlier(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text(
        "[global]\nindex-url = http://a/simple\nextra-index-url =\n  http://x/simple\n  http://y/simple\n"
    )
    own = tmp_path / "own.conf"
    own.write_text("[install]\nindex_url = http://b/simple\n")
    found = indexes(tmp_path, PIP_CONFIG_FILE=str(own), PIP_FIND_LINKS="/wheels /more")
    assert found.indexes == ("http://b/simple", "http://x/simple", "http://y/simple")
    assert found.links == ("/wheels", "/more")
    assert indexes(tmp_path, PIP_INDEX_URL="http://c/simple").indexes[0] == "http://c/simple"
    assert indexes(tmp_path, PIP_NO_INDEX="1").indexes == ()


def test_pip_config_file_can_switch_files_off(tmp_path):
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/pip.conf").write_text("[global]\nindex-url = http://a/simple\n")
    assert indexes(tmp_path, XDG_CONFIG_HOME=str(tmp_path)).indexes == ("http://a/simple",)
    without = indexes(tmp_path, XDG_CONFIG_HOME=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    assert without.indexes[0] != "http://a/simple"


def test_without_pip_and_configuration_it_says_what_to_set(monkeypatch):
    monkeypatch.setitem(sys.modules, "pip._internal.models.index", None)
    with pytest.raises(AssetError) as caught:
        configured_indexes(SiteConfig())
    assert caught.value.slug == "no-index"
    assert "PIP_INDEX_URL" in caught.value.hint


def read_pages(pages):
    def read(url, _accept):
        if url not in pages:
            raise FileNotFoundError(url)
        return pages[url]

    return read


def test_a_json_page():
    page = {"files": [{"filename": "other.whl", "url": "o"}, {"filename": NAME, "url": "../../files/x.whl#sha256=1"}]}
    pages = {"http://i/simple/some-data/": (json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json")}
    urls = file_urls("Some_Data", NAME, Indexes(indexes=("http://none/simple", "http://i/simple/")), read_pages(pages))
    assert urls == ("http://i/files/x.whl",)


def test_an_html_page_and_credentials_stay_with_their_host():
    html = f'<a href="/files/{NAME}#sha256=1">x</a><a href="http://cdn/{NAME}">y</a><a>no</a>'
    pages = {"http://me:pw@i/simple/some-data/": (html.encode(), "text/html; charset=utf-8")}
    urls = file_urls("some-data", NAME, Indexes(indexes=("http://me:pw@i/simple",)), read_pages(pages))
    assert urls == (f"http://me:pw@i/files/{NAME}", f"http://cdn/{NAME}")


def test_a_folder_of_files_comes_first(tmp_path):
    (tmp_path / NAME).write_bytes(b"x")
    urls = file_urls("some-data", NAME, Indexes(indexes=(), links=(str(tmp_path),)), read_pages({}))
    assert urls == ((tmp_path / NAME).as_uri(),)


# -- an index that means harm ------------------------------------------------------------------

JSON = "application/vnd.pypi.simple.v1+json"
INDEX = "https://me:pw@i:1/simple"
PAGE = f"{INDEX}/some-data/"


def found(body, media="text/html") -> tuple[str, ...]:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return file_urls("some-data", NAME, Indexes(indexes=(INDEX,)), read_pages({PAGE: (body, media)}))


@pytest.mark.parametrize("unit", ["<a x=", "<a x='y' ", '<a "', "<a", "<!--", "<![CDATA[", "<a href='", "<a '<a >"])
def test_a_page_is_read_in_time_that_grows_with_its_length_alone(unit):
    began = time.process_time()
    assert found(unit.encode() * 200_000 + f'<a href="{NAME}">'.encode()) in {(), (f"{PAGE}{NAME}",)}
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b"[]", b"{}", b'{"files": {}}', b'{"files": NaN}', b"\xff", b'{"files": [], "files": []}'],
)
def test_a_page_that_is_none_is_refused_by_name_and_without_its_password(body):
    with pytest.raises(AssetError) as caught:
        found(body, JSON)
    assert caught.value.slug == "bad-index"
    assert "https://i:1/simple/some-data/" in caught.value.message
    assert "pw" not in caught.value.message


def test_an_entry_that_makes_no_sense_is_none_and_hides_no_other():
    wrong = [7, [], {"filename": NAME}, {"filename": 1, "url": "x"}, {"filename": NAME, "url": "https://["}]
    assert found({"files": [*wrong, {"filename": NAME, "url": f"/f/{NAME}"}]}, JSON) == (f"https://me:pw@i:1/f/{NAME}",)
    hashes = [
        {"hashes": 1}, {"hashes": {"sha256": "zz"}}, {"hashes": {"sha256": "a" * 64}, "size": "9"},
        {"hashes": {"sha256": "a" * 64}, "size": -1}, {"hashes": {"sha256": "a" * 64}, "size": 1 << 60},
        {"hashes": {"sha256": "b" * 64}, "size": 9},
    ]  # fmt: skip
    page = json.dumps({"files": [{"filename": NAME, "url": "x", **one} for one in hashes]}).encode()
    pages = read_pages({PAGE: (page, JSON)})
    assert list(file_hashes("some-data", Indexes(indexes=(INDEX,)), pages)) == [(NAME, "b" * 64, 9)]


@pytest.mark.parametrize("href", [f"file:///etc/{NAME}", f"ftp://i/{NAME}"])
def test_an_index_leads_to_no_file_of_this_machine(href):
    assert found(f'<a href="{href}">x</a>'.encode()) == ()


@pytest.mark.parametrize("href", [f"https://i:2/{NAME}", f"http://i:1/{NAME}", f"https://i.evil:1/{NAME}"])
def test_another_server_gets_no_password_of_the_index(href):
    assert found(f"<a href='{href}'>x</a>".encode()) == (href,)


@pytest.mark.sockets
def test_over_the_wire(tmp_path):
    page = json.dumps({"files": [{"filename": NAME, "url": f"/f/{NAME}"}]}).encode()
    answers = {"/simple/some-data/": (200, page, len(page), "application/json"), f"/f/{NAME}": (200, b"x" * 10)}
    with server(lambda path, _: answers.get(path, (404, b""))) as (root, _):
        downloads = Downloads(tmp_path, quick_client())
        where = Indexes(indexes=(f"{root}/absent", f"{root}/simple"))
        (url,) = file_urls("some-data", NAME, where, downloads.page)
    assert url == f"{root}/f/{NAME}"
