"""How long a server asks to be left alone: HTTP's ``Retry-After`` (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
import time
from datetime import timezone
from email.utils import parsedate_to_datetime

LATER = frozenset({429, 503})
"""Too many requests; not now: the answers that may be others after that time."""
LONGEST_S = 1e9
"""What is asked for beyond it, as dates of the year 9999 do, no clock can wait for."""
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def asked_wait_s(status: int, value: str | None) -> float | None:
    """Seconds for an answer of this status whose header says ``value``; None where it asks for nothing that is clear.

    A date is held to this machine's clock; one that has passed is no time.
    """
    text = (value or "").strip()
    if status not in LATER or not text:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
        if when.tzinfo is None:  # `-0000`; all dates of HTTP are in GMT
            when = when.replace(tzinfo=timezone.utc)  # noqa: UP017 (images with Python 3.10 have no UTC)
        return min(max(0.0, when.timestamp() - time.time()), LONGEST_S)
    except (ValueError, TypeError, OverflowError):
        return None


def asks(wait_s: float | None) -> str:
    """The same in words that follow a status; empty where it asks for nothing."""
    return "" if wait_s is None else f" and asks to wait {wait_s:,.0f} s"
