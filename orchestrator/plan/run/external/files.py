"""The files that mlorch writes for a program that is not ours, as the recipe's templates say. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import DefinitionError, Problem
from orchestrator.facts.external import CONFIG
from orchestrator.plan.run.external.texts import Filler, condition_holds
from orchestrator.plan.run.loadgen_settings import user_conf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.definitions.kinds.external import Program
    from orchestrator.definitions.kinds.program_files import RenderedFile
    from orchestrator.plan.run.external.values import ExternalTest


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A rendered file: ``name`` below the config folder, ``target`` in the container."""

    name: str
    target: str
    text: str
    executable: bool = False


def config_files(program: Program, filler: Filler, test: ExternalTest) -> tuple[ConfigFile, ...]:
    found = []
    for number, file in enumerate(program.files):
        if not condition_holds(file.when, filler.values):
            continue
        absolute = file.path.startswith("/")
        name = f"{number}-{file.path.rpartition('/')[2]}" if absolute else file.path
        target = file.path if absolute else f"{CONFIG}/{file.path}"
        text = _content(file, filler, test)
        found.append(ConfigFile(name=name, target=target, text=text, executable=file.executable))
    if program.user is not None:
        found += _user_files(program.user, filler)
    _require_each_once(test.harness, found)
    return tuple(found)


def _user_files(name: str, filler: Filler) -> tuple[ConfigFile, ...]:
    """The lists of users and groups with a name for the user of the run, which no image knows."""
    uid, gid = filler.values["uid"], filler.values["gid"]
    users = f"root:x:0:0:root:/root:/bin/sh\n{name}:x:{uid}:{gid}::/scratch:/bin/sh\n"
    groups = f"root:x:0:\n{name}:x:{gid}:\n"
    return (
        ConfigFile(name="user-passwd", target="/etc/passwd", text=users),
        ConfigFile(name="user-group", target="/etc/group", text=groups),
    )


def _require_each_once(harness: str, files: Iterable[ConfigFile]) -> None:
    """Raise `DefinitionError` [file-twice] where two files have one place, or one would have to be a folder."""
    seen: dict[str, str] = {}
    for file in files:
        name, target = file.name, file.target
        for other, where in seen.items():
            if f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/") or target == where:
                message = f"harness `{harness}`: the files {where} and {target} cannot both be there"
                hint = "give one of them another path, or a `when` that excludes the other"
                raise DefinitionError([Problem(slug="file-twice", message=message, hint=hint)])
        seen[name] = target


def _content(file: RenderedFile, filler: Filler, test: ExternalTest) -> str:
    if file.format == "json":
        return json.dumps(_json(file.values, filler), indent=2) + "\n"
    text = filler.text(file.text)
    if file.format == "user.conf":
        return user_conf(test.scenario, test.settings) + text
    return text


def _json(tree: object, filler: Filler) -> object:
    """A tree of templates as JSON: numbers, true, false and null as JSON spells them, all else text."""
    if isinstance(tree, dict):
        return {key: _json(value, filler) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_json(value, filler) for value in tree]
    if tree is None:
        return None
    value = filler.typed(str(tree))
    return _plain_json(value) if isinstance(value, str) else value


def _plain_json(value: str) -> object:
    """A number, true, false or null where JSON spells them so; all else, NaN among it, stays text."""
    try:
        plain = json.loads(value, parse_constant=str)
    except (ValueError, RecursionError):
        return value
    if isinstance(plain, float) and not math.isfinite(plain):
        return value
    return plain if isinstance(plain, int | float | None) else value
