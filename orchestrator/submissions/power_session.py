"""One session of the power client by itself, outside of a submission's tree: read, and judged by the rules of power."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from orchestrator.facts.checker_rules import PowerSession
from orchestrator.facts.power import POWER, RANGING, TESTING
from orchestrator.submissions.facts import (
    NOT_THERE,
    AccuracyFacts,
    MeasurementFacts,
    ResultFacts,
    RunFacts,
    SystemFacts,
)
from orchestrator.submissions.power import gather_power
from orchestrator.submissions.reading import Reader
from orchestrator.submissions.rules.power_session import SESSION_CHECKS
from orchestrator.submissions.tree import list_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.submissions.tree import Folder

CLIENT = PowerSession(clients=("b284d4cd4ccd7957",), ptdaemon=("1.11.1",), amperes_reset=(3, 4))
"""What v5.1 and the rounds after it accept: the power client of mlorch's image makes no other sessions."""
DETAIL = "mlperf_log_detail.txt"
_WANTED = frozenset((b"power_begin", b"power_end"))


def read_session(folder: Path, scenario: str) -> ResultFacts:
    """What lies in ``folder`` (`power`, `ranging`, `run_1`) as the facts of a result; nothing else of it is known."""
    root = list_tree(folder).root
    with closing(Reader(folder, _WANTED)) as reader:
        testing = _run(reader, root, TESTING)
        power = root.at(POWER)
        facts = None if power is None else gather_power(reader, root, power, testing, _run(reader, root, RANGING))
    return ResultFacts(
        system=SystemFacts(division="open", submitter="", name="", path="", description=NOT_THERE),
        model_name="",
        model="",
        folder=scenario,
        scenario=scenario,
        path="",
        measurements=MeasurementFacts(
            path="", sizes=None, above={}, json_name="", description=NOT_THERE, code="", code_there=False
        ),
        run=testing,
        accuracy=AccuracyFacts(path="", files=None, folders={}, text=NOT_THERE, log=NOT_THERE, log_bytes=None),
        power=facts,
    )


def session_faults(result: ResultFacts) -> Iterator[str]:
    """What the rules of power say against a session of our own client: ``file: what is wrong``."""
    for check in SESSION_CHECKS:
        try:
            yield from [f"{said.path.lstrip('/')}: {said.message}" for said in check(result, CLIENT)]
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            yield f"could not be judged: {type(error).__name__}: {error}"


def _run(reader: Reader, root: Folder, name: str) -> RunFacts:
    found = root.at(name)
    if found is None:
        return RunFacts(path=name, files=None, log=NOT_THERE)
    log = reader.detail(found.below(DETAIL)) if DETAIL in found.files else NOT_THERE
    return RunFacts(path=name, files=tuple(found.files), log=log)
