"""What the records of a run tell beyond its steps: who ran it, of which image, model, data and recipe."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.definitions.asset_locks import source_words
from orchestrator.definitions.catalog.judged import changed_rules
from orchestrator.facts.record import AccuracyGoal, AssetId, ImageId, LayerId, LicenceFact, RecipeId
from orchestrator.facts.redact import redacted_argv, secret_values
from orchestrator.host.clock import stamp
from orchestrator.host.process import this_process
from orchestrator.plan.run.sample_terms import why_not_shown
from orchestrator.runs.record import RecordContext, Session

if TYPE_CHECKING:
    from orchestrator.definitions.kinds import benchmarks
    from orchestrator.definitions.kinds.assets import Asset, Dataset
    from orchestrator.engines import EngineFacts, ImageFacts
    from orchestrator.facts.host import HostFacts
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.request import RunRequest


def new_session() -> str:
    """A name that no other request has."""
    return f"{stamp()}-{secrets.token_hex(2)}"


def session_of(request: RunRequest, host: HostFacts, engine: EngineFacts, key: str = "") -> Session:
    """What all records of this request share, without secrets; ``key`` is an endpoint's."""
    hidden = (*((key,) if key else ()), *secret_values(os.environ))
    facts = asdict(engine)
    for private in ("host", "root_dir"):  # paths of this machine say nothing about a result
        facts.pop(private, None)
    return Session(
        name=request.session or new_session(),
        owner=this_process(),
        mlorch_version=__version__,
        command_line=redacted_argv(request.to_argv(), hidden),
        engine=facts,
        host=asdict(host),
        secrets=hidden,
    )


def record_context(planned: PlannedBenchmark, image: ImageFacts | None) -> RecordContext:
    """What the record tells of the benchmark beyond its step."""
    what = planned.workload.benchmark
    layers = tuple(
        LayerId(name=layer.name, level=layer.level, content_id=layer.content_id) for layer in planned.plan.layers
    )
    goals = tuple(_goal(goal) for goal in what.accuracy.goals)
    changed = changed_rules(planned.benchmark)
    sbom, provenance = _document_digests(planned, image)
    return RecordContext(
        recipe=RecipeId(name=what.name, origin=planned.benchmark.origin, sha256=planned.benchmark.sha256),
        image=ImageId(
            reference=planned.plan.image,
            image_id=image.image_id if image else "",
            digest=image.digest if image else "",
            layers=layers,
            sbom_digest=sbom,
            provenance_digest=provenance,
        ),
        model=_asset_id("model", planned.workload.model, planned.workload.model.trained_by),
        dataset=_dataset_id(planned.workload.dataset),
        accuracy_goal=goals[0],
        other_goals=goals[1:],
        title=what.title,
        stands_for=what.stands_for,
        official=what.official,
        round=what.round,
        note=what.note,
        changed_rules=changed,
    )


def _goal(goal: benchmarks.AccuracyGoal) -> AccuracyGoal:
    return AccuracyGoal(
        metric=goal.metric,
        unit=goal.unit,
        reference=goal.reference,
        factor=goal.factor,
        max_factor=goal.max_factor,
    )


def _document_digests(planned: PlannedBenchmark, image: ImageFacts | None) -> tuple[str, str]:
    """The digests of SBOM and provenance of the image that runs; empty where its own is not known."""
    if image is None or not image.digest:
        return "", ""
    from orchestrator.images.attest.documents import digests
    from orchestrator.images.attest.subject import subject_of

    return digests(subject_of(planned.plan, planned.plan.layers[-1], image.digest, planned.benchmark.sha256))


def _asset_id(kind: str, asset: Asset, trained_by: str) -> AssetId:
    licences = []
    for source in asset.sources:
        licences.append(LicenceFact(source=source_words(source), spdx=source.licence.spdx, note=source.licence.note))
    return AssetId(
        kind=kind,
        name=asset.name,
        files={out.path: out.sha256 for out in asset.outputs},
        title=asset.title,
        trained_by=trained_by,
        licences=tuple(licences),
    )


def _dataset_id(dataset: Dataset) -> AssetId:
    return replace(_asset_id("dataset", dataset, ""), label_names=dataset.label_names, not_shown=why_not_shown(dataset))
