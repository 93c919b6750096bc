"""Puts the rooms together for a command: settings, catalogue, kept plans, engine, look-ups."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.common import AUTO
from orchestrator.errors import EngineError, UsageError
from orchestrator.host.folders import cache_home
from orchestrator.host.pci import hardware_signature
from orchestrator.operations.kept_plans import Compiled, Selection, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.definitions.catalog import Catalog, Root
    from orchestrator.definitions.settings import Settings
    from orchestrator.engines import BuildEvent, BuildSettings, Engine, EngineFactory, EngineFacts, ImageFacts
    from orchestrator.facts.steps import LayerStep, SdistPin
    from orchestrator.images.context import Parts
    from orchestrator.plan.build.resolve import Base


_SITE = ("ca_bundle", "debian_mirror", "debian_security_mirror", "engine_host")
"""Settings that the lower rooms read from the environment, as they are the site's and not a command's."""


def use_settings() -> Settings:
    """The settings in effect here; those of the site are put into this process's environment too.

    What the environment says already stays: it counts more than a file. Raises
    `DefinitionError` for an invalid `mlorch.yaml`.
    """
    from orchestrator.definitions.settings import read_settings, variable

    settings = read_settings()
    for name in _SITE:
        if value := getattr(settings, name):
            os.environ.setdefault(variable(name), value)
    if settings.pip_index and (variable("pip_index") in os.environ or "PIP_INDEX_URL" not in os.environ):
        os.environ["PIP_INDEX_URL"] = settings.pip_index
    return settings


@dataclass(slots=True)
class Context:
    """What a command works with; everything is made when first asked for."""

    recipes: tuple[str, ...] = ()
    settings: Settings = field(default_factory=use_settings)
    locked: bool = False
    """Whether only the locks that came with the definitions count, not this machine's own."""
    wanted_engine: str = ""
    """What the command line says; empty leaves it to the settings."""
    _pinned: tuple[str, ...] | None = field(default=None, repr=False)
    _catalog: Catalog | None = field(default=None, repr=False)
    _signature: str = field(default="", repr=False)
    """Of the files that plans are made of, as they were before the catalogue was read."""
    _engine: Engine | None = field(default=None, repr=False)

    # -- definitions -------------------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """All definitions of the built-in and the given recipes, checked."""
        if self._catalog is None:
            from orchestrator.definitions.catalog import load
            from orchestrator.host.signature import signature

            # Before anything is read: a file that is edited meanwhile must not pass for the one that was read.
            self._signature = signature(self._plan_roots())
            self._catalog = load(self.roots())
        return self._catalog

    def roots(self) -> tuple[Root, ...]:
        """The folders of definitions, built-in ones first; a repository is fetched once a commit."""
        from orchestrator.definitions.settings import roots
        from orchestrator.host.git import fetch
        from orchestrator.operations.relock import with_own_locks

        found = roots(self.pinned(), fetch)
        return found if self.locked else with_own_locks(found)

    def forget(self) -> None:
        """Read definitions and locks again when next asked: a lock was written."""
        self._catalog = None

    def pinned(self) -> tuple[str, ...]:
        """The recipes of the settings and the command line, refs of git replaced by their commits, and said so."""
        if self._pinned is None:
            self._pinned = ()
            from orchestrator.definitions.settings import pinned, recipe_specs

            specs = recipe_specs(self.recipes, self.settings)
            if specs:
                from orchestrator.console import Console
                from orchestrator.host.git import commit_of

                self._pinned = pinned(specs, commit_of)
                for given, kept in zip(specs, self._pinned, strict=True):
                    if given != kept:
                        Console().say(f"recipes {given} are at commit {kept.rpartition('@')[2]}")
        return self._pinned

    def plans(self, selection: Selection) -> Compiled:
        """The plans of `selection`, from the kept ones where nothing changed."""
        from orchestrator.definitions.settings import settings_files

        wanted = replace(self._settled(selection), recipes=self.pinned())
        watched = (*settings_files(), *_layout_files(wanted))
        # A kept plan must not outlive the devices that decided its target or its arch.
        machine = "" if wanted.target and wanted.arch else hardware_signature()
        return compiled(wanted, self._make, cache=cache_home(), watched=watched, machine=machine)

    def _settled(self, selection: Selection) -> Selection:
        """`selection` with what the settings say of it where the command line is silent."""
        target = None if selection.target == AUTO else selection.target
        return replace(selection, target=target, base_source=selection.base_source or self.settings.base_source)

    def _make(self, selection: Selection) -> Compiled:
        from orchestrator.images.base_layout import with_layout
        from orchestrator.plan.build.planner import build_plan, build_plans
        from orchestrator.plan.build.resolve import base_candidates, resolve_side

        target = selection.target or self.detected_target()
        platform = selection.platform or self.own_platform(target)
        base = base_candidates(self.catalog, target, platform, selection.base_source)[0]
        base = with_layout(base, cache_home())
        if selection.side:
            resolution = resolve_side(self.catalog, target=target, layer=selection.side, platform=platform, base=base)
            plans: tuple[object, ...] = (build_plan(self.catalog, resolution),)
        else:
            plans = build_plans(
                self.catalog,
                target=target,
                benchmarks=selection.benchmarks,
                platform=platform,
                base=base,
                arch=selection.arch or self.own_arch(target),
            )
        return Compiled(plans=plans, roots=self._plan_roots(), signature=self._signature)  # type: ignore[arg-type]

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
        from orchestrator.plan.build.resolve import base_candidates

        selection = self._settled(selection)
        target = selection.target or self.detected_target()
        platform = selection.platform or self.own_platform(target)
        return base_candidates(self.catalog, target, platform, selection.base_source)

    def detected_target(self) -> str:
        """The target of this host: the one of highest priority that is present."""
        from orchestrator.commands.targets import detected

        return detected(self.catalog)

    def own_platform(self, target: str) -> str | None:
        """This host's platform where the target has images for it; None means the target's first."""
        from orchestrator.commands.targets import own_platform

        return own_platform(self.catalog, target)

    def own_arch(self, target: str) -> str | None:
        """What the target's devices on this host are, where all are alike; None means the target's default."""
        from orchestrator.commands.targets import own_arch

        return own_arch(self.catalog, target)

    def try_facts(self) -> EngineFacts | None:
        """What the engine says of itself; None where none answers."""
        try:
            return self.engine.facts()
        except EngineError:
            return None

    # -- engine ------------------------------------------------------------------------

    @property
    def engine_factory(self) -> EngineFactory:
        """The way to the chosen engine. Raises `UsageError` for one that mlorch cannot drive."""
        from orchestrator.engines import ENGINES, engine_factory

        return engine_factory(engine_name(self.settings, self.wanted_engine, tuple(ENGINES)))

    @property
    def engine(self) -> Engine:
        """The container engine; EngineError where none answers."""
        if self._engine is None:
            self._engine = self.engine_factory.connect()
        return self._engine

    def look_up(self) -> Callable[[Sequence[str]], Mapping[str, ImageFacts | None]]:
        """Asks the engine for images: the quick way where it has one, else through its client."""
        fast = self.engine_factory.fast_lookup()
        if fast is not None:
            return fast
        engine = self.engine
        return lambda references: {reference: engine.image(reference) for reference in references}

    def try_look_up(self) -> Callable[[Sequence[str]], Mapping[str, ImageFacts | None]] | None:
        """The same, or None where no engine answers: a plan then says `unknown`."""
        try:
            return self.look_up()
        except EngineError:
            return None

    @contextmanager
    def build_settings(self) -> Iterator[BuildSettings]:
        """What this site gives a build; the secret files live only inside the `with`."""
        from orchestrator.host.site import build_settings, discover

        with tempfile.TemporaryDirectory(prefix="mlorch-") as folder:
            yield build_settings(discover(os.environ), Path(folder))

    def parts(self) -> Parts:
        """Where root file systems and pip come from: packages by pin, from the mirrors of this site."""
        import shutil

        from orchestrator.host.git import export
        from orchestrator.images.context import Parts
        from orchestrator.packages.debs import Fetcher, pip_wheel
        from orchestrator.packages.rootfs import build_rootfs
        from orchestrator.packages.sdists import fetch_sdist

        def rootfs(step: LayerStep, out: Path, on_event: Callable[[BuildEvent], None]) -> None:
            fetch = Fetcher(on_event=on_event)
            build_rootfs(step.debs, out, base=step.parent is None, fetch=fetch, on_event=on_event, relock=step.name)

        def pip(step: LayerStep, out: Path) -> None:
            assert step.pip is not None
            shutil.copyfile(pip_wheel([step.pip], Fetcher()), out)

        def tools(step: LayerStep, out: Path, on_event: Callable[[BuildEvent], None]) -> None:
            fetch = Fetcher(on_event=on_event)
            build_rootfs(step.tools, out, base=False, fetch=fetch, on_event=on_event, relock=step.toolchain)

        def sdist(pin: SdistPin, out: Path) -> None:
            shutil.copyfile(fetch_sdist(pin, Fetcher()), out)

        return Parts(
            rootfs=rootfs, pip=pip, tools=tools, sdist=sdist, tree=lambda pin, out: export(pin.url, pin.commit, out)
        )


def engine_name(settings: Settings, wanted: str, known: Sequence[str]) -> str:
    """The engine of the command line, else of the settings, else the first of the known ones.

    Raises `UsageError` for one that is not known: no other is used silently.
    """
    from orchestrator.engines.printers import PRINTERS

    name = wanted or settings.engine or known[0]
    if name not in known:
        printed = f"; `mlorch run --dry-run --engine {name}` prints what it would run" if name in PRINTERS else ""
        said = "--engine" if wanted else settings.sources.get("engine", "settings")
        raise UsageError(
            f"there is no engine `{name}` ({said})",
            hint=f"known: {', '.join(known)}{printed}",
            slug="unknown-engine",
        )
    return name


def _layout_files(selection: Selection) -> tuple[str, ...]:
    """The files that decide what an OCI base is: a kept plan must not outlive them."""
    kind, _, path = selection.base_source.partition(":")
    return (path, f"{path}/index.json") if kind == "oci" else ()


def is_terminal() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()
