"""Servers: programs that a run starts beside its client, each role in containers of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import (
    AbsolutePath,
    Definition,
    EnvName,
    Framework,
    Identifier,
    Name,
    Strict,
)
from orchestrator.definitions.kinds.parameters import Parameter  # noqa: TC001 (pydantic reads it)
from orchestrator.definitions.kinds.texts import Template  # noqa: TC001 (pydantic reads it)

CLIENT = "client"
"""The role of the harness: what LoadGen runs in."""


class Probe(Strict):
    """How a server is asked whether it is there: an HTTP GET that it answers with 2xx.

    It is asked until it answers, for ``startup_s`` seconds at most, and then every ``every_s`` seconds until the test
    ends; ``misses`` answers in a row that do not come, or come later than ``timeout_s``, make the test INVALID.
    """

    path: AbsolutePath = "/health"
    startup_s: int = Field(default=120, ge=1, le=24 * 3600)
    every_s: float = Field(default=2, ge=0.1, le=600)
    timeout_s: float = Field(default=5, gt=0, le=600)
    misses: int = Field(default=3, ge=1, le=100)


class Server(Definition):
    """A program that serves a model over HTTP; texts marked `Template` name the values of `SERVER_VALUES`."""

    kind: Literal["server"]
    api: Literal["openai"] = "openai"
    """The interface that its clients speak."""
    api_path: AbsolutePath = "/v1"
    """Where that interface lies; its last part, or one before, names a version."""
    backend: Framework
    """Which of the model's files it loads: as the harness calls its frameworks."""
    images: dict[Name, Name] = Field(min_length=1)
    """Target → the side layer that holds it there, or the framework's own where that serves a model by itself."""
    command: tuple[Template, ...] = Field(min_length=1)
    env: dict[EnvName, Template] = Field(default_factory=dict)
    parameters: dict[Identifier, Parameter] = Field(default_factory=dict)
    """What a benchmark or ``--set`` may change: the texts name it as ``param.NAME``."""
    probe: Probe = Field(default_factory=Probe)
    executable_scratch: Annotated[str, StringConstraints(pattern=r"^(?:|.{8,200})\Z")] = ""
    """Why programs must be able to run from its `/scratch` (a JIT compiler's), which is told as a deviation."""


SERVER_VALUES = (
    "model",
    "model.file",
    "model.name",
    "port",
    "replica",
    "cpus",
    "cpu_list",
    "devices.count",
    "devices.list",
    "memory_mb",
    "scratch",
    "tokens",
)
"""What a server's texts can name, besides ``param.*``: the model's folder and file, and what it is to be called; the
port to listen on at 127.0.0.1; its number among the replicas; its processors, devices and memory; a folder to write
to; and how many tokens an answer may have."""


class Role(Strict):
    """One part of a run of several containers, under its name in the benchmark's `roles`.

    The role ``client`` is the benchmark's harness and names no server; its ``processes`` hold the connections to the
    servers (None: one for each of its processors). Roles start in the order of the text, each when those before it are
    ready; ``cpus`` is how many processors each replica has of its own, None an even share of what is left.

    Servers are started anew for every test (``restart: mode``), or stay up over all tests of their benchmark in a run
    (``run``), performance and accuracy, as long as they are told the same.
    """

    server: Name | None = None
    replicas: int = Field(default=1, ge=1, le=64)
    restart: Literal["mode", "run"] = "mode"
    cpus: int | None = Field(default=None, ge=1)
    processes: int | None = Field(default=None, ge=1, le=64)
    parameters: dict[Identifier, Template] = Field(default_factory=dict)
