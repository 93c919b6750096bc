"""`submission check --watch`: a tree that grows, checked anew when something changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import NothingSelectedError
from orchestrator.operations.submissions import check_submission, rulebook_of
from orchestrator.submissions.tree import list_submission
from orchestrator.submissions.watching import Changes, told_and_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.operations.context import Context
    from orchestrator.operations.submissions import CheckRequest, SubmissionCheck
    from orchestrator.submissions.findings import Finding

INTERVAL_S = 2.0
"""Seconds between looks at the tree; longer where a look takes long."""
STILL_S = 10.0
"""Seconds for which a file has to stay as it is until it counts as complete: LoadGen writes its logs in bursts."""
_SHARE = 4
"""A look may take a fifth of the time at most."""


class WatchStep(NamedTuple):
    """What is otherwise than at the step before."""

    check: SubmissionCheck | None
    """None while there are no results."""
    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]
    waiting: tuple[str, ...]
    """Paths of which something was found that is not told yet, as their files are still being written."""


def watch_submission(
    context: Context,
    request: CheckRequest,
    *,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
    interval_s: float = INTERVAL_S,
    still_s: float = STILL_S,
) -> Iterator[WatchStep]:
    """Check a tree, and again whenever something in it changes; a step for each difference, the first at once.

    It goes on until the caller stops asking. Only systems of which something changed are read again, as far as the
    cache can be written. Raises as `check_submission`, but for `no-results`: results may come.
    """
    divisions = rulebook_of(context, request.round, request.tree).checker.divisions
    changes = Changes(still_s)
    check: SubmissionCheck | None = None
    shown: _Shown | None = None
    while True:
        began = now()
        tree = list_submission(request.tree, divisions, request.submitter)
        if changes.look(tree, began, time.time_ns()):
            check = _checked(context, request)
        told, waiting = told_and_waiting(check.findings if check is not None else (), changes.moving(began))
        state = _Shown(told, waiting, check.checked.rows if check is not None else ())
        if state != shown:
            was = shown.told if shown is not None else ()
            yield WatchStep(check, _without(told, was), _without(was, told), waiting)
            shown = state
        pause(max(interval_s, (now() - began) * _SHARE))


class _Shown(NamedTuple):
    """What the caller knows."""

    told: tuple[Finding, ...]
    waiting: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _checked(context: Context, request: CheckRequest) -> SubmissionCheck | None:
    try:
        return check_submission(context, request)
    except NothingSelectedError:
        return None


def _without(findings: Iterable[Finding], others: Iterable[Finding]) -> tuple[Finding, ...]:
    known = {(each.rule, each.path, each.message) for each in others}
    return tuple(each for each in findings if (each.rule, each.path, each.message) not in known)
