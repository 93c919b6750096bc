"""`doctor`: what this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.settings import Settings, read_settings
from orchestrator.engines import engine_factory
from orchestrator.engines.cdi import known
from orchestrator.errors import MlorchError
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.host.detect import presences
from orchestrator.host.folders import cache_home
from orchestrator.images.registry.client import Registry
from orchestrator.operations.context import Context
from orchestrator.operations.engine import cdi_words
from orchestrator.operations.host_ready import findings
from orchestrator.operations.sweep import sweep_containers
from orchestrator.operations.target_choice import all_targets
from orchestrator.operations.targets import judge
from orchestrator.packages import download

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.engines import Engine, EngineFacts
    from orchestrator.host.detect import Presence
    from orchestrator.host.site import SiteConfig
    from orchestrator.operations.progress import Talk

GIB = 1 << 30
LEAST_IMAGES, LEAST_CACHE, LEAST_MEMORY = 10 * GIB, 2 * GIB, 4 * GIB
_REGISTRY_S = 5.0
"""How long a registry may say nothing here: a check is not a pull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """Which recipes and which engine are looked at; empty means the built-in ones and the default."""

    recipes: tuple[str, ...] = ()
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. ``state`` is ok, warn (works, but) or bad (something will fail)."""

    name: str
    state: str
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorResult:
    """The JSON of `doctor`."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """0 where all is well, 4 where the engine cannot be used, 1 where something else will fail."""
        bad = {check.name for check in self.checks if check.state == "bad"}
        if bad & {"engine", "builder"}:
            return 4
        return 1 if bad else 0


def doctor(request: DoctorRequest, talk: Talk) -> DoctorResult:
    """Make every check; what is wrong raises nothing, it is a check that is bad.

    Containers of an mlorch that was killed are removed, as by every command.
    """
    settings, check = _settings()
    context = Context(request.recipes, settings=settings, wanted_engine=request.engine, talk=talk)
    checks = [check, *all_checks(context)]
    sweep_containers(settings, talk)
    return DoctorResult(checks=tuple(checks))


def all_checks(context: Context) -> Iterator[Check]:
    """Every check but that of the settings; one that cannot be made says so and stops no other."""
    engine, facts, check = _engine(context)
    yield check
    if engine is not None and facts is not None:
        yield from _safely("builder", lambda: [builder(facts)])
        yield from _safely("image storage", lambda: [image_storage(facts)])
        yield from _safely("limits", lambda: [limits(engine)])
        yield from _safely("CDI", lambda: [cdi(facts)])
    yield from _safely("cache", lambda: [cache()])
    yield from _safely("memory", lambda: [memory()])
    yield from _safely("devices", lambda: devices(context, facts))
    yield from _safely("site", lambda: site(context.site))
    yield from _safely("archive access", lambda: archive_access(context))
    yield from _safely("registries", lambda: registries(context))


def _safely(name: str, make: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from make()
    except MlorchError as error:
        yield _failed(name, error)
    except OSError as error:
        yield Check(name=name, state="warn", what=f"cannot be checked: {error}")


def _failed(name: str, error: MlorchError) -> Check:
    where = f"{error.span}: " if error.span else ""
    return Check(name=name, state="bad", what=f"{where}{error.message}", hint=error.hint)


def _settings() -> tuple[Settings, Check]:
    """What `mlorch.yaml` and the environment say, each with where; the checks that follow use it."""
    try:
        settings = read_settings()
    except MlorchError as error:
        return Settings(), _failed("settings", error)
    words = ", ".join(f"{name} ({settings.sources[name]})" for name in settings.given())
    return settings, Check(name="settings", state="ok", what=words or "none; see docs/recipes.md for mlorch.yaml")


def _engine(context: Context) -> tuple[Engine | None, EngineFacts | None, Check]:
    try:
        engine = context.engine
        facts = engine.facts()
    except MlorchError as error:
        return None, None, _failed("engine", error)
    own = ", mlorch's own" if facts.private else ""
    check = Check(name="engine", state="ok", what=f"{facts.name} {facts.version} at {facts.host}{own}")
    return engine, facts, check


def builder(facts: EngineFacts) -> Check:
    """Whether images can be built, and what the image store cannot do."""
    factory = engine_factory(facts.name)
    if why := factory.unmet_requirement(facts):
        return Check(name="builder", state="bad", what=why, hint="`mlorch engine ensure` gets what is missing")
    name, missing, hint = factory.builder(facts)
    if missing:
        return Check(name="builder", state="warn", what=f"{name}; {missing}", hint=hint)
    return Check(name="builder", state="ok", what=name)


def image_storage(facts: EngineFacts) -> Check:
    """Free space where the engine keeps images, where that is on this host."""
    if not facts.host.startswith(("unix://", "exec://")) or not Path(facts.root_dir).is_dir():
        return Check(name="image storage", state="ok", what="on another host; not checked")
    return _space("image storage", Path(facts.root_dir), LEAST_IMAGES)


def cache() -> Check:
    """Free space where mlorch keeps downloads and prepared data."""
    folder = cache_home()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "make it yours, or set XDG_CACHE_HOME to a folder that this user may write"
        return Check(name="cache", state="bad", what=f"{folder} cannot be written", hint=hint)
    return _space("cache", folder, LEAST_CACHE)


def _space(name: str, folder: Path, least: int) -> Check:
    free = shutil.disk_usage(folder).free
    what = f"{free / GIB:.1f} GiB free in {folder}"
    if free >= least:
        return Check(name=name, state="ok", what=what)
    state = "bad" if free < least // 10 else "warn"
    return Check(name=name, state=state, what=what, hint=f"free at least {least / GIB:.0f} GiB there")


def memory() -> Check:
    """Memory that is free now."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    kib = {name: int(value) for name, value in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}
    free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    what = f"{free / GIB:.1f} of {total / GIB:.1f} GiB available"
    if free >= LEAST_MEMORY:
        return Check(name="memory", state="ok", what=what)
    return Check(
        name="memory", state="warn", what=what, hint="end other programs; a run tells before its start what it needs"
    )


