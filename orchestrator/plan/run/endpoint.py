"""The container of a client whose server is there already: what it gets, and what it gets beyond the contract. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.facts.containers import Mount
from orchestrator.facts.endpoints import CA_FILE, KEY_FILE

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.endpoints import Endpoint
    from orchestrator.plan.run.workload import Workload


def is_loopback(url: str) -> bool:
    """Whether an address is this host's own, which nothing but its own network namespace reaches.

    So is the address of no host (``0.0.0.0``, ``::``): servers print it as where they listen, people copy it, and
    who connects to it is connected to its own host.
    """
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return bool(plain.is_loopback or plain.is_unspecified)


def network(endpoint: Endpoint) -> str:
    """The least network that reaches the server.

    A bridge has addresses of its own and sees no service of this host that listens on its loopback device; a server
    that does is reached from the host's namespace only (an engine's gateway leads to the host's other addresses).
    """
    return "host" if is_loopback(endpoint.url) else "bridge"


def as_endpoint_client(spec: ContainerSpec, workload: Workload, endpoint: Endpoint) -> ContainerSpec:
    """The harness's container with a network and the key, and without the model and devices."""
    mounts = [mount for mount in spec.mounts if mount.target != f"/models/{workload.model.name}"]
    if endpoint.key_source:
        mounts.append(Mount(source=endpoint.key_source, target=KEY_FILE))
    if endpoint.ca_source:
        mounts.append(Mount(source=endpoint.ca_source, target=CA_FILE))
    return replace(spec, mounts=tuple(mounts), network=network(endpoint), capabilities=(), ipc="private")


def endpoint_settings(endpoint: Endpoint) -> dict[str, object]:
    """`endpoint` of the harness's settings; its model is perhaps not the data set's: how it is asked is found out."""
    return {
        "urls": [endpoint.url],
        "model": endpoint.model,
        "key_file": KEY_FILE if endpoint.key_source else None,
        "ca_file": CA_FILE if endpoint.ca_source else None,
        "prompts": None,
    }


def endpoint_deviations(endpoint: Endpoint) -> tuple[str, ...]:
    """What the client gets beyond the run contract, with the reason."""
    if is_loopback(endpoint.url):
        return (f"network host: {endpoint.url} listens on this host's loopback device, which no other network reaches",)
    return (f"network bridge: the system under test, {endpoint.url}, is not in a container of this run",)
