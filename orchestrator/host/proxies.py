"""Which proxy an address is asked through, by the variables that curl and pip read; pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.facts.references import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str, proxies: Mapping[str, str]) -> str:
    """The proxy for an address; empty where it is asked directly, as this machine itself always is.

    ``proxies`` holds ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``.
    """
    parts = urlsplit(url)
    found = proxies.get(f"{parts.scheme}_proxy") or proxies.get("all_proxy") or ""
    host = parts.hostname or ""
    if not found or is_loopback(f"[{host}]" if ":" in host else host):
        return ""
    port = parts.port or _PORTS.get(parts.scheme, 0)
    entries = proxies.get("no_proxy", "").replace(",", " ").split()
    if any(_matches(entry, host, port) for entry in entries):
        return ""
    return found if "://" in found else f"http://{found}"


def _matches(entry: str, host: str, port: int) -> bool:
    """Whether an entry of ``no_proxy`` speaks of a host: ``*``, or a network, address or domain, perhaps with a port.

    A network is compared with addresses only: no name is looked up for it, as curl and Go do it.
    """
    if entry == "*":
        return True
    name, wanted = _split_port(entry)
    if wanted and wanted != str(port):
        return False
    network = _network(name)
    if network is not None:
        address = _network(host)
        return address is not None and address.version == network.version and address[0] in network
    domain = name.lower().removeprefix("*").strip(".")
    return bool(domain) and f".{host.lower().rstrip('.')}".endswith(f".{domain}")


def _split_port(entry: str) -> tuple[str, str]:
    """Name and port of an entry: ``host:8080``, ``[fd00::1]:8080``, ``fd00::1``."""
    if entry.startswith("["):
        name, _, rest = entry.removeprefix("[").partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A network, or an address as the network of itself; None for a name."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