def limits(engine: Engine) -> Check:
    """What containers can be given of the limits that targets ask for."""
    found = engine.daemon_limits()
    if not found:
        return Check(name="limits", state="ok", what="not visible from here; the engine tells when a run starts")
    shown = {name: found.get(name) for name in ("memlock", "nofile", "nproc")}
    words = ", ".join(f"{name} {'unlimited' if most is None else most}" for name, most in shown.items())
    if shown["memlock"] is not None:
        return Check(
            name="limits",
            state="warn",
            what=f"the engine gives at most {words}",
            hint="targets that pin memory need more: start the engine with higher limits or CAP_SYS_RESOURCE",
        )
    return Check(name="limits", state="ok", what=f"the engine gives up to {words}")


def cdi(facts: EngineFacts) -> Check:
    """What the engine can be asked for by CDI name, and spec files that it cannot read."""
    if faults := known(facts).faults:
        hint = "write the spec anew with the vendor's tool, or remove the file"
        return Check(name="CDI", state="warn", what="; ".join(faults), hint=hint)
    return Check(name="CDI", state="ok", what=cdi_words(facts))


def devices(context: Context, facts: EngineFacts | None) -> Iterator[Check]:
    """Which hardware targets this host has, in their three states, and what of the host could be better for them."""
    targets = all_targets(context.catalog)
    found = [here for here in presences(targets, context.machine, judge=judge(facts)) if here.present]
    if not found:
        hint = "`mlorch targets` says why"
        yield Check(name="devices", state="bad", what="no target is present on this host", hint=hint)
    for here in found:
        yield _target(here)
    yield from host_settings(context, [here.name for here in found])


