"""One container through the Docker SDK: created as its spec says, followed line by line to its end."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from orchestrator.engines.containers import ended, lines
from orchestrator.engines.docker.contexts import context_tls
from orchestrator.engines.docker.hosts import DEFAULT_SOCKET
from orchestrator.engines.model import KILLED
from orchestrator.engines.options import container_options, run_words

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from orchestrator.engines.model import ContainerExit
    from orchestrator.facts.containers import ContainerSpec

_OF_CONTAINER = frozenset({"name", "user", "environment", "labels", "working_dir"})
"""What the SDK takes beside the host's part of a container's configuration."""
_OOM_PATIENCE_S = 1.0


def create(api: docker.APIClient, spec: ContainerSpec) -> str:
    """Create (not start) the container of `spec`; gives its id."""
    arguments, host = create_arguments(spec)
    made = api.create_container(**arguments, host_config=api.create_host_config(**host))
    return str(made["Id"])


def create_arguments(spec: ContainerSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `create_container` and `create_host_config` are called with: the options that the dry run prints."""
    arguments: dict[str, Any] = {"image": spec.image, "command": list(spec.command)}
    host: dict[str, Any] = {}
    for option in container_options(spec):
        for name, value in option.api.items():
            part = arguments if name in _OF_CONTAINER else host
            if name in part:  # a list with a second part: devices by their CDI names, and by --gpus
                part[name] = part[name] + value
            else:
                part[name] = value
    return arguments, host


def argv(spec: ContainerSpec, host: str = "") -> list[str]:
    """The `docker run` line that would start the same; ``host`` is the engine where it is not the default one."""
    engine = ["--host", host] if host and host != f"unix://{DEFAULT_SOCKET}" else []
    tls = context_tls(host, os.environ) if engine else None
    engine += [] if tls is None else tls.words()
    return ["docker", *engine, "run", "--rm", *run_words(spec, {})]


def notes(_spec: ContainerSpec) -> tuple[str, ...]:
    """Docker keeps everything that a spec says."""
    return ()


def follow(api: docker.APIClient, container: str, on_line: Callable[[str], None]) -> ContainerExit:
    """Start `container` and hand over its lines until it ends.

    The stream is attached before the start, so that no line is lost; the engine keeps
    no log of its own, so that nothing of a run stays there.
    """
    stream = api.attach(container, stdout=True, stderr=True, stream=True, logs=False, demux=True)
    api.start(container)
    try:
        for line in lines(stream):
            on_line(line)
    finally:
        # Unread output of a talkative container would block the engine when it is to stop it.
        stream.close()
    api.wait(container, timeout=None)  # a program may close its output and go on
    return ended(container, _last_state(api, container))


def _last_state(api: docker.APIClient, container: str) -> dict[str, Any]:
    """The state after the end. The engine may hear of the end before it hears of the memory that caused it."""
    state: dict[str, Any] = api.inspect_container(container)["State"]
    until = time.monotonic() + _OOM_PATIENCE_S
    while state["ExitCode"] == KILLED and not state.get("OOMKilled") and time.monotonic() < until:
        time.sleep(0.05)
        state = api.inspect_container(container)["State"]
    return state
