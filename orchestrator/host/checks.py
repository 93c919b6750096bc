"""Carries out the host checks of targets: files of the kernel against what recipes expect of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.host.sysfs import matches, taken, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.targets import HostCheck, Target
    from orchestrator.host.accelerators import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found. ``ok`` is None where the machine has no such file, which stops nothing."""

    name: str
    level: str
    ok: bool | None
    found: str
    wanted: str
    file: str
    why: str
    hint: str

    @property
    def stops(self) -> bool:
        """Whether a run must not start."""
        return self.level == "need" and self.ok is False


def checks_of(target: Target, catalog: Catalog) -> tuple[HostCheck, ...]:
    """The checks that a target shares with others, then its own; an own one replaces a shared one of its name."""
    found: dict[str, HostCheck] = {}
    for name in target.host:
        shared = catalog.host_checks(name).definition
        found |= {check.name: check for check in shared.checks}
    return tuple((found | {check.name: check for check in target.checks}).values())


def check_host(checks: Iterable[HostCheck], machine: Machine) -> Iterator[Finding]:
    """What each check finds on a machine; those for another kind of machine are left out."""
    for check in checks:
        if not check.machine or machine.machine in check.machine:
            yield _finding(check, machine.root)


def _finding(check: HostCheck, root: Path) -> Finding:
    values = dict.fromkeys(_values(check, root))
    if values:
        bad = [value for value in values if not _fits(check, value)]
        ok: bool | None = not bad
        found = ", ".join(bad or values)
    else:
        ok, found = (False if check.absent == "fail" else None), "nothing"
    return Finding(
        name=check.name,
        level=check.level,
        ok=ok,
        found=found,
        wanted=check.wanted,
        file=check.file,
        why=check.why,
        hint=check.hint,
    )


def _values(check: HostCheck, root: Path) -> Iterator[str]:
    for path in matches(check.file, root):
        value = taken(text_of(path), check.pattern)
        if value:
            yield value


def _fits(check: HostCheck, value: str) -> bool:
    if check.expected:
        return value in check.expected
    number = re.match(r"-?[0-9]+", value)
    if number is None:
        return False
    low, high = check.minimum, check.maximum
    return (low is None or int(number[0]) >= low) and (high is None or int(number[0]) <= high)
