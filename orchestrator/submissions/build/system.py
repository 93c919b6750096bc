"""The JSON of a system: what the record's host facts say, and what the submitter adds. Pure.

Which fields must say something is the round's to say (`CheckerRules.fields`).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import one_line
from orchestrator.submissions.build.evidence import devices_of, framework_of, packages_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orchestrator.facts.record import RunRecord
    from orchestrator.submissions.build.evidence import SystemKey

NO_ACCELERATOR = "N/A"
_GIB = 2**30
_ACCELERATOR_FIELDS = (
    "accelerator_model_name",
    "accelerator_memory_capacity",
    "accelerator_memory_configuration",
    "accelerator_host_interconnect",
    "accelerator_interconnect",
    "accelerator_interconnect_topology",
    "accelerator_frequency",
    "accelerator_on-chip_memories",
)
_ASKED = (
    "host_memory_configuration",
    "host_storage_capacity",
    "host_storage_type",
    "host_networking",
    "host_network_card_count",
    "host_networking_topology",
    "cooling",
)
"""What no operating system says, or mlorch does not ask it for."""


def system_document(record: RunRecord, submitter: str, division: str, overlay: Mapping[str, str]) -> dict[str, object]:
    """The system's JSON; what nobody has said is empty."""
    document: dict[str, object] = {
        "division": division,
        "submitter": submitter,
        **dict.fromkeys(("status", "system_type", "system_type_detail"), ""),
        "system_name": system_title(record),
        "number_of_nodes": 1,
        **_host(record),
        **dict.fromkeys(_ASKED, ""),
        **_accelerators(record),
        **_software(record),
    }
    return {**document, **overlay}


def unsaid(document: Mapping[str, object], filled: Collection[str]) -> tuple[str, ...]:
    """Of the fields that a round wants ``filled`` those that say nothing, in the document's order."""
    return tuple(name for name in dict.fromkeys((*document, *filled)) if name in filled and not document.get(name))


def _host(record: RunRecord) -> dict[str, object]:
    """Of the host's processors and memory, as far as its record says them."""
    host = record.host
    sockets, cores = _count(host.get("sockets")) or 1, host.get("cores")
    memory = _count(host.get("memory_total"))
    return {
        "host_processor_model_name": one_line(str(host.get("cpu_model") or "")),
        "host_processors_per_node": sockets,
        "host_processor_core_count": len(cores) // sockets if isinstance(cores, list) else 0,
        "host_processor_frequency": "",
        "host_processor_caches": "",
        "host_processor_interconnect": "",
        "host_memory_capacity": f"{memory / _GIB:.0f} GiB" if memory else "",
    }


def _accelerators(record: RunRecord) -> dict[str, object]:
    """The checkers take the number 0 for an empty field, and a text for a number."""
    products = Counter(devices_of(record))
    if not products:
        return {"accelerators_per_node": "0", **dict.fromkeys(_ACCELERATOR_FIELDS, NO_ACCELERATOR)}
    known = [one_line(name) for name in products if name != "device"]
    names = ", ".join(known)
    return {
        "accelerators_per_node": str(products.total()),
        **dict.fromkeys(_ACCELERATOR_FIELDS, ""),
        "accelerator_model_name": names,
    }


def _software(record: RunRecord) -> dict[str, object]:
    host, engine = record.host, record.engine
    python = record.container_facts.get("python")
    stack = [
        f"Python {python}" if python else "",
        *(f"{name} {at}" for name, at in sorted(packages_of(record).items())),
    ]
    stack += [f"{engine.get('name', '')} {engine.get('version', '')}".strip(), f"mlorch {record.mlorch_version}"]
    system = ", ".join(filter(None, (str(host.get("distribution") or ""), _linux(host.get("kernel")))))
    virtual = str(host.get("virtualisation") or "")
    return {
        "framework": one_line(framework_of(record)),
        "operating_system": one_line(system),
        "other_software_stack": one_line(", ".join(filter(None, stack))),
        "hw_notes": one_line({"": "", "unknown": "virtual machine"}.get(virtual, f"virtual machine ({virtual})")),
        "sw_notes": "",
    }


def _linux(kernel: object) -> str:
    return f"Linux {kernel}" if kernel else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def system_title(record: RunRecord) -> str:
    """What people may call the system: ``8x NVIDIA H200``, ``2x Intel(R) Xeon(R) …``."""
    products = Counter(devices_of(record))
    if products:
        return ", ".join(f"{count}x {one_line(name)}" for name, count in products.items())
    sockets = _count(record.host.get("sockets")) or 1
    return f"{sockets}x {one_line(str(record.host.get('cpu_model') or 'processor'))}"


def default_name(key: SystemKey, title: str) -> str:
    """The name of a system in the tree: its parts and its framework, in letters that a path may have."""
    return _as_name(f"{title} {key.framework or key.target}")


def longer_name(key: SystemKey, name: str) -> str:
    """The name of a system whose parts and framework another one has too."""
    return _as_name(f"{name[:80]} {key.machine[:8]} {key.target[:10]}")


def _as_name(words: str) -> str:
    words = re.sub(r"\((?:R|TM|C)\)", "", words, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.")[:100] or "system"
