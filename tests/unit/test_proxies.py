"""Which proxy an address goes through: domains, ports and networks of no_proxy as curl and Go read them."""

from __future__ import annotations

import pytest

from orchestrator.host.proxies import proxy_for

PROXIES = {"http_proxy": "http://plain:3128", "https_proxy": "http://me:pw@safe:3128"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://host/x", "http://plain:3128"),
        ("https://host/x", "http://me:pw@safe:3128"),
        ("http://127.0.0.1:5000/v2/", ""),
        ("http://localhost/", ""),
        ("http://[::1]:5000/", ""),
    ],
)
def test_by_scheme_and_never_for_this_machine(url, proxy):
    assert proxy_for(url, PROXIES) == proxy


def test_one_proxy_for_all_and_a_proxy_without_a_scheme():
    assert proxy_for("https://host/", {"all_proxy": "proxy:8080"}) == "http://proxy:8080"
    assert proxy_for("https://host/", {"all_proxy": "proxy:8080", "https_proxy": "http://own:1"}) == "http://own:1"
    assert proxy_for("https://host/", {"http_proxy": "http://plain:1"}) == ""


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        ("*", "https://any.example/", True),
        ("example.com", "https://example.com/", True),
        ("example.com", "https://a.b.example.com/", True),
        (".example.com", "https://a.example.com/", True),
        ("*.example.com", "https://a.EXAMPLE.com/", True),
        ("example.com", "https://notexample.com/", False),
        ("example.com", "https://example.com.evil/", False),
        ("example.com:8443", "https://example.com:8443/", True),
        ("example.com:443", "https://example.com/", True),
        ("example.com:8443", "https://example.com/", False),
        ("10.0.0.0/8", "https://10.1.2.3:5000/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.0.0.0/8", "https://host/", False),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("10.1.2.3:5000", "https://10.1.2.3/", False),
        ("fd00::/8", "https://[fd12::1]:5000/", True),
        ("[fd12::1]:5000", "https://[fd12::1]:5000/", True),
        ("fd12::1", "https://[fd12::2]/", False),
        ("other, ,example.com", "https://example.com/", True),
        ("other example.com", "https://example.com/", True),
        ("", "https://example.com/", False),
        ("., 10.0.0.0/33", "https://example.com/", False),
    ],
)
def test_what_is_asked_without_a_proxy(entries, url, direct):
    assert (proxy_for(url, {**PROXIES, "no_proxy": entries}) == "") is direct
