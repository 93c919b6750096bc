"""Compliance tests of a round: what one asks for, what it is compared with, and what the record keeps of it.

A compliance test is a performance test with settings of MLCommons' (audit.config), which a script of MLCommons' then
compares with the results of the same system.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field
from typing import Literal, get_args

from orchestrator.facts.containers import ContainerSpec  # noqa: TC001 (as above)

MODE = "compliance"
"""The mode of such a test."""
Division = Literal["closed", "network", "open"]
DIVISIONS: tuple[str, ...] = get_args(Division)
CLOSED = "closed"
"""The division that counts where tests are asked for and nobody named one."""
ASKING = frozenset({CLOSED, "network"})
"""Those that ask for compliance tests."""
PLACEHOLDERS = frozenset({"scripts", "results", "test", "output", "dtype", "scenario"})
"""What the command of a verification may ask for, in braces."""
FOLDER = "compliance"
"""Where a run's folder has what the script wrote, in a folder of the test's name."""
FAILS = ("TEST FAIL",)
"""How lines begin with which MLCommons' scripts say that a test is not passed, where its round says nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceTest:
    """One test of one model: ``audit`` are LoadGen's settings, ``files`` what its script leaves.

    ``compared_with`` are the modes of the tests that it is compared with; ``passes`` has, of some files, the line that
    says so where it is passed, ``fails`` how lines begin that say why it is not.
    """

    name: str
    round: str
    audit: Mapping[str, int]
    compared_with: tuple[str, ...]
    command: tuple[str, ...]
    files: tuple[str, ...]
    passes: Mapping[str, str]
    fails: tuple[str, ...] = FAILS


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """A test that a compliance test is compared with: its mode, id and folder on this host.

    ``settings`` are those that it ran with, by the names of settings.json (``min_duration_ms``, ``batch``); empty
    where it has not run yet. ``stored``: it ran before, and was found.
    """

    mode: str
    run_id: str
    folder: str
    settings: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """The sha256 of each log that the script is given, by name, as its record has them."""
    stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCompliance:
    """A compliance test as it will be verified: by which container, of which commit of MLCommons' repository."""

    test: ComplianceTest
    commit: str
    compared: tuple[ComparedRun, ...]
    verification: ContainerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFact:
    """A test that a compliance test was compared with: the sha256 of each file that the script was given."""

    mode: str
    run_id: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceFact:
    """What the record keeps of a compliance test; ``files``, ``passes`` and ``fails`` as its round has them."""

    test: str
    round: str
    commit: str
    image: str
    command: tuple[str, ...]
    compared: tuple[ComparedFact, ...]
    files: tuple[str, ...]
    passes: Mapping[str, str]
    fails: tuple[str, ...] = FAILS
