"""Whose a run is; apart from the record, as every command asks which runs have lost theirs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The mlorch process that drives the run; with it a later one tells alive from orphaned.

    ``start_ticks`` is field 22 of ``/proc/PID/stat``: a reused pid has another.
    """

    pid: int
    start_ticks: int
    boot_id: str
    user: str = ""
