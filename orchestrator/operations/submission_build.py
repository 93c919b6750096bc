"""The tree of a round, built from records of runs. A request in, a result object out; `document` is its `--json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.kinds.submissions import SubmissionOverlay
from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.facts.compliance import CLOSED
from orchestrator.facts.compliance import MODE as COMPLIANCE
from orchestrator.operations.results import no_results_error, swept
from orchestrator.results.verify.verification import verify_hashes
from orchestrator.submissions.build.choose import MODES, TreeRequest, choose
from orchestrator.submissions.build.evidence import evidence_of
from orchestrator.submissions.build.layout import FOLDER_NAME, require_built
from orchestrator.submissions.build.plan import plan_tree
from orchestrator.submissions.build.write import write_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.facts.rounds import RoundRules
    from orchestrator.operations.context import Context
    from orchestrator.results.store import Store
    from orchestrator.submissions.build.choose import Choice
    from orchestrator.submissions.build.evidence import Evidence
    from orchestrator.submissions.build.plan import TreePlan
    from orchestrator.submissions.build.write import Written

DIVISIONS = ("open", "closed", "network")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What is asked for: whose tree of which round from which folder of results, and where it goes.

    ``runs`` are the only ones that are looked at, where some are named; ``short`` takes tests that are shorter than
    the round asks for. With ``dry`` nothing is written.
    """

    round: str
    submitter: str
    results: Path
    tree: Path
    division: str = "open"
    system: str = ""
    overlay: Path | None = None
    runs: tuple[str, ...] = ()
    short: bool = False
    dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionBuild:
    """What was planned, and what became of it; ``written`` is None of a dry run."""

    request: BuildRequest
    plan: TreePlan
    written: Written | None = None

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        written = self.written
        return {
            "tree": str(self.request.tree),
            "round": self.request.round,
            "division": self.plan.division,
            "submitter": self.plan.submitter,
            "results": [
                {
                    "system": one.place.system,
                    "model": one.place.model,
                    "stands_for": one.pair.record.stands_for,
                    "scenario": one.place.scenario,
                    "performance": one.pair.record.run_id,
                    "accuracy": one.pair.accuracy.record.run_id,
                    "tests": {test.record.test_name: test.record.run_id for test in one.pair.tests},
                    "remarks": list(one.remarks),
                    "files": [f"{self.plan.root}/{path}" for path in one.files],
                }
                for one in self.plan.results
            ],
            "lacks": [
                {
                    "benchmark": one.benchmark,
                    "scenarios": list(one.scenarios),
                    "why": list(one.why),
                    "command": list(one.command),
                    "runs": list(one.runs),
                }
                for one in self.plan.lacks
            ],
            "unknown": {
                group: {name: list(fields) for name, fields in named.items()}
                for group, named in self.plan.unknown.items()
            },
            "others": self.plan.others,
            "written": None if written is None else _written_document(written),
            "kept": {} if written is None else {path: list(fields) for path, fields in written.kept},
        }


def _written_document(written: Written) -> dict[str, int]:
    return {"added": written.added, "replaced": written.replaced, "unchanged": written.unchanged}


def build_submission(context: Context, request: BuildRequest) -> SubmissionBuild:
    """Plan the tree, and write it unless this is a dry run.

    Raises:
        UsageError: a name that cannot stand in a tree, a division or a round of which none can be built, fields of
            systems and measurements that nobody has said (`submission-fields`).
        DefinitionError: faults of the overlay, each with line and column.
        NothingSelectedError: no run can become a result.
        StepFailed: the place of a result is somebody else's (`submission-tree`), a run changed meanwhile.
    """
    _check(request)
    require_built(request.round)
    rules = context.catalog.round_rules(request.round)
    overlay = _overlay(request.overlay)
    store = swept(request.results, context.talk)
    found = _evidence(store, request)
    official = {one.definition.name for one in context.catalog.benchmarks() if one.definition.official}
    asked = TreeRequest(
        division=request.division,
        submitter=request.submitter,
        system=request.system,
        official=official,
        short=request.short,
    )
    choice = _chosen(found, rules, asked)
    if request.system and len({pair.performance.system for pair in choice.pairs}) > 1:
        raise _several_systems(choice)
    plan = plan_tree(choice, rules, overlay, asked)
    if request.dry:
        return SubmissionBuild(request=request, plan=plan)
    if not plan.results:
        raise _nothing(plan)
    if plan.unknown:
        raise _unknown(plan)
    written = write_tree(plan, request.tree, renew_systems=request.overlay is not None)
    return SubmissionBuild(request=request, plan=plan, written=written)


