"""Whether a harness can be the client of servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.servers import CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.definitions.kinds.harnesses import Harness
    from orchestrator.definitions.kinds.servers import Role

NO_CLIENT_HINT = "see docs/runs-of-several-containers.md, or take `roles` out of the benchmark"
_NAMES = ("endpoint.url", "endpoint.urls")


def why_no_client(harness: Harness, roles: Mapping[str, Role]) -> Iterator[str]:
    """What keeps somebody else's program from being the client of ``roles``; nothing where it can be one."""
    program, whose = harness.program, f"harness `{harness.name}`, somebody else's program,"
    if program is None:
        return
    if not any(f"{{{name}" in program.model_dump_json() for name in _NAMES):
        yield f"{whose} names its servers nowhere ({{endpoint.url}} or {{endpoint.urls}}), so it cannot find them"
    network = next((one for one in program.deviations if one.what == "network"), None)
    if network is not None:
        yield f"{whose} wants the network `{network.value}`, and a client of servers has the run's own and no other"
    if roles[CLIENT].processes is not None:
        yield f"{whose} has no `processes`: those are of mlorch's own client"
