"""Cross checks of servers and of the roles of benchmarks: names, images and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.check_names import exists, of_level
from orchestrator.definitions.kinds.clients import NO_CLIENT_HINT, why_no_client
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.servers import SERVER_VALUES, Server
from orchestrator.definitions.values import TemplateFault, check_template
from orchestrator.definitions.yaml import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.errors import Problem

Loc = tuple[str | int, ...]


def check_server(catalog: Catalog, entry: AnyEntry, server: Server) -> Iterator[Problem]:
    """Whether its texts name values that there are, and its images are side layers of targets that there are.

    A framework that serves a model by itself is an image too.
    """
    for target, layer in server.images.items():
        loc: Loc = ("images", target)
        yield from exists(catalog, entry, "target", target, loc)
        found = catalog.by_key.get(("layer", layer))
        serves_by_itself = found is not None and getattr(found.definition, "level", "") == "framework"
        yield from of_level(catalog, entry, layer, loc, "framework" if serves_by_itself else "side")
    base, names = set(SERVER_VALUES), {*SERVER_VALUES, *(f"param.{name}" for name in server.parameters)}
    for name, parameter in server.parameters.items():
        yield from _text(entry, ("parameters", name, "default"), parameter.default, base)
    for index, word in enumerate(server.command):
        yield from _text(entry, ("command", index), word, names)
    for name, text in server.env.items():
        yield from _text(entry, ("env", name), text, names)


def check_roles(catalog: Catalog, entry: AnyEntry, benchmark: Benchmark) -> Iterator[Problem]:
    """Whether the servers of a benchmark's roles are there and take the parameters, and its harness can be a client."""
    if not benchmark.roles:
        return
    harness = catalog.by_key.get(("harness", benchmark.harness))
    if harness is not None and isinstance(harness.definition, Harness) and harness.definition.program is not None:
        for why in why_no_client(harness.definition, benchmark.roles):
            yield entry.document.fault("no-client", why, ("roles",), NO_CLIENT_HINT)
    for name, role in benchmark.roles.items():
        if role.server is None:
            continue
        yield from exists(catalog, entry, "server", role.server, ("roles", name, "server"))
        found = catalog.by_key.get(("server", role.server))
        if found is None or not isinstance(found.definition, Server):
            continue
        known = found.definition.parameters
        for parameter, text in role.parameters.items():
            loc: Loc = ("roles", name, "parameters", parameter)
            if parameter not in known:
                message = f"server `{role.server}` has no parameter `{parameter}`"
                yield entry.document.fault("unknown-parameter", message, loc, suggestion(parameter, known))
            yield from _text(entry, loc, text, set(SERVER_VALUES))


def _text(entry: AnyEntry, loc: Loc, text: str, names: set[str]) -> Iterator[Problem]:
    try:
        check_template(text, names.__contains__, sorted(names))
    except TemplateFault as fault:
        yield entry.document.fault("template", fault.message, loc, fault.hint)
