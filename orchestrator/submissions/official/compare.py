"""Both verdicts side by side: rows and refusals of both, of ours only, of theirs only, and why. Pure.

A difference is explained where our check with the known defects kept (`--as-official`) does not have it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.submissions.defects import defects_of_column, defects_of_rule
from orchestrator.submissions.official.said import rows_in
from orchestrator.submissions.rows import summary_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.submissions.check import Checked
    from orchestrator.submissions.findings import Finding
    from orchestrator.submissions.official.said import Said

_AS_OFFICIAL = "as with --as-official"
"""Why where it has no id: our check that keeps the defects says the same as the official one."""
Rows = dict[tuple[str, int], dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that only one of both says, or that both say otherwise.

    ``what`` is `row` or `refused`, ``whose`` is `ours`, `theirs` or `both`; ``why`` are ids of defects, else of rules
    with what the official checker does; empty where nothing explains it.
    """

    what: str
    whose: str
    path: str
    values: tuple[tuple[str, str, str], ...] = ()
    """Of a row of both: column, our value, theirs."""
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Both verdicts."""

    rows_alike: int
    refused_alike: int
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """What no known defect explains."""
        return tuple(one for one in self.differences if not one.why)


def side_by_side(ours: Checked, kept: Checked, theirs: Said, depth: int) -> SideBySide:
    """Our check, our check with the known defects kept, and the official one; nothing of one that came to no end.

    ``depth`` is how many folders a result lies deep.
    """
    if theirs.rows is None:
        return SideBySide(rows_alike=0, refused_alike=0, differences=())
    own, official = _keyed(_own_rows(ours, depth)), _keyed(_own_rows(kept, depth, as_official=True))
    said = _keyed(theirs.rows or ())
    rows = list(_rows(own, official, said, ours, kept))
    alike = sum(key in said and own[key] == said[key] for key in own)
    mine, other = (_named_alike(each.refused, theirs.refused, depth) for each in (ours, kept))
    refused = [
        Difference(
            what="refused",
            whose="ours" if path in mine else "theirs",
            path=path,
            why=_why(path, ours, kept) if (path in other) == (path in theirs.refused) else (),
        )
        for path in sorted(mine ^ theirs.refused)
    ]
    return SideBySide(rows_alike=alike, refused_alike=len(mine & theirs.refused), differences=(*rows, *refused))


def _named_alike(ours: Iterable[str], theirs: frozenset[str], depth: int) -> frozenset[str]:
    """What we refuse; where that is a model as a whole, and they name its results, as they name it."""
    mine = frozenset(ours)
    found = set(mine)
    for path in mine:
        below = {one for one in theirs if one.startswith(f"{path}/")}
        is_model = path.count("/") == depth - 2 and path not in theirs
        if is_model and below and not any(one.startswith(f"{path}/") for one in mine):
            found = (found - {path}) | below
    return frozenset(found)


def _own_rows(checked: Checked, depth: int, *, as_official: bool = False) -> tuple[dict[str, str], ...]:
    """Our rows as theirs are read: from the text of the summary, so that what breaks one breaks both."""
    form = checked.form if as_official else ""
    return rows_in(summary_text(checked.columns, checked.rows, as_official=form), depth)


def _keyed(rows: Iterable[dict[str, str]]) -> Rows:
    """Rows by the folder of their result; of one that shows its power too there are two."""
    seen: Counter[str] = Counter()
    found = {}
    for row in rows:
        place = row["Location"]
        found[place, seen[place]] = row
        seen[place] += 1
    return found


def _rows(own: Rows, official: Rows, said: Rows, ours: Checked, kept: Checked) -> Iterator[Difference]:
    for key in sorted(own.keys() | said.keys()):
        mine, theirs, known = own.get(key), said.get(key), official.get(key)
        if mine is not None and theirs is not None:
            columns = [name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)]
            values = tuple((name, mine.get(name, ""), theirs.get(name, "")) for name in sorted(columns))
            if values:
                yield Difference(
                    what="row", whose="both", path=key[0], values=values, why=_why_values(values, known, theirs)
                )
            continue
        explained = (known is None) == (theirs is None)
        whose = "ours" if theirs is None else "theirs"
        yield Difference(what="row", whose=whose, path=key[0], why=_why(key[0], ours, kept) if explained else ())


def _why_values(
    values: Iterable[tuple[str, str, str]], known: Mapping[str, str] | None, theirs: Mapping[str, str]
) -> tuple[str, ...]:
    """The defects behind other values; empty where one of them is not known."""
    found: dict[str, None] = {}
    for name, mine, _ in values:
        if known is None or known.get(name) != theirs.get(name):
            return ()
        broken = ("summary-not-quoted",) if {'"', ","}.intersection(mine) else (_AS_OFFICIAL,)
        found |= dict.fromkeys(defects_of_column(name) or broken)
    return tuple(found)


def _why(path: str, ours: Checked, kept: Checked) -> tuple[str, ...]:
    """What one of our checks finds at a place, and the other does not hold against it.

    All of a submitter's results may be refused for what lies beside them.
    """
    return _why_here(path, ours, kept) or _why_here(path.rpartition("/")[0], ours, kept) or (_AS_OFFICIAL,)


def _why_here(path: str, ours: Checked, kept: Checked) -> tuple[str, ...]:
    mine, theirs = _refusing(path, ours), _refusing(path, kept)
    found: dict[str, None] = {}
    for key, one in mine.items():
        if one.official != "refuse":
            does = "tells" if one.official == "tell" else "does not look at"
            found |= dict.fromkeys(defects_of_rule(one.rule) or (f"{one.rule}, which the official checker {does}",))
        elif key not in theirs:
            found |= dict.fromkeys(defects_of_rule(one.rule) or (one.rule,))
    for key, one in theirs.items():
        if one.official == "refuse" and key not in mine:
            found |= dict.fromkeys(defects_of_rule(one.rule) or (one.rule,))
    return tuple(found)


def _refusing(path: str, checked: Checked) -> dict[tuple[str, str], Finding]:
    """What is wrong at a place, by rule and where it is."""
    return {(one.rule, one.path): one for one in _about(path, checked.findings) if one.level == "error"}


def _about(path: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Those of a place, of what is below it, and of what holds it."""
    for one in findings:
        if one.path == path or one.path.startswith(f"{path}/") or path.startswith(f"{one.path}/"):
            yield one
