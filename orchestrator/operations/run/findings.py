"""Where what `--find` and `mlorch tune` found is kept, and what it belongs to: a system, a test, what exactly ran."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from orchestrator.runs.tuning import Tuned, key_of, load, store, tuned_for, tuning_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.record import RunRecord
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.plan import PlannedRun
    from orchestrator.operations.run.request import RunRequest


def system_of(request: RunRequest, host: HostFacts) -> str:
    """Whose findings they are: this host's, or of what is behind an endpoint, which is another one at another address.

    Another model at the same address is another system too.
    """
    if not request.endpoint:
        return host.system_id
    return "endpoint-" + _digest(_address(request.endpoint), request.endpoint_model)


def findings_file(request: RunRequest, host: HostFacts) -> Path:
    """Where the findings lie that a request may use."""
    from orchestrator.host.folders import data_home

    return tuning_file(data_home(), system_of(request, host))


def findings(request: RunRequest, host: HostFacts) -> dict[str, Tuned]:
    """Those findings, by key."""
    return load(findings_file(request, host))


def what_ran(run: PlannedRun, planned: PlannedBenchmark) -> str:
    """What a finding holds for: the image, and of a run of several containers its servers too.

    Their images, commands, copies and parameters, and the processors that are shared out to them, make the system; the
    image of their client alone says little of it.
    """
    content_id, load = planned.plan.layers[-1].content_id, planned.workload
    if not load.benchmark.roles:
        return content_id
    roles = {name: role.model_dump(mode="json") for name, role in sorted(load.benchmark.roles.items())}
    processors = len(run.environment.cpus or run.environment.host.allowed_cpus)
    servers = {name: server.model_dump(mode="json") for name, server in sorted(load.servers.items())}
    return _digest(content_id, roles, servers, sorted(load.server_images.items()), processors)


def stored(run: PlannedRun, planned: PlannedBenchmark, scenario: str) -> Tuned | None:
    """What was found for a scenario with exactly this image and these devices."""
    plan = planned.plan
    key = key_of(plan.benchmark, plan.target, scenario, run.request.devices)
    return tuned_for(run.tuned, key=key, content_id=what_ran(run, planned))


def keep(
    run: PlannedRun,
    planned: PlannedBenchmark,
    record: RunRecord,
    *,
    settings: Mapping[str, float | int | str],
    by: str,
    parameters: Mapping[str, str] | None = None,
) -> Tuned:
    """Store for the next run what the test of ``record`` showed. Raises `StepFailed` [write]."""
    request = run.request
    tuned = Tuned(
        benchmark=planned.plan.benchmark,
        target=planned.plan.target,
        scenario=record.scenario,
        content_id=what_ran(run, planned),
        settings=settings,
        run_id=record.run_id,
        found=record.started.utc,
        devices=request.devices,
        parameters=parameters or {},
        by=by,
        endpoint=f"{request.endpoint_model} at {_address(request.endpoint)}" if request.endpoint else "",
    )
    store(findings_file(request, run.environment.host), tuned)
    return tuned


def _address(url: str) -> str:
    """An endpoint's address in one spelling: `/v1` at its end may be said or not, as the client has it."""
    return url.rstrip("/").removesuffix("/v1")


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