def _target(here: Presence) -> Check:
    """A target that is present. A card that cannot be used stops only those who want it."""
    how = f"; passed by {here.how}" if here.how else ""
    return Check(
        name=f"target {here.name}",
        state="ok" if here.usable else "warn",
        what=f"{here.state}: {here.why}{how}",
        hint=here.hint,
    )


def host_settings(context: Context, targets: list[str]) -> Iterator[Check]:
    """What the targets that are here want of the host: each setting that differs once, with what to do."""
    found = {
        finding.name: finding
        for name in targets
        for finding in findings(context, context.catalog.target(name).definition)
    }
    for finding in found.values():
        if finding.ok is False:
            state = "bad" if finding.stops else "warn"
            what = f"{finding.found}, better {finding.wanted}: {finding.why}"
            yield Check(name=f"host {finding.name}", state=state, what=what, hint=finding.hint)
    if found and all(finding.ok is not False for finding in found.values()):
        yield Check(name="host settings", state="ok", what=f"{len(found)} looked at, all as they should be")


def site(found: SiteConfig) -> Iterator[Check]:
    """Certificates, proxies, package indexes and archives that builds are given."""
    yield _certificates(found)
    proxies = {name: without_credentials(value) for name, value in found.proxies.items() if name.islower()}
    words = ", ".join(f"{name} {value}" for name, value in sorted(proxies.items()))
    yield Check(name="proxies", state="ok", what=words or "none set")
    origins = ", ".join(found.pip_origins)
    yield Check(name="python index", state="ok", what=f"settings of {origins}" if origins else "pip's default")
    yield _archives(found)
    for note in found.notes:
        yield Check(name="site", state="warn", what=note)


def _certificates(found: SiteConfig) -> Check:
    if found.ca_bundle is None:
        hint = "install ca-certificates or set MLORCH_CA_BUNDLE; https needs one"
        return Check(name="certificates", state="warn", what="no CA bundle was found", hint=hint)
    return Check(name="certificates", state="ok", what=f"{found.ca_bundle} ({found.ca_origin})")


def _archives(found: SiteConfig) -> Check:
    if found.archives:
        roots = ", ".join(without_credentials(url) for urls in found.archives.values() for url in urls)
        return Check(name="package archives", state="ok", what=roots)
    return Check(
        name="package archives",
        state="warn",
        what="this host's package sources name no archive of the images' distribution",
        hint="set MLORCH_DEBIAN_MIRROR and MLORCH_DEBIAN_SECURITY_MIRROR, or use a base image from a registry",
    )


def archive_access(context: Context) -> Iterator[Check]:
    """Whether the package archives answer from here, each within a few seconds; nothing where none are known."""
    roots = dict.fromkeys(url for urls in context.site.archives.values() for url in urls)
    silent = {url: why for url in roots if (why := download.answers(f"{url}/dists/", client=context.http))}
    if silent:
        yield Check(
            name="archive access",
            state="warn",
            what="; ".join(f"{without_credentials(url)}: {why}" for url, why in silent.items()),
            hint="check proxies and certificates above, or name a mirror in MLORCH_DEBIAN_MIRROR; "
            "what is built or downloaded already needs none",
        )
    elif roots:
        yield Check(name="archive access", state="ok", what="all answer")


def registries(context: Context) -> Iterator[Check]:
    """Where images are looked for before they are built, and whether each answers and knows us."""
    names = context.settings.registries
    if not names:
        yield Check(name="registries", state="ok", what="none set; images are built here")
    for name in names:
        try:
            Registry.at(parse_registry_prefix(name).host, context.http, _REGISTRY_S).ping()
        except MlorchError as error:
            yield Check(name="registries", state="warn", what=f"{name}: {error.message}", hint=error.hint)
        else:
            yield Check(name="registries", state="ok", what=f"{name} answers")


def without_credentials(url: str) -> str:
    """An address without user and password, fit to be shown."""
    return re.sub(r"(?<=//)[^/@]*@", "", url) if "//" in url else url.rpartition("@")[2]
