"""How both verdicts on a submission are shown, ours and the official checker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.commands.common import counted, shortened

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.submission_official import OfficialCheck
    from orchestrator.submissions.official.compare import Difference

_SHOWN = 50
"""Messages of the official checker; --json has all."""
_WHOSE = {"ours": "only ours", "theirs": "only the official one", "both": "both, with other values"}


def show_side_by_side(console: Console, found: OfficialCheck) -> None:
    """What the official checker said, what both say alike, and each difference with its reason."""
    ours, theirs, beside = found.ours, found.theirs, found.beside
    console.result()
    console.result(f"the official checker of {ours.checked.round} at {found.commit[:12]}:")
    for message in theirs.errors[:_SHOWN]:
        console.result(f"  {message}")
    left = len(theirs.errors) - _SHOWN + theirs.more_errors
    if left > 0:
        console.result(f"  … and {left:,} more (--json)")
    if not theirs.ended:
        console.result(f"  it came to no end (status {theirs.exit_code}{', ' + theirs.why if theirs.why else ''}):")
        for line in theirs.tail:
            console.result(f"  | {line}")
        return
    console.result()
    rows = theirs.rows or ()
    console.table(
        ("", "ours", "official", "alike"),
        [
            ("rows", f"{len(ours.checked.rows):,}", f"{len(rows):,}", f"{beside.rows_alike:,}"),
            ("refused", f"{len(ours.checked.refused):,}", f"{len(theirs.refused):,}", f"{beside.refused_alike:,}"),
            ("verdict", _verdict(ours.good), _verdict(theirs.good), "yes" if ours.good == theirs.good else "no"),
        ],
    )
    for one in beside.differences:
        _show_difference(console, one)
    if beside.unexplained:
        console.warn(
            f"{counted(len(beside.unexplained), 'difference')} that no known defect of the official checker explains"
        )


def _verdict(good: bool) -> str:  # noqa: FBT001 (what both answer)
    return "taken" if good else "refused"


def _show_difference(console: Console, one: Difference) -> None:
    why = "; ".join(one.why) or "not explained"
    console.result(f"{one.path or '(everything)'}: {one.what}: {_WHOSE[one.whose]}: {why}")
    for column, mine, theirs in one.values:
        console.result(f"  {column}: {shortened(mine)} here, {shortened(theirs)} there")
