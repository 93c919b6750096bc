"""`doctor`: what this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.settings import Settings, read_settings
from orchestrator.engines import engine_factory
from orchestrator.engines.cdi import known, stale
from orchestrator.engines.limits import NOT_HELD_HINT, not_held
from orchestrator.engines.users import HINT, container_user, unwritable
from orchestrator.errors import MlorchError
from orchestrator.facts.processors import cpu_list
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.host.detect import presences
from orchestrator.host.facts import host_facts
from orchestrator.host.folders import cache_home
from orchestrator.host.namespaces import refused_user_namespaces
from orchestrator.host.paths import exists, is_dir
from orchestrator.http.reachable import answers
from orchestrator.images.registry.client import Registry
from orchestrator.operations.context import Context
from orchestrator.operations.engine import cdi_words, sweep_containers
from orchestrator.operations.target_choice import all_targets, findings
from orchestrator.operations.targets import passable_by
from orchestrator.plan.run.processors import within_quota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.engines import Engine, EngineFacts
    from orchestrator.facts.host import HostFacts
    from orchestrator.host.site import SiteConfig
    from orchestrator.operations.progress import Talk

GIB = 1 << 30
LEAST_IMAGES, LEAST_CACHE, LEAST_MEMORY = 10 * GIB, 2 * GIB, 4 * GIB
_REGISTRY_S = 5.0
"""How long a registry may say nothing here: a check is not a pull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. ``state`` is ok, warn (works, but) or bad (something will fail)."""

    name: str
    state: str
    what: str
    hint: str = ""


def _ok(name: str, what: str) -> Check:
    return Check(name=name, state="ok", what=what)


def _warn(name: str, what: str, hint: str = "") -> Check:
    return Check(name=name, state="warn", what=what, hint=hint)


def _bad(name: str, what: str, hint: str) -> Check:
    return Check(name=name, state="bad", what=what, hint=hint)


def exit_code(checks: Sequence[Check]) -> int:
    """0 where all is well, 4 where the engine cannot be used, 1 where something else will fail."""
    bad = {check.name for check in checks if check.state == "bad"}
    if bad & {"engine", "builder"}:
        return 4
    return 1 if bad else 0


def doctor(talk: Talk, *, recipes: tuple[str, ...] = (), engine: str = "") -> tuple[Check, ...]:
    """Make every check, of the given recipes and engine; what is wrong raises nothing, it is a check that is bad.

    Containers of an mlorch that was killed are removed, as by every command.
    """
    settings, check = _settings()
    context = Context(recipes, settings=settings, wanted_engine=engine, talk=talk)
    checks = (check, *all_checks(context))
    sweep_containers(settings, talk)
    return checks


def all_checks(context: Context) -> Iterator[Check]:
    """Every check but that of the settings; one that cannot be made says so and stops no other."""
    engine, facts, check = _engine(context)
    yield check
    if engine is not None and facts is not None:
        yield from _safely("builder", lambda: [builder(facts)])
        yield from _safely("image storage", lambda: [image_storage(facts)])
        yield from _safely("users", lambda: [users(facts)])
        yield from _safely("limits", lambda: [limits(engine)])
        yield from _safely("control groups", lambda: [control_groups(facts)])
        yield from _safely("CDI", lambda: [cdi(facts)])
    yield from _safely("cache", lambda: [cache()])
    yield from _safely("processors", lambda: [processors(host_facts())])
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
        yield _warn(name, f"cannot be checked: {error}")


def _failed(name: str, error: MlorchError) -> Check:
    where = f"{error.span}: " if error.span else ""
    return _bad(name, f"{where}{error.message}", error.hint)


def _settings() -> tuple[Settings, Check]:
    """What `mlorch.yaml` and the environment say, each with where; the checks that follow use it."""
    try:
        settings = read_settings()
    except MlorchError as error:
        return Settings(), _failed("settings", error)
    words = ", ".join(f"{name} ({settings.sources[name]})" for name in settings.given())
    return settings, _ok("settings", words or "none; see docs/recipes.md for mlorch.yaml")


def _engine(context: Context) -> tuple[Engine | None, EngineFacts | None, Check]:
    try:
        engine = context.engine
        facts = engine.facts()
    except MlorchError as error:
        return None, None, _without_engine(error)
    own = ", mlorch's own" if facts.private else ""
    return engine, facts, _ok("engine", f"{facts.name} {facts.version} at {facts.host}{own}")


def _without_engine(error: MlorchError) -> Check:
    """No engine, and the way to one that works for this user: a plain user's needs user namespaces."""
    found = _failed("engine", error)
    refusal = refused_user_namespaces() if error.slug == "no-engine" and os.geteuid() != 0 else None
    if refusal is None:
        return found
    hint = f"no container can be started without root here, as {refusal.why}: {refusal.remedy}"
    return replace(found, hint=hint)


