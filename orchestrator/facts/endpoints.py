"""A server that is there already and is measured as it is: nothing of it is mlorch's."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field

KEY_FILE = "/run/secrets/endpoint-key"
"""Where the client finds the key: a file, so that it stands in no argument, environment, label or record."""
CA_FILE = "/run/secrets/endpoint-ca.pem"
FRAMEWORK = "openai"
"""What the harness is then: a client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address and the model that is asked for there; files of this host, empty where there is none."""

    url: str
    model: str
    key_source: str = ""
    ca_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFact:
    """For the record: ``said`` is what the server said of itself, which nobody checked."""

    url: str
    model: str
    said: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
