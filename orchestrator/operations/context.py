"""What a use case works with: settings, catalogue, plans, this machine, the engine; each is made once."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.definitions.settings import Settings, pinned, recipe_specs, settings_files
from orchestrator.engines.access import EngineAccess
from orchestrator.errors import EngineError, UsageError
from orchestrator.host.folders import cache_home
from orchestrator.host.sysfs import hardware_signature
from orchestrator.operations.plan_cache import AUTO, CachedPlans, Selection, cached_plans
from orchestrator.operations.progress import Silent
from orchestrator.operations.recipe_cache import slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from typing import Any

    from orchestrator.definitions.catalog import Catalog, Root
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.engines import Engine, EngineFactory, EngineFacts
    from orchestrator.engines.inventory import RepositoryLookUp
    from orchestrator.facts.build import BuildPlan, LayerStep
    from orchestrator.facts.build_settings import BuildSettings
    from orchestrator.host.accelerators import Machine
    from orchestrator.host.detect import Presence
    from orchestrator.host.site import SiteConfig
    from orchestrator.http.client import Client
    from orchestrator.images.context import Parts
    from orchestrator.images.decide import LookUp
    from orchestrator.operations.engine_answers import EngineAnswers
    from orchestrator.operations.progress import Talk
    from orchestrator.operations.recipe_cache import Slot
    from orchestrator.operations.target_choice import TargetChoice
    from orchestrator.plan.build.bases import Base


def _settings() -> Settings:
    """The settings in effect here. Raises `DefinitionError` for an invalid `mlorch.yaml`."""
    from orchestrator.definitions.settings import read_settings

    return read_settings()


@dataclass
class Context:
    """What a use case works with; everything is made when first asked for, and once."""

    recipes: tuple[str, ...] = ()
    settings: Settings = field(default_factory=_settings)
    locked: bool = False
    """Whether only the locks that came with the definitions count, not this machine's own, and none is made anew."""
    wanted_engine: str = ""
    """The engine that was named; empty leaves it to the settings."""
    talk: Talk = field(default_factory=Silent)
    _presences: dict[str, Presence] = field(default_factory=dict, repr=False)
    _choices: dict[tuple[str | None, str | None, str | None], TargetChoice] = field(default_factory=dict, repr=False)
    _preferred_bases: dict[tuple[str | None, str | None], str] = field(default_factory=dict, repr=False)
    _signature: str = field(default="", repr=False)
    """Of the files that plans are made of, as they were before the catalogue was read."""
    _engine: Engine | None = field(default=None, repr=False)
    _connecting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    # -- definitions -------------------------------------------------------------------

    @cached_property
    def catalog(self) -> Catalog:
        """All definitions of the built-in and the given recipes, checked.

        While no file changes, they are checked once: later a recipe is read only when it is asked for.
        """
        from orchestrator.definitions.catalog import index_of, load, load_indexed
        from orchestrator.host import recipe_files
        from orchestrator.host.signature import signature

        # Before anything is read: a file that is edited meanwhile must not pass for the one that was read.
        self._signature = signature(self._plan_roots())
        roots, place = self.roots(), self._slot("catalogs", "index")
        kept = place.read(self._signature)
        if kept is not None:
            try:
                return load_indexed(roots, cast("list[list[Any]]", kept.form))
            except (ValueError, TypeError, IndexError):
                pass  # of another version: read them all
        catalog = load(roots, recipe_files)
        index = index_of(catalog)
        if index is not None:
            place.write(index, self._plan_roots(), self._signature)
        return catalog

    def roots(self) -> tuple[Root, ...]:
        """The folders of definitions, built-in ones first; a repository is fetched once a commit."""
        from orchestrator.definitions.settings import roots
        from orchestrator.host.git import fetch
        from orchestrator.operations.relock import with_own_locks

        found = roots(self.pinned, partial(fetch, mirrors=self.site.git_mirrors))
        return found if self.locked else with_own_locks(found)

    def catalog_for(self, benchmarks: Sequence[str], changes: Sequence[str]) -> Catalog:
        """The catalogue with ``benchmarks`` as ``changes`` (``KEY=VALUE``) want them; the same where there are none.

        Raises `UsageError`, as `definitions.catalog.load.load_chosen`; `bad-set` for changes of no benchmark.
        """
        if not changes:
            return self.catalog
        from orchestrator.definitions.catalog.load import load_chosen
        from orchestrator.definitions.variations import parse_changes

        if not benchmarks:
            raise UsageError("--set changes a benchmark, and none is named", hint="name one", slug="bad-set")
        first = self.catalog.get("benchmark", benchmarks[0])
        return load_chosen(self.catalog, benchmarks, parse_changes(changes, first.written or first.document))

    def forget(self) -> None:
        """Read definitions and locks again when next asked: a lock was written."""
        self.__dict__.pop("catalog", None)

    @cached_property
    def pinned(self) -> tuple[str, ...]:
        """The recipes of the settings and the request, refs of git replaced by their commits, and said so."""
        specs = recipe_specs(self.recipes, self.settings)
        if not specs:
            return ()
        from orchestrator.host.git import commit_of

        found = pinned(specs, partial(commit_of, mirrors=self.site.git_mirrors))
        for given, at_commit in zip(specs, found, strict=True):
            if given != at_commit:
                self.talk.say(f"recipes {given} are at commit {at_commit.rpartition('@')[2]}")
        return found

    # -- this machine ------------------------------------------------------------------

    @cached_property
    def machine(self) -> Machine:
        """What detection looks at, read once."""
        from orchestrator.host.accelerators import this_machine

        return this_machine()

    def presence(self, target: Target) -> Presence:
        """What this host has of a target; nothing is said of containers."""
        if target.name not in self._presences:
            from orchestrator.host.detect import presence

            self._presences[target.name] = presence(target, self.machine)
        return self._presences[target.name]

    def target(self, requested: str | None, platform: str | None = None, arch: str | None = None) -> TargetChoice:
        """The target that is meant; decided once. Raises as `operations.target_choice.choose_target`."""
        key = (requested, platform, arch)
        if key not in self._choices:
            from orchestrator.operations.target_choice import choose_target

            self._choices[key] = choose_target(self, requested, platform, arch)
        return self._choices[key]

    # -- plans -------------------------------------------------------------------------

    def plans(self, selection: Selection) -> CachedPlans:
        """The plans of `selection`, from the cache where nothing changed."""
        wanted = self._with_settings(selection)
        watched = (*settings_files(), *_layout_files(wanted))
        # A cached plan must not outlive the devices that decided its target or its arch.
        machine = "" if wanted.target and wanted.arch else hardware_signature()
        decided_by = (self.pinned, self.locked, machine)
        return cached_plans(wanted, self._make_plans, cache=cache_home(), watched=watched, decided_by=decided_by)

    def kept_document(
        self, asked: str, make: Callable[[], dict[str, Any]], may_keep: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, Any]:
        """What ``make`` makes of the catalogue alone, from the cache where nothing changed; a form of JSON.

        ``may_keep`` says whether the catalogue was indeed all that it followed from.
        """
        place = self._slot("lists", asked)
        kept = place.read()
        if kept is not None and isinstance(kept.form, dict):
            return kept.form
        document = make()
        if may_keep is None or may_keep(document):
            place.write(document, self._plan_roots(), self._signature)
        return document

    def _slot(self, folder: str, asked: str) -> Slot:
        """The place in the cache of what follows from the definitions alone."""
        decided_by = (self.pinned, self.locked)
        return slot(cache_home() / folder, asked, watched=settings_files(), decided_by=decided_by)

    def _with_settings(self, selection: Selection) -> Selection:
        """`selection` with what the settings, or an earlier fallback, say where the request is silent."""
        target = None if selection.target == AUTO else selection.target
        preferred = self._preferred_bases.get((target, selection.platform), self.settings.base_source)
        return replace(selection, target=target, base_source=selection.base_source or preferred)

    def prefer_base(self, selection: Selection, plan: BuildPlan, option: str) -> None:
        """Remember a base source for what follows, as those before it in the recipe's order fail here."""
        for target in (selection.target, plan.target):
            for platform in (selection.platform, plan.platform):
                self._preferred_bases[target, platform] = option

    def _make_plans(self, selection: Selection) -> CachedPlans:
        from orchestrator.operations.fresh_plans import fresh_plans

        return CachedPlans(plans=fresh_plans(self, selection), roots=self._plan_roots(), signature=self._signature)

    def _plan_roots(self) -> tuple[str, ...]:
        """The folders whose files plans are made of."""
        from orchestrator.operations.relock import own_locks

        roots = self.roots()
        return (
            *(str(root.path) for root in roots),
            str(own_locks(roots[0])),
            str(Path(__file__).parents[1] / "harness"),
        )

    def bases(self, selection: Selection) -> tuple[Base, ...]:
        """The base sources that a build may try, in order."""
        from orchestrator.plan.build.bases import base_candidates

        selection = self._with_settings(selection)
        chosen = self.target(selection.target, selection.platform, selection.arch)
        return base_candidates(self.catalog, chosen.name, chosen.platform, selection.base_source)

    # -- engine ------------------------------------------------------------------------

    @property
    def engine_factory(self) -> EngineFactory:
        """The factory of the chosen engine. Raises `UsageError` for one that mlorch cannot drive."""
        from orchestrator.engines import ENGINES, engine_factory, engine_name

        return engine_factory(engine_name(self.settings, self.wanted_engine, tuple(ENGINES)))

    @property
    def engine_access(self) -> EngineAccess:
        """Where the settings say that the engine listens, and what it asks registries with."""
        return EngineAccess(host=self.settings.engine_host, site=lambda: self.site)

    @property
    def engine(self) -> Engine:
        """The container engine; EngineError where none answers. Threads may ask at once: one connects."""
        with self._connecting:
            if self._engine is None:
                self._engine = self.engine_factory.connect(self.engine_access)
            return self._engine

    @cached_property
    def engine_answers(self) -> Future[EngineAnswers]:
        """What the engine says of itself; it is asked as soon as this is named, and `result` waits for it."""
        from orchestrator.operations.engine_answers import ask

        return ask(self)

    def try_facts(self) -> EngineFacts | None:
        """What the engine says of itself; None where none answers."""
        try:
            return self.engine.facts()
        except EngineError:
            return None

    def look_up(self, *, silent_s: float | None = None) -> LookUp:
        """Asks the engine for images: the quick way where it has one, else through its client.

        ``silent_s`` as `EngineAccess` has it.
        """
        fast = self.engine_factory.fast_lookup(replace(self.engine_access, silent_s=silent_s))
        if fast is not None:
            return fast
        engine = self.engine
        return lambda references: {reference: engine.image(reference) for reference in references}

    def images_of_layer(self, step: LayerStep) -> Mapping[str, Mapping[str, str]]:
        """The labels of every image of a layer that the engine has, by reference: the quick way where it has one."""
        quick = self._repository_lookup
        if quick is not None:
            return quick(step.repository)
        return {facts.image: facts.labels for facts in self.engine.images(f"org.mlorch.layer={step.name}")}

    @cached_property
    def _repository_lookup(self) -> RepositoryLookUp | None:
        """Found once: where the engine listens is asked of files and sockets, and a plan asks for every layer."""
        return self.engine_factory.fast_repository_lookup(self.engine_access)

    def try_look_up(self) -> LookUp | None:
        """The same, or None where no engine answers: a plan then says `unknown`. It waits a second for a silent one."""
        try:
            return self.look_up(silent_s=1.0)
        except EngineError:
            return None

    # -- what is outside of this machine -------------------------------------------------

    @cached_property
    def site(self) -> SiteConfig:
        """What this site needs to reach anything: certificates, proxies, indexes, archives. Raises `EngineError`."""
        from orchestrator.host.site import SETTINGS, discover

        given = {name: getattr(self.settings, name) for name in SETTINGS}
        mirrors, source = self.settings.git_mirrors, self.settings.sources.get("git_mirrors", "")
        return discover(os.environ, settings=given, git_mirrors=mirrors, git_mirrors_source=source)

    @cached_property
    def http(self) -> Client:
        """Asks servers as this site has to."""
        from orchestrator.http.client import Client

        return Client(site=self.site)

    # -- what a build is given -----------------------------------------------------------

    @contextmanager
    def build_settings(self) -> Iterator[BuildSettings]:
        """What this site gives a build; the secret files live only inside the `with`."""
        from orchestrator.host.scratch import secret_folder
        from orchestrator.host.site import build_settings

        with secret_folder() as folder:
            yield build_settings(self.site, folder)

    def parts(self) -> Parts:
        """Where root file systems and pip come from: packages by pin, from the mirrors of this site."""
        from orchestrator.operations.build import package_parts

        return package_parts(self.site)


def _layout_files(selection: Selection) -> tuple[str, ...]:
    """The files that decide what an OCI base is: a cached plan must not outlive them."""
    kind, _, path = selection.base_source.partition(":")
    return (path, f"{path}/index.json") if kind == "oci" else ()
