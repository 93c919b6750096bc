"""Whether something useful answers at an address."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.http.client import Client, Request
from orchestrator.http.failures import HttpError, Limits


def answers(url: str, timeout_s: float = 4.0, client: Client | None = None) -> str:
    """Why nothing useful answers at `url`; empty where something does, be it to say that there is no such page."""
    limits = Limits(connect_s=timeout_s, idle_s=timeout_s)
    try:
        with replace(client or Client(), limits=limits).send(Request(url=url)) as answer:
            status = answer.status
    except HttpError as error:
        return "does not answer in time" if error.slug == "http-slow" else error.reason
    return f"answers {status}" if status in {401, 403, 407} or status >= 500 else ""
