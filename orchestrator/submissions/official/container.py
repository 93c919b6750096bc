"""The container of a round's official checker: the tree read-only, a folder for its summary, no network. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.containers import OWNER_LABEL, ContainerSpec, Mount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.facts.checker_rules import Program

TREE, OUT, SUMMARY = "/tree", "/out", "summary.csv"
_MEMORY = 4 << 30
"""The checkers take some ten million bytes; a log that is one endless line is read as one."""


def checker_command(
    program: Program, folder: str, round_name: str, *, submitter: str = "", skip: Iterable[str] = ()
) -> tuple[str, ...]:
    """The command; of the rules to skip those count that the checker can be told to skip.

    ``folder`` is the repository's in the image. A checker that is a folder is a package, started by its main.py.
    """
    start = program.path if program.path.endswith(".py") else f"{program.path}/main.py"
    words = ["python3", f"{folder}/{start}", "--input", ".", "--version", round_name, "--csv", f"{OUT}/{SUMMARY}"]
    if submitter:
        words += ["--submitter", submitter]
    return (*words, *(program.skips[rule] for rule in skip if rule in program.skips))


def checker_container(
    name: str, image: str, command: tuple[str, ...], user: str, *, tree: str, out: str, owner: str
) -> ContainerSpec:
    """The container, started in the tree, so that paths are told as they are below it."""
    labels: Mapping[str, str] = {"org.mlorch.run": name, OWNER_LABEL: owner}
    return ContainerSpec(
        name=name,
        image=image,
        command=command,
        user=user,
        mounts=(Mount(source=tree, target=TREE), Mount(source=out, target=OUT, read_only=False)),
        tmpfs={"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=268435456"},  # noqa: S108 (in the container)
        env={"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},  # noqa: S108
        labels=labels,
        network="none",
        read_only=True,
        memory=_MEMORY,
        pids=256,
        workdir=TREE,
    )