def _check(request: BuildRequest) -> None:
    for what, name in (("submitter", request.submitter), ("system", request.system)):
        if not FOLDER_NAME.fullmatch(name) and (name or what == "submitter"):
            raise UsageError(
                f"`{name}` cannot be the name of a {what}: it is a folder of the tree",
                hint="use letters, digits, dots, - and _, and begin with a letter or a digit",
                slug="submission-name",
            )
    if request.division not in DIVISIONS:
        raise UsageError(f"there is no division `{request.division}`", hint=f"known: {', '.join(DIVISIONS)}")
    if request.division == "network":
        raise UsageError(
            "no tree of the network division can be built",
            hint="its LoadGen and its system under test are two machines, which mlorch does not run; --division closed",
            slug="submission-division",
        )


def _overlay(path: Path | None) -> SubmissionOverlay:
    if path is None:
        return SubmissionOverlay()
    from orchestrator.definitions.yaml import decode, read_document

    if not path.exists():
        raise UsageError(
            f"there is no overlay {path}",
            hint="--dry-run prints one to fill in (docs/submission-build.md)",
            slug="no-overlay",
        )
    document = read_document(path)
    return SubmissionOverlay() if document.says_nothing else decode(document, SubmissionOverlay)


def _official(request: BuildRequest) -> str:
    return f"--round {request.round} --division {request.division} --official"


def _evidence(store: Store, request: BuildRequest) -> tuple[Evidence, ...]:
    """Runs that ended, newest first; compliance tests among them where the division asks for them."""
    runs, modes = request.runs, (*MODES, COMPLIANCE) if request.division == CLOSED else MODES
    entries = [store.find(run) for run in runs] if runs else store.entries()
    if not entries:
        raise no_results_error(store.root, f"mlorch run BENCHMARK {_official(request)}")
    for entry in entries if runs else ():
        entry.need()
    records = [(entry.record, entry.folder) for entry in entries if entry.record is not None]
    ended = [each for each in records if each[0].status in {"done", "failed"} and each[0].mode in modes]
    newest = sorted(ended, key=lambda each: each[0].started.unix_ns, reverse=True)
    return tuple(evidence_of(record, folder) for record, folder in newest)


def _chosen(found: Sequence[Evidence], rules: RoundRules, request: TreeRequest) -> Choice:
    """The runs that are taken, each of which verifies; in place of one that does not an older one is looked for."""
    changed: dict[str, str] = {}
    checked: set[str] = set()
    while True:
        choice = choose(found, rules, request, changed=changed)
        taken = {one.record.run_id: one.folder for pair in choice.pairs for one in pair.runs}
        new = taken.keys() - checked
        if not new:
            return choice
        for run_id in new:
            checked.add(run_id)
            faults = verify_hashes(taken[run_id]).faults
            if faults:
                changed[run_id] = f"{faults[0].file}: {faults[0].message}"


def _several_systems(choice: Choice) -> UsageError:
    systems = {pair.performance.system for pair in choice.pairs}
    words = sorted(f"{one.target}, {one.framework or 'no framework'}" for one in systems)
    return UsageError(
        f"the results are of {len(systems)} systems ({'; '.join(words)}), and --system-name names one",
        hint="leave it out, or name the RUNs of one system",
        slug="submission-systems",
    )


def _nothing(plan: TreePlan) -> NothingSelectedError:
    lacks = [f"{one.benchmark} {', '.join(one.scenarios)}: {'; '.join(one.why)}" for one in plan.lacks[:3]]
    short = (
        "; --short takes tests that are too short for the round"
        if any("--official" in one.command for one in plan.lacks)
        else ""
    )
    return NothingSelectedError(
        f"no run can become a result of this round: {' | '.join(lacks) or 'none has ended'}",
        hint=f"`mlorch submission build … --dry-run` tells what lacks of each, and the command that makes it{short}",
    )


def _unknown(plan: TreePlan) -> UsageError:
    words = [f"{name}: {', '.join(fields)}" for named in plan.unknown.values() for name, fields in named.items()]
    return UsageError(
        f"nobody has said what must not be empty: {'; '.join(words)}",
        hint="say it in a file for --overlay; `--dry-run` prints one to fill in (docs/submission-build.md)",
        slug="submission-fields",
    )
