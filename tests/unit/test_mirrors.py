"""Which Debian archives a host uses, from apt's own files."""

import pytest

from orchestrator.errors import AssetError
from orchestrator.host.mirrors import debian_mirrors, require_archives

ONE_LINE = """\
# deb http://comment/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://main/debian/ bookworm main contrib # tail
deb http://main/debian bookworm-updates main
deb-src http://sources/debian bookworm main
deb http://security/debian-security bookworm-security main
deb http://other/ubuntu noble main
deb http://engines/linux/debian bookworm stable
deb http://database/apt bookworm-pgdg main
"""
DEB822 = """\
Types: deb
# a comment between fields
URIs: http://first/debian
 http://second/debian
Suites: bookworm bookworm-updates
Components: main

Enabled: no
Types: deb
URIs: http://off/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://security/debian-security
Suites: bookworm-security
Components: main contrib
"""


def test_one_line_files(tmp_path):
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert debian_mirrors(tmp_path) == {
        "main": ("http://main/debian",),
        "security": ("http://security/debian-security",),
    }


def test_deb822_files(tmp_path):
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "debian.sources").write_text(DEB822)
    (parts / "debian.sources.bak").write_text(DEB822.replace("first", "backup"))
    assert debian_mirrors(tmp_path) == {
        "main": ("http://first/debian", "http://second/debian"),
        "security": ("http://security/debian-security",),
    }


def test_what_the_user_names_comes_first(tmp_path):
    (tmp_path / "sources.list").write_text(ONE_LINE)
    found = debian_mirrors(tmp_path, main="http://mine/debian/", security="http://main/debian")
    assert found["main"] == ("http://mine/debian", "http://main/debian")
    assert found["security"] == ("http://main/debian", "http://security/debian-security")


def test_a_host_of_another_distribution_is_told_what_to_set(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://other/ubuntu noble main\n")
    with pytest.raises(AssetError) as caught:
        require_archives(debian_mirrors(tmp_path))
    assert caught.value.slug == "no-mirror"
    assert "MLORCH_DEBIAN_MIRROR" in caught.value.hint


def test_a_host_of_a_later_release_serves_as_well(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://m/debian trixie main\ndeb http://s/sec trixie-security main\n")
    assert debian_mirrors(tmp_path) == {"main": ("http://m/debian",), "security": ("http://s/sec",)}
