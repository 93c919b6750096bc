"""How an engine is reached: light, as every command that asks an engine imports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.host.site import SiteConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAccess:
    """``host`` is the setting `engine_host`, empty where the engine's own rules say where it listens.

    ``site`` gives certificates and proxies, asked for only where an engine asks a registry by itself;
    None is what this process's environment says.
    """

    host: str = ""
    site: Callable[[], SiteConfig] | None = None


HERE = EngineAccess()
"""What counts where no setting says anything."""
