"""Builds plans on an engine of a test: decided and carried out as `mlorch build` does it."""

from __future__ import annotations

from orchestrator.facts.build_settings import BuildSettings
from orchestrator.images.build import Builder, require_no_build
from orchestrator.images.decide import layer_decisions


class PlanBuilder:
    """A builder of plans on ``engine``; ``more`` are fields of `Builder`."""

    def __init__(self, engine, cache, *, settings=None, parts=None, image_sources=None, may_build=True, **more):
        self.engine, self.sources, self.may_build = engine, image_sources, may_build
        self.look_up = more.pop("look_up", None) or self._look_up
        self.builder = Builder(
            engine=engine,
            look_up=self.look_up,
            settings=settings or BuildSettings(),
            parts=parts,
            cache=cache,
            image_sources=image_sources,
            **more,
        )

    def _look_up(self, references):
        return {reference: self.engine.image(reference) for reference in references}

    def build(self, plans):
        """Decide, then carry out; gives the outcomes."""

        def images_of_layer(step):
            return {facts.image: facts.labels for facts in self.engine.images(f"org.mlorch.layer={step.name}")}

        decisions = layer_decisions(plans, self.look_up, images_of_layer, self.sources)
        if not self.may_build:
            require_no_build(decisions, asked=self.sources is not None)
        return self.builder.build(decisions)
