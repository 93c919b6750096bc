"""Dockerfiles in the words that an older podman knows, and the network that their steps get. Pure."""

from __future__ import annotations

import re

from orchestrator.engines.model import numbers

RUN_NETWORK_SINCE = (4, 5)
"""The first podman whose RUN knows `--network` (buildah 1.30)."""
_INSTRUCTION = re.compile(r"[ \t]*(?P<word>[A-Za-z]+)(?P<flags>(?:[ \t]+--\S+)*)")


def adapt(dockerfile: str, version: str) -> str:
    """A Dockerfile in the words that this podman knows; what it makes is the same.

    ``COPY --link`` and ``ADD --link`` say how a layer is stored, not what is in it: old
    podmans refuse the word and newer ones ignored it for long, so it goes. ``RUN --network``
    goes where podman is too old for it; `network_of` then tells what holds instead.
    """
    keeps_network = numbers(version) >= RUN_NETWORK_SINCE
    out = []
    inside = False  # of an instruction that goes on after a line's end
    for line in dockerfile.splitlines():
        found = None if inside or line.lstrip().startswith("#") else _INSTRUCTION.match(line)
        if found:
            word = found["word"].upper()
            drop = r"\s--link(?:=\w+)?(?!\S)" if word in {"COPY", "ADD"} else ""
            drop = r"\s--network=\S+" if word == "RUN" and not keeps_network else drop
            flags = re.sub(drop, "", found["flags"]) if drop else found["flags"]
            line = line[: found.start("flags")] + flags + line[found.end("flags") :]  # noqa: PLW2901 (its new form)
        if not line.lstrip().startswith("#"):
            inside = line.rstrip().endswith("\\")
        out.append(line)
    return "\n".join(out) + "\n"


def network_of(dockerfile: str, asked: str, version: str) -> str:
    """The network of the RUN steps: none where no step needs one, else the host's.

    The host's, as podman's own bridge wants packet filter rules of root's, and a plain user
    has none at all; the steps are mlorch's own and only fetch what they check by hash.
    """
    if asked != "default":
        return asked
    steps = [line for line in dockerfile.splitlines() if line.lstrip().upper().startswith("RUN ")]
    if numbers(version) < RUN_NETWORK_SINCE and all("--network=none" in line for line in steps):
        return "none"
    return "host"
