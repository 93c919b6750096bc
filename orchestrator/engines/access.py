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
    silent_s: float | None = None
    """How long an engine may say nothing before it is asked whether it is there, and then once more as long; None is
    for the engine to say."""
    site: Callable[[], SiteConfig] | None = None


HERE = EngineAccess()
"""What counts where no setting says anything."""
