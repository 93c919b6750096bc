"""A benchmark of several containers, for the tests of roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from run_parts import a_benchmark, a_host, a_run_environment, a_workload

from orchestrator.definitions.kinds.servers import Server
from orchestrator.facts.host import NumaNode
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices

if TYPE_CHECKING:
    from orchestrator.facts.runs import RunStep


def a_server(**changes: object) -> Server:
    fields = {
        "kind": "server", "name": "llamacpp", "title": "a server", "backend": "llamacpp",
        "images": {"cpu": "serve-llamacpp"},
        "command": ["serve", "{model.file}", "--port", "{port}", "--threads={param.threads}", "--cpus={cpu_list}"],
        "env": {"REPLICA": "{replica}"},
        "parameters": {"threads": {"type": "int", "default": "{cpus}"}},
    }  # fmt: skip
    return Server.model_validate(fields | changes)


def _cores(count: int) -> dict[str, object]:
    """A host's processors, two threads a core, where there are more than its usual two cores."""
    if count == 2:
        return {}
    threads = tuple(range(2 * count))
    nodes = (NumaNode(node=0, cpus=threads, memory=16 * 2**30),)
    cores = tuple((core, core + count) for core in range(count))
    return {"cores": cores, "online_cpus": threads, "allowed_cpus": threads, "nodes": nodes}


def a_served_step(
    *,
    mode: str = "performance",
    recipe: Server | None = None,
    cores: int = 2,
    name: str = "20260101T000000Z-x",
    **changes: object,
) -> RunStep:
    """One test of a client and its servers on so many cores; ``changes`` are of the benchmark's roles."""
    roles = {"server": {"server": "llamacpp"}, "client": {"cpus": 1}} | changes
    workload = a_workload(
        benchmark=a_benchmark(roles=roles),
        servers={"llamacpp": recipe or a_server()},
        server_images={"llamacpp": "mlorch/serve-llamacpp-cpu:0123"},
    )
    cell = Cell(scenario="Offline", mode=mode)
    return plan_run(workload, a_run_environment(host=a_host(**_cores(cores))), cell, name, Choices())
