"""What the records of a run tell beyond its steps: the session that they share, and each benchmark's context."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.definitions.asset_locks import source_words
from orchestrator.facts.record import AccuracyGoal, AssetId, ImageId, LayerId, LicenceFact, RecipeId
from orchestrator.facts.redact import redacted_argv, secret_values
from orchestrator.host.process import this_process
from orchestrator.operations.run_plan import stamp
from orchestrator.runs.record import RecordContext, Session

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.recipes import Asset
    from orchestrator.engines import EngineFacts, ImageFacts
    from orchestrator.facts.host import HostFacts
    from orchestrator.operations.run_plan import PlannedBenchmark
    from orchestrator.operations.run_request import RunRequest


def session_of(request: RunRequest, host: HostFacts, engine: EngineFacts) -> Session:
    """What all records of this request share, without secrets."""
    hidden = secret_values(os.environ)
    facts = asdict(engine)
    for private in ("host", "root_dir"):  # paths of this machine say nothing about a result
        facts.pop(private, None)
    return Session(
        name=f"{stamp()}-{secrets.token_hex(2)}",
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
    goal = what.accuracy
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
        dataset=_asset_id("dataset", planned.workload.dataset, ""),
        accuracy_goal=AccuracyGoal(metric=goal.metric, unit=goal.unit, reference=goal.reference, factor=goal.factor),
        title=what.title,
        stands_for=what.stands_for,
        note=what.note,
    )


def _document_digests(planned: PlannedBenchmark, image: ImageFacts | None) -> tuple[str, str]:
    """The digests of SBOM and provenance of the image that runs; empty where its own is not known."""
    if image is None or not image.digest:
        return "", ""
    from orchestrator.images.attest.documents import digests
    from orchestrator.images.attest.subject import subject_of

    recipe = (planned.plan.benchmark, planned.benchmark.sha256)
    return digests(subject_of(planned.plan, planned.plan.layers[-1], image.digest, recipe))


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
