"""Hints of a system's fields: its names against its parts, its parts against themselves. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.facts.parts import words_of
from orchestrator.submissions.findings import Rule, Said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.findings import Rulebook
    from orchestrator.submissions.plausibility.platforms import PlatformRows

_MEMORY = re.compile(r"[0-9]+(?:gb?|tb|w)|hbm[0-9].*|nps[0-9]|gen[0-9]+|pcie[0-9]?")
"""Words of an accelerator's name with a digit that tell no kind apart."""
_NODES = re.compile(r"(?<![a-z0-9])([0-9]{1,4})-node(?:s|-([0-9])s)?(?![a-z0-9])|(?<![a-z0-9])([0-9]{1,4})n-cluster")
_STATED = re.compile(r"(epyc|xeon)(?:[ _-]*(?:platinum|gold|silver))?[ _-]*([0-9]{4}[a-z]?)(?![a-z0-9])")
_SEPARATOR = r"[\s_\-\u2010\u2011]"


def _kinds(name: str) -> list[str]:
    """The words of a part's name that tell it apart: those with a digit that are no size (`h100`, `9575f`, `4090`)."""
    words = (word for word in words_of(name) if re.search(r"[0-9]", word) and not _MEMORY.fullmatch(word))
    return [word for word in dict.fromkeys(words) if not word.isdecimal() or len(word) == 4]


def counted(text: str, kind: str) -> list[tuple[int, int]]:
    """How many of a kind of part a name states, as (groups, in each): `8x H100`, `4x8xH100`, `H100-SXM-80GBx8`."""
    text = text.casefold()
    if kind not in text:  # most are not, and a pattern costs more
        return []
    glued = "[a-z]*" if kind[0].isdigit() else ""
    before = rf"(?:([0-9]{{1,4}})\s*[x×]\s*)?([0-9]{{1,5}})\s*[x×]{_SEPARATOR}*(?:[a-z]+{_SEPARATOR}+){{0,4}}"
    found = [
        (int(match[1] or 1), int(match[2]))
        for match in re.finditer(rf"(?<![a-z0-9.]){before}{glued}{kind}(?![0-9])", text)
    ]
    after = rf"(?<![a-z0-9]){glued}{kind}(?![0-9])[a-z0-9_\-\u2010\u2011]*?x(?!86(?![0-9]))([0-9]{{1,5}})(?![a-z0-9])"
    return found + [(1, int(match[1])) for match in re.finditer(after, text)]


def _parts_in(field: str) -> list[list[str]]:
    """The kinds of each part that a field names: systems of several nodes may have several."""
    plain = re.sub(r"\([^()]*\)", " ", field)
    return [kinds for part in re.split(r",| and ", plain) if (kinds := _kinds(part))]


def _wrong(name: str, parts: list[list[str]], right: set[int]) -> int | None:
    """A number of parts that a name states and that is not right; of several parts their sum may be."""
    by_part = [[groups * each for kind in kinds for groups, each in counted(name, kind)] for kinds in parts]
    wrong = [number for numbers in by_part for number in numbers if number not in right]
    if not wrong or sum(numbers[0] for numbers in by_part if numbers) in right:
        return None
    return wrong[0]


def _accelerators(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    yield from _counts(system, "accelerator_model_name", "accelerators_per_node")


def _processors(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    yield from _counts(system, "host_processor_model_name", "host_processors_per_node")


def _counts(system: PlatformRows, name_field: str, count_field: str) -> Iterator[Said]:
    nodes, each = system.count("number_of_nodes"), system.count(count_field)
    if nodes is None or each is None:
        return
    part = system.fields[name_field]
    parts = _parts_in(part)
    for name in (*system.names, part):
        wrong = _wrong(name, parts, {each, nodes * each})
        if wrong is not None:
            whole = f", {nodes * each} on {nodes} nodes" if nodes > 1 else ""
            yield Said(system.path, f"`{name}` says {wrong} of {part}; `{count_field}` is {each}{whole}")


def _nodes(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    nodes, processors = system.count("number_of_nodes"), system.count("host_processors_per_node")
    for name in system.names:
        match = _NODES.search(name.casefold())
        if match is None:
            continue
        told = int(match[1] or match[3])
        if nodes is not None and told != nodes:
            yield Said(system.path, f"`{name}` says nodes: {told}; `number_of_nodes` is {nodes}")
        sockets = int(match[2]) if match[2] else None
        if sockets and processors is not None and sockets != processors:
            yield Said(system.path, f"`{name}` says {sockets} sockets; `host_processors_per_node` is {processors}")


def _other_accelerator(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    part = system.fields["accelerator_model_name"]
    if not _kinds(part) or system.accelerators is None:
        return
    known = {word for each in system.parts.accelerators for word in each.words if re.search("[0-9]", word)}
    for name in system.names:
        others = [kind for kind in sorted(known - set(words_of(part))) if counted(name, kind)]
        if others and not any(counted(name, kind) for kind in _kinds(part)):
            yield Said(system.path, f"`{name}` says {others[0].upper()}; `accelerator_model_name` is {part}")


def _other_processor(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    part = system.fields["host_processor_model_name"]
    own = [word for word in _kinds(part) if re.match(r"[0-9]{4}", word)]
    for name in system.names:
        for family, number in _STATED.findall(name.casefold()):
            same = any(word.startswith(number) or number.startswith(word) for word in own)
            if own and family in part.casefold() and not same:
                yield Said(
                    system.path,
                    f"`{name}` says {family.upper()} {number.upper()}; `host_processor_model_name` is {part}",
                )


def _cores(system: PlatformRows, _book: Rulebook) -> Iterator[Said]:
    part, told = system.fields["host_processor_model_name"], system.count("host_processor_core_count")
    cores = system.parts.cores_of(part)
    if cores is None or told is None or told <= cores:
        return
    processors = system.count("host_processors_per_node") or 1
    counts = {2 * cores: "its threads", processors * cores: f"all {processors}", 2 * processors * cores: "all threads"}
    what = f": {told} is that of {counts[told]}" if told in counts else ""
    yield Said(system.path, f"`host_processor_core_count` is {told}; {part} has {cores}{what}")


_OURS = "ours, by the fields of the system's description"
NAME_HINTS: tuple[Rule[PlatformRows], ...] = (
    Rule("odd-accelerators", "A system's names say as many accelerators as its fields.", _OURS,
         "Correct the name, or `accelerators_per_node` and `number_of_nodes`.", _accelerators,
         level="hint", official="skip"),
    Rule("odd-processors", "A system's names say as many processors as its fields.", _OURS,
         "Correct the name, or `host_processors_per_node`.", _processors, level="hint", official="skip"),
    Rule("odd-nodes", "A system's names say as many nodes as its fields.", _OURS,
         "Correct the name, or `number_of_nodes`.", _nodes, level="hint", official="skip"),
    Rule("odd-accelerator", "A system's names say the accelerator that its fields say.", _OURS,
         "Correct the name, or `accelerator_model_name`.", _other_accelerator, level="hint", official="skip"),
    Rule("odd-processor", "A system's names say the processor that its fields say.", _OURS,
         "Correct the name, or `host_processor_model_name`.", _other_processor, level="hint", official="skip"),
    Rule("odd-cores", "A processor has no more cores than its maker says.", "ours, by recipes/parts",
         "Say the cores of one processor: MLCommons' pages multiply them by processors and nodes.", _cores,
         level="hint", official="skip"),
)  # fmt: skip