def builder(facts: EngineFacts) -> Check:
    """Whether images can be built, and what the image store cannot do."""
    factory = engine_factory(facts.name)
    if why := factory.unmet_requirement(facts):
        return _bad("builder", why, "`mlorch engine ensure` gets what is missing")
    name, missing, hint = factory.builder(facts)
    return _warn("builder", f"{name}; {missing}", hint) if missing else _ok("builder", name)


def image_storage(facts: EngineFacts) -> Check:
    """Free space where the engine keeps images, where that is on this host."""
    if not facts.host.startswith(("unix://", "exec://")) or not is_dir(Path(facts.root_dir)):
        return _ok("image storage", "on another host; not checked")
    return _space("image storage", Path(facts.root_dir), LEAST_IMAGES)


def users(facts: EngineFacts) -> Check:
    """Who containers are on this host: some engines map their users to others."""
    if why := unwritable(facts):
        return _bad("users", why, HINT)
    user = container_user(facts)
    if user.inside == "0:0":
        return _ok("users", f"a rootless engine: root of a container is {user.owner} here, and has no more rights")
    return _ok("users", f"containers run as {user.inside}")


def cache() -> Check:
    """Free space where mlorch keeps downloads and prepared data."""
    folder = cache_home()
    while not exists(folder):
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "make it yours, or set XDG_CACHE_HOME to a folder that this user may write"
        return _bad("cache", f"{folder} cannot be written", hint)
    return _space("cache", folder, LEAST_CACHE)


def _space(name: str, folder: Path, least: int) -> Check:
    free = shutil.disk_usage(folder).free
    what = f"{free / GIB:.1f} GiB free in {folder}"
    if free >= least:
        return _ok(name, what)
    state = "bad" if free < least // 10 else "warn"
    return Check(name=name, state=state, what=what, hint=f"free at least {least / GIB:.0f} GiB there")


def processors(host: HostFacts) -> Check:
    """The processors that runs are planned on: fewer where affinity or a control group leaves some out."""
    allowed, online = len(host.allowed_cpus), len(host.online_cpus)
    what = f"{allowed} of {online}: {cpu_list(host.allowed_cpus)}"
    if host.cpu_quota is None or host.cpu_quota >= allowed:
        return _ok("processors", what)
    planned = len(within_quota(host, host.allowed_cpus))
    return _warn(
        "processors",
        f"{what}; the control group of this process gives the time of {host.cpu_quota:g}, so runs are planned on "
        f"{planned} at most",
        "raise its CPU quota (cpu.max; a container's --cpus, a pod's limits.cpu), or give whole processors (a cpuset)",
    )


