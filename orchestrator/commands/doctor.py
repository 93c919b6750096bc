"""`mlorch doctor`: what this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import engine_option, json_option, recipes_option
from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchestrator.console import Console
    from orchestrator.engines import Engine, EngineFacts
    from orchestrator.operations.context import Context

GIB = 1 << 30
LEAST_IMAGES, LEAST_CACHE, LEAST_MEMORY = 10 * GIB, 2 * GIB, 4 * GIB
_SIGNS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "bad": ("bad ", "red")}
_REGISTRY_S = 5.0
"""How long a registry may say nothing here: a check is not a pull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. ``state`` is ok, warn (works, but) or bad (something will fail)."""

    name: str
    state: str
    what: str
    hint: str = ""


@click.command("doctor")
@engine_option
@recipes_option
@json_option
def command(engine: str, recipes: tuple[str, ...], *, as_json: bool) -> int:
    """Check this machine: engine, storage, devices, memory, limits, certificates, proxies, archives.

    Exits with 4 where the engine cannot be used, 1 where something else will fail.
    """
    from orchestrator.console import Console
    from orchestrator.operations.sweep import sweep_containers

    console = Console(quiet=as_json)
    checks = [*_safely("settings", _settings), *all_checks(recipes, engine)]
    sweep_containers(console)
    if as_json:
        console.document({"checks": [asdict(check) for check in checks]})
    else:
        _show(console, checks)
    bad = [check.name for check in checks if check.state == "bad"]
    return 0 if not bad else 4 if "engine" in bad or "builder" in bad else 1


def all_checks(recipes: tuple[str, ...], wanted: str = "") -> Iterator[Check]:
    """Every check; one that cannot be made says so and stops no other."""
    engine, check = _engine(wanted)
    yield check
    if engine is not None:
        found, facts = engine
        yield from _safely("builder", lambda: [builder(facts)])
        yield from _safely("image storage", lambda: [image_storage(facts)])
        yield from _safely("limits", lambda: [limits(found)])
        yield from _safely("CDI", lambda: [cdi(facts)])
    yield from _safely("cache", lambda: [cache()])
    yield from _safely("memory", lambda: [memory()])
    yield from _safely("devices", lambda: devices(recipes, engine[1] if engine else None))
    yield from _safely("site", lambda: site(os.environ))
    yield from _safely("archive access", archive_access)
    yield from _safely("registries", registries)


def _safely(name: str, make: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from make()
    except MlorchError as error:
        place = f"{error.span}: " if error.span else ""
        yield Check(name=name, state="bad", what=f"{place}{error.message}", hint=error.hint)
    except OSError as error:
        yield Check(name=name, state="warn", what=f"cannot be checked: {error}")


def _settings() -> Iterator[Check]:
    """What `mlorch.yaml` and the environment say, each with where; taken up for the checks that follow."""
    from orchestrator.operations.context import use_settings

    settings = use_settings()
    words = ", ".join(f"{name} ({settings.sources[name]})" for name in settings.said())
    yield Check(name="settings", state="ok", what=words or "none; see docs/recipes.md for mlorch.yaml")


def _engine(wanted: str) -> tuple[tuple[Engine, EngineFacts] | None, Check]:
    from orchestrator.definitions.settings import Settings, read_settings
    from orchestrator.engines import ENGINES, engine_factory
    from orchestrator.operations.context import engine_name

    try:
        settings = read_settings()
    except MlorchError:
        settings = Settings()  # the check of the settings tells of it
    try:
        engine = engine_factory(engine_name(settings, wanted, tuple(ENGINES))).connect()
        facts = engine.facts()
    except MlorchError as error:
        return None, Check(name="engine", state="bad", what=error.message, hint=error.hint)
    own = ", mlorch's own" if facts.private else ""
    return (engine, facts), Check(name="engine", state="ok", what=f"{facts.name} {facts.version} at {facts.host}{own}")


def builder(facts: EngineFacts) -> Check:
    """Whether images can be built, and what the image store cannot do."""
    from orchestrator.engines import engine_factory

    chosen = engine_factory(facts.name)
    if why := chosen.unmet_requirement(facts):
        return Check(name="builder", state="bad", what=why, hint="`mlorch engine ensure` gets what is missing")
    builds, lack, hint = chosen.builder(facts)
    if lack:
        return Check(name="builder", state="warn", what=f"{builds}; {lack}", hint=hint)
    return Check(name="builder", state="ok", what=builds)


def image_storage(facts: EngineFacts) -> Check:
    """Free space where the engine keeps images, where that is on this host."""
    if not facts.host.startswith(("unix://", "exec://")) or not Path(facts.root_dir).is_dir():
        return Check(name="image storage", state="ok", what="on another host; not checked")
    return _space("image storage", Path(facts.root_dir), LEAST_IMAGES)


def cache() -> Check:
    """Free space where mlorch keeps downloads and prepared data."""
    from orchestrator.host.folders import cache_home

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
    from orchestrator.commands.engine import cdi_words
    from orchestrator.engines.cdi import known

    if faults := known(facts).faults:
        hint = "write the spec anew with the vendor's tool, or remove the file"
        return Check(name="CDI", state="warn", what="; ".join(faults), hint=hint)
    return Check(name="CDI", state="ok", what=cdi_words(facts))


def devices(recipes: tuple[str, ...], facts: EngineFacts | None) -> Iterator[Check]:
    """Which hardware targets this host has, in their three states, and what of the host could be better for them."""
    from orchestrator.commands.targets_view import state as word
    from orchestrator.host.detect import presence
    from orchestrator.operations.context import Context
    from orchestrator.operations.target_choice import all_targets
    from orchestrator.operations.targets import judge

    context = Context(recipes)
    judged = judge(facts)
    found = [presence(target, context.machine, judged) for target in all_targets(context.catalog)]
    present = [each for each in found if each.present]
    if not present:
        yield Check(
            name="devices", state="bad", what="no target is present on this host", hint="`mlorch targets` says why"
        )
    for each in present:
        # A card that cannot be used stops only those who want it.
        state = "ok" if each.usable else "warn"
        how = f"; passed by {each.how}" if each.how else ""
        yield Check(name=f"target {each.name}", state=state, what=f"{word(each)}: {each.why}{how}", hint=each.hint)
    yield from host_settings(context, [each.name for each in present])


def host_settings(context: Context, targets: list[str]) -> Iterator[Check]:
    """What the targets that are here want of the host: each setting that differs once, with what to do."""
    from orchestrator.operations.host_ready import findings

    told = {
        finding.name: finding
        for name in targets
        for finding in findings(context, context.catalog.target(name).definition)
    }
    for finding in told.values():
        if finding.ok is False:
            state = "bad" if finding.stops else "warn"
            what = f"{finding.found}, better {finding.wanted}: {finding.why}"
            yield Check(name=f"host {finding.name}", state=state, what=what, hint=finding.hint)
    if told and all(finding.ok is not False for finding in told.values()):
        yield Check(name="host settings", state="ok", what=f"{len(told)} looked at, all as they should be")


def site(env: Mapping[str, str]) -> Iterator[Check]:
    """Certificates, proxies, package indexes and archives that builds are given."""
    from orchestrator.host.site import discover

    found = discover(env)
    if found.ca_bundle is None:
        yield Check(
            name="certificates",
            state="warn",
            what="no CA bundle was found",
            hint="install ca-certificates or set MLORCH_CA_BUNDLE; https needs one",
        )
    else:
        yield Check(name="certificates", state="ok", what=f"{found.ca_bundle} ({found.ca_origin})")
    proxies = {name: without_credentials(value) for name, value in found.proxies.items() if name.islower()}
    words = ", ".join(f"{name} {value}" for name, value in sorted(proxies.items()))
    yield Check(name="proxies", state="ok", what=words or "none set")
    origins = ", ".join(found.pip_origins)
    yield Check(name="python index", state="ok", what=f"settings of {origins}" if origins else "pip's default")
    if found.archives:
        roots = ", ".join(without_credentials(url) for urls in found.archives.values() for url in urls)
        yield Check(name="package archives", state="ok", what=roots)
    else:
        yield Check(
            name="package archives",
            state="warn",
            what="this host's package sources name no archive of the images' distribution",
            hint="set MLORCH_DEBIAN_MIRROR and MLORCH_DEBIAN_SECURITY_MIRROR, or use a base image from a registry",
        )
    for note in found.notes:
        yield Check(name="site", state="warn", what=note)


def archive_access() -> Iterator[Check]:
    """Whether the package archives answer from here, each within a few seconds; nothing where none are known."""
    from orchestrator.host.site import discover
    from orchestrator.packages.download import answers

    roots = dict.fromkeys(url for urls in discover(os.environ).archives.values() for url in urls)
    silent = {url: why for url in roots if (why := answers(f"{url}/dists/"))}
    if silent:
        words = "; ".join(f"{without_credentials(url)}: {why}" for url, why in silent.items())
        yield Check(
            name="archive access",
            state="warn",
            what=words,
            hint="check proxies and certificates above, or name a mirror in MLORCH_DEBIAN_MIRROR; "
            "what is built or downloaded already needs none",
        )
    elif roots:
        yield Check(name="archive access", state="ok", what="all answer")


def registries() -> Iterator[Check]:
    """Where images are looked for before they are built, and whether each answers and knows us."""
    from orchestrator.definitions.settings import read_settings
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.registry.client import Registry

    names = read_settings().registries
    if not names:
        yield Check(name="registries", state="ok", what="none set; images are built here")
    for name in names:
        try:
            Registry.at(parse_registry_prefix(name).host, silence_s=_REGISTRY_S).ping()
        except MlorchError as error:
            yield Check(name="registries", state="warn", what=f"{name}: {error.message}", hint=error.hint)
        else:
            yield Check(name="registries", state="ok", what=f"{name} answers")


def without_credentials(url: str) -> str:
    """An address without user and password, fit to be shown."""
    return re.sub(r"(?<=//)[^/@]*@", "", url) if "//" in url else url.rpartition("@")[2]


def _show(console: Console, checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        sign = _SIGNS[check.state][0]
        console.result(f"{sign} {check.name:{width}}  {check.what}")
        if check.hint and check.state != "ok":
            console.result(f"     {'':{width}}  -> {check.hint}")
