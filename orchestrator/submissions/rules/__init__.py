"""The rules of a submission: small pure functions over facts, each with its id, source and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.rules.accuracy import ACCURACY_RULES
from orchestrator.submissions.rules.compliance import COMPLIANCE_RULES
from orchestrator.submissions.rules.layout import BESIDE_RULES, SUBMITTER_RULES, TREE_RULES
from orchestrator.submissions.rules.measurements import MEASUREMENT_RULES
from orchestrator.submissions.rules.models import MODEL_RULES, SCENARIO_RULES
from orchestrator.submissions.rules.performance import PERFORMANCE_RULES, RUN_RULES
from orchestrator.submissions.rules.power import POWER_RULES
from orchestrator.submissions.rules.systems import SYSTEM_RULES

if TYPE_CHECKING:
    from orchestrator.submissions.findings import Rule

ALL_RULES: tuple[Rule, ...] = (  # type: ignore[type-arg]  # rules of different subjects
    *TREE_RULES,
    *SUBMITTER_RULES,
    *BESIDE_RULES,
    *SYSTEM_RULES,
    *SCENARIO_RULES,
    *MEASUREMENT_RULES,
    *ACCURACY_RULES,
    *PERFORMANCE_RULES,
    *RUN_RULES,
    *POWER_RULES,
    *COMPLIANCE_RULES,
    *MODEL_RULES,
)
"""Every rule, in the order in which a tree is looked at."""
