"""What a site gives a build: apart from the plans, which every `mlorch plan` reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What the site gives a build; nothing of it may reach the image.

    ``secrets`` maps a BuildKit secret id to a file (``site-ca`` a CA bundle,
    ``pip-conf`` a pip configuration, ``apt-sources`` an apt list); ``proxies``
    are the usual upper- and lower-case variables. The caches are places in registries
    (``HOST[:PORT][/PATH]``) where BuildKit keeps and finds the results of steps.
    """

    secrets: Mapping[str, Path] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    network: str = "default"
    no_cache: bool = False
    """Carry every step out, whatever was built before."""
    cache_to: str = ""
    cache_from: tuple[str, ...] = ()
