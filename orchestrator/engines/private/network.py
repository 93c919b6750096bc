"""A bridge and its address translation for the private engine, apart from what another engine has.

A second dockerd that manages packet filter rules flushes those of the first. So the
private one manages none; its bridge gets three rules of its own, which go with it.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import re
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.host.command import find_program, must_run, run_program
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ADD_BRIDGE, _DELETE_BRIDGE = 0x89A0, 0x89A1  # linux/sockios.h: SIOCBRADDBR, SIOCBRDELBR
_SET_ADDRESS, _SET_MASK = 0x8916, 0x891C  # SIOCSIFADDR, SIOCSIFNETMASK
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
_INTERFACES = Path("/sys/class/net")
_CANDIDATES = (
    *(f"172.31.{third}.0/24" for third in range(240, 256)),
    *(f"10.213.{third}.0/24" for third in range(240, 256)),
)


def free_subnet(routes: str, resolv: str) -> str:
    """The first candidate that no route of this host and no name server of it lies in.

    ``routes`` is the text of /proc/net/route, ``resolv`` of /etc/resolv.conf.

    Raises:
        EngineError: `no-subnet`, all candidates are in use.
    """
    used = [network for _, network in _routes(routes) if network.prefixlen]
    servers = re.findall(r"(?m)^\s*nameserver\s+(\d+\.\d+\.\d+\.\d+)", resolv)
    for text in _CANDIDATES:
        network = ipaddress.ip_network(text)
        if any(network.overlaps(other) for other in used) or any(ipaddress.ip_address(s) in network for s in servers):
            continue
        return text
    raise EngineError(
        "no subnet is free for the private engine's bridge",
        hint=f"tried {_CANDIDATES[0]} to {_CANDIDATES[-1]}; use an engine that runs already (DOCKER_HOST)",
        slug="no-subnet",
    )


def _routes(text: str) -> Iterator[tuple[str, ipaddress.IPv4Network | ipaddress.IPv6Network]]:
    """The lines of /proc/net/route: interface and destination."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 7:
            address, mask = (socket.inet_ntoa(struct.pack("<I", int(words[i], 16))) for i in (1, 7))
            yield words[0], ipaddress.ip_network(f"{address}/{mask}", strict=False)


def default_mtu(routes: str) -> int | None:
    """The MTU of the interface of the default route, so that containers do not send what it cannot carry."""
    ways_out = [interface for interface, network in _routes(routes) if not network.prefixlen]
    try:
        return int(text_of(_INTERFACES / ways_out[0] / "mtu"))
    except (IndexError, ValueError):
        return None


def make_bridge(name: str, subnet: str) -> None:
    """Create a bridge with the subnet's first address and set it up; one that exists is kept.

    Raises:
        EngineError: `bridge`, the kernel refuses.
    """
    network = ipaddress.ip_network(subnet)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            if not (_INTERFACES / name).exists():
                fcntl.ioctl(control, _ADD_BRIDGE, name.encode() + b"\0")
            _set_inet(control, _SET_ADDRESS, name, str(network[1]))
            _set_inet(control, _SET_MASK, name, str(network.netmask))
            _set_up(control, name, up=True)
    except OSError as error:
        raise EngineError(
            f"cannot make the network bridge {name}: {error.strerror}",
            hint="it needs root with CAP_NET_ADMIN; in a container use the host's engine (DOCKER_HOST)",
            slug="bridge",
        ) from error


def drop_bridge(name: str) -> None:
    """Remove a bridge; one that is gone is fine."""
    if not (_INTERFACES / name / "bridge").exists():
        return
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            _set_up(control, name, up=False)
            fcntl.ioctl(control, _DELETE_BRIDGE, name.encode() + b"\0")
    except OSError:
        return


def _set_inet(control: socket.socket, request: int, name: str, address: str) -> None:
    inet = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(control, request, struct.pack("16s16s", name.encode(), inet))


def _set_up(control: socket.socket, name: str, *, up: bool) -> None:
    answer = fcntl.ioctl(control, _GET_FLAGS, struct.pack("16sH14x", name.encode(), 0))
    flags = struct.unpack("16sH14x", answer)[1]
    wanted = flags | _UP if up else flags & ~_UP
    fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH14x", name.encode(), wanted))


def rules(bridge: str, subnet: str) -> tuple[tuple[str, ...], ...]:
    """The rules that let containers behind ``bridge`` reach what this host reaches, and nothing reach them unasked."""
    return (
        ("-t", "nat", "-A", "POSTROUTING", "-s", subnet, "!", "-o", bridge, "-j", "MASQUERADE"),
        ("-t", "filter", "-I", "FORWARD", "-i", bridge, "-j", "ACCEPT"),
        ("-t", "filter", "-I", "FORWARD", "-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED",
         "-j", "ACCEPT"),
    )  # fmt: skip


def add_rules(wanted: Sequence[Sequence[str]], prefix: Path) -> None:
    """Add what is not there yet.

    Raises:
        EngineError: `packet-filter`, iptables refuses; containers would have no network.
    """
    program, env = iptables(prefix)
    for rule in wanted:
        check = ["-C" if word in {"-A", "-I"} else word for word in rule]
        if run_program([program, "--wait", *check], env=env).code != 0:
            must_run(
                [program, "--wait", *rule],
                "let the private engine's containers reach the network",
                hint="the kernel needs nf_tables or iptables with NAT; see `iptables -t nat -L`",
                slug="packet-filter",
                env=env,
            )


def drop_rules(present: Sequence[Sequence[str]], prefix: Path) -> None:
    """Take rules away; those that are gone are fine."""
    program, env = iptables(prefix)
    for rule in present:
        run_program([program, "--wait", *("-D" if word in {"-A", "-I"} else word for word in rule)], env=env)


def iptables(prefix: Path) -> tuple[Path, Mapping[str, str]]:
    """The host's own iptables, else the prefix's with what it needs to run."""
    own = find_program("iptables")
    if own is not None:
        return own, {}
    return prefix / "usr/sbin/iptables", library_environment(prefix)


def library_environment(prefix: Path) -> dict[str, str]:
    """Variables that make the prefix's programs find the prefix's libraries."""
    folders = sorted(str(path) for path in (prefix / "usr/lib").glob("*-linux-gnu*") if path.is_dir())
    before = os.environ.get("LD_LIBRARY_PATH")
    found = {"LD_LIBRARY_PATH": ":".join([*folders, *([before] if before else [])])}
    modules = [f"{folder}/xtables" for folder in folders if Path(f"{folder}/xtables").is_dir()]
    return found | ({"XTABLES_LIBDIR": modules[0]} if modules and find_program("iptables") is None else {})