def memory() -> Check:
    """Memory that is free now."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    kib = {name: int(value) for name, value in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}
    free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    what = f"{free / GIB:.1f} of {total / GIB:.1f} GiB available"
    if free >= LEAST_MEMORY:
        return _ok("memory", what)
    return _warn("memory", what, "end other programs; a run tells before its start what it needs")


def limits(engine: Engine) -> Check:
    """What containers can be given of the limits that targets ask for."""
    found = engine.daemon_limits()
    if not found:
        return _ok("limits", "not visible from here; the engine tells when a run starts")
    shown = {name: found.get(name) for name in ("memlock", "nofile", "nproc")}
    words = ", ".join(f"{name} {'unlimited' if most is None else most}" for name, most in shown.items())
    if shown["memlock"] is not None:
        hint = "targets that pin memory need more: start the engine with higher limits or CAP_SYS_RESOURCE"
        return _warn("limits", f"the engine gives at most {words}", hint)
    return _ok("limits", f"the engine gives up to {words}")


def control_groups(facts: EngineFacts) -> Check:
    """Whether the engine can hold containers to the processors, memory and processes that they are given."""
    if why := not_held(facts):
        return _warn("control groups", why, NOT_HELD_HINT)
    return _ok("control groups", "containers are held to their processors, memory and number of processes")


def cdi(facts: EngineFacts) -> Check:
    """What the engine can be asked for by CDI name, and spec files that it cannot read."""
    specs = known(facts)
    if old := stale(specs.devices):
        return _bad("CDI", "; ".join(old), "run what it says as root, then `mlorch doctor` again")
    if faults := specs.faults:
        return _warn("CDI", "; ".join(faults), "write the spec anew with the vendor's tool, or remove the file")
    return _ok("CDI", cdi_words(facts))


def devices(context: Context, facts: EngineFacts | None) -> Iterator[Check]:
    """Which hardware targets this host has, in their three states, and what of the host could be better for them."""
    targets = all_targets(context.catalog)
    found = [here for here in presences(targets, context.machine, judge=passable_by(facts)) if here.present]
    if not found:
        yield _bad("devices", "no target is present on this host", "`mlorch targets` says why")
    for here in found:
        # A card that cannot be used stops only those who want it.
        state = "ok" if here.usable else "warn"
        how = f"; passed by {here.how}" if here.how else ""
        yield Check(name=f"target {here.name}", state=state, what=f"{here.state}: {here.why}{how}", hint=here.hint)
    yield from host_settings(context, [here.name for here in found])


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
        yield _ok("host settings", f"{len(found)} looked at, all as they should be")


def site(found: SiteConfig) -> Iterator[Check]:
    """Certificates, proxies, package indexes and archives that builds are given."""
    if found.ca_bundle is None:
        hint = "install ca-certificates or set MLORCH_CA_BUNDLE; https needs one"
        yield _warn("certificates", "no CA bundle was found", hint)
    else:
        yield _ok("certificates", f"{found.ca_bundle} ({found.ca_origin})")
    proxies = {name: without_credentials(value) for name, value in found.proxies.items() if name.islower()}
    yield _ok("proxies", ", ".join(f"{name} {value}" for name, value in sorted(proxies.items())) or "none set")
    origins = ", ".join(found.pip_origins)
    yield _ok("python index", f"settings of {origins}" if origins else "pip's default")
    roots = [without_credentials(url) for urls in found.archives.values() for url in urls]
    if found.archives:
        yield _ok("package archives", ", ".join(roots))
    else:
        yield _warn(
            "package archives",
            "this host's package sources name no archive of the images' distribution",
            "set MLORCH_DEBIAN_MIRROR and MLORCH_DEBIAN_SECURITY_MIRROR, or use a base image from a registry",
        )
    for note in found.notes:
        yield _warn("site", note)


def archive_access(context: Context) -> Iterator[Check]:
    """Whether the package archives answer from here, each within a few seconds; nothing where none are known."""
    roots = dict.fromkeys(url for urls in context.site.archives.values() for url in urls)
    silent = {url: why for url in roots if (why := answers(f"{url}/dists/", client=context.http))}
    if silent:
        yield _warn(
            "archive access",
            "; ".join(f"{without_credentials(url)}: {why}" for url, why in silent.items()),
            "check proxies and certificates above, or name a mirror in MLORCH_DEBIAN_MIRROR; "
            "what is built or downloaded already needs none",
        )
    elif roots:
        yield _ok("archive access", "all answer")


def registries(context: Context) -> Iterator[Check]:
    """Where images are looked for before they are built, and whether each answers and knows us."""
    names = context.settings.registries
    if not names:
        yield _ok("registries", "none set; images are built here")
    for name in names:
        try:
            Registry.at(parse_registry_prefix(name).host, context.http, _REGISTRY_S).ping()
        except MlorchError as error:
            yield _warn("registries", f"{name}: {error.message}", error.hint)
        else:
            yield _ok("registries", f"{name} answers")


def without_credentials(url: str) -> str:
    """An address without user and password, fit to be shown."""
    return re.sub(r"(?<=//)[^/@]*@", "", url) if "//" in url else url.rpartition("@")[2]
