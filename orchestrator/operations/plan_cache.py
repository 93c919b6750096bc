"""Plans, made once: a plan is kept in the cache beside the signature of all that it was made of.

Planning imports pydantic, jinja2 and yaml and reads every recipe; with the plan cached,
`mlorch plan` and a build that finds everything cost one stat per file. The cached form is
used only while the files' signature, the selection, the environment's MLORCH_* and
mlorch's version are the same, so a stale plan cannot be met.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.facts.build import BuildPlan
from orchestrator.facts.codec import from_plain, to_plain
from orchestrator.host.files import atomic_write_text
from orchestrator.host.signature import signature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


AUTO = "auto"
"""The word for a target that asks for detection, as leaving it out does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a command line selects, before anything is looked up; `target` None means the detected one."""

    target: str | None = None
    benchmarks: tuple[str, ...] = ()
    """None of them named means the default ones; `every` all whose layers are locked."""
    every: bool = False
    platform: str | None = None
    arch: str | None = None
    """What device code is built for; None means the devices here, else the target's default."""
    base_source: str = ""
    round: str = ""
    """The round whose rules hold; empty for the one that each benchmark names."""
    side: str = ""
    """The layer of a side image (`prep`), instead of benchmarks."""
    changes: tuple[str, ...] = ()
    """What `--set` says of the benchmarks: ``KEY=VALUE``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPlans:
    """The plans of a selection, and the folders whose files they were made of."""

    plans: tuple[BuildPlan, ...]
    roots: tuple[str, ...]
    signature: str = ""
    """Of those files before they were read: one that was edited meanwhile must not pass for what was read."""


def cached_plans(
    selection: Selection,
    make: Callable[[Selection], CachedPlans],
    *,
    cache: Path,
    watched: Sequence[str] = (),
    decided_by: Sequence[object] = (),
) -> CachedPlans:
    """The plans of `selection`: kept ones when nothing changed, else made by `make` and kept.

    `watched` are files that decide which roots there are (mlorch.yaml), in place or not;
    `decided_by` is what else a plan follows: recipes by commit, --locked, the devices that decided target or arch.
    """
    place = cache / "plans" / f"{_key(selection, watched, decided_by)}.json"
    kept = _read(place)
    if kept is not None:
        return kept
    fresh = make(selection)
    document = {
        "roots": list(fresh.roots),
        "signature": fresh.signature or signature(fresh.roots),
        "plans": [to_plain(plan) for plan in fresh.plans],
    }
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(place, json.dumps(document), overwrite=True)
    except OSError:
        pass  # the cache is a convenience: a full or read-only disk must not stop a plan
    return fresh


def _key(selection: Selection, watched: Sequence[str], decided_by: Sequence[object]) -> str:
    environment = sorted((k, v) for k, v in os.environ.items() if k.startswith("MLORCH_"))
    stats = [_stat(path) for path in watched]
    form = [__version__, to_plain(selection), str(Path.cwd()), environment, stats, list(decided_by)]
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def _stat(path: str) -> list[object]:
    try:
        found = os.stat(path)  # noqa: PTH116 (one call, on the hot path)
    except OSError:
        return [path, None]
    return [path, found.st_mtime_ns, found.st_size, found.st_ino]


def _read(place: Path) -> CachedPlans | None:
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
        roots = tuple(document["roots"])
        if document["signature"] != signature(roots):
            return None
        return CachedPlans(plans=tuple(from_plain(BuildPlan, plan) for plan in document["plans"]), roots=roots)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, torn or of another version: make it anew
