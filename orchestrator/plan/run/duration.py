"""How long a test shall take, as people write it. Pure."""

from __future__ import annotations

import re

from orchestrator.errors import UsageError

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def duration_ms(text: str) -> int:
    """Milliseconds of ``10m``, ``30s``, ``1.5h``, ``500ms`` or plain seconds; raises `UsageError`."""
    match = _DURATION.fullmatch(text.strip().lower())
    value = round(float(match[1]) * _UNITS[match[2] or "s"]) if match else 0
    if not 1 <= value <= 24 * 3_600_000:
        raise UsageError(
            f"`{text}` is not a duration between 1 ms and 24 h",
            hint="write 30s, 10m or 600s",
            slug="duration",
        )
    return value
