"""The settings: `mlorch.yaml`, the environment, and where recipes come from.

The user's file (`$XDG_CONFIG_HOME/mlorch/mlorch.yaml`) < the nearest `mlorch.yaml` of the
working folder and its parents < `MLORCH_*` < the command line. Every value keeps where it
came from. Importing this module is cheap; yaml and pydantic come only with a file to read.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.expand import expanded
from orchestrator.errors import DefinitionError, Problem, Span, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.definitions.catalog import Root
    from orchestrator.definitions.yaml import Document

FILE_NAME = "mlorch.yaml"
_LISTS = frozenset({"recipes", "registries", "git_mirrors", "data", "safe_folders"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in effect; empty means "not given", so that the host's own configuration counts.

    ``sources`` has for each name ``default``, ``PATH:LINE:COL`` or ``MLORCH_…``.
    """

    recipes: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    images: str = ""
    base_source: str = ""
    ca_bundle: str = ""
    pip_index: str = ""
    debian_mirror: str = ""
    debian_security_mirror: str = ""
    git_mirrors: tuple[str, ...] = ()
    """``PREFIX=ADDRESS`` each; `mirrors: git:` of a file."""
    hf_endpoint: str = ""
    data: tuple[str, ...] = ()
    """``NAME=FOLDER`` each: models and datasets that somebody has already."""
    engine: str = ""
    engine_host: str = ""
    target: str = ""
    results: str = ""
    safe_folders: tuple[str, ...] = ()
    """Folders whose `mlorch.yaml` counts though it belongs to another user; ``*`` is every folder."""
    sources: Mapping[str, str] = field(default_factory=dict)

    def given(self) -> dict[str, str | tuple[str, ...]]:
        """The values that somebody gave, without the defaults."""
        names = (f.name for f in fields(self) if f.name != "sources")
        return {name: value for name in names if (value := getattr(self, name))}

    def results_folder(self, given: str | os.PathLike[str] | None = None) -> Path:
        """The folder of results: the one that is given, else that of the settings, else ``./results``."""
        return Path(given or self.results or "results")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"MLORCH_{name.upper()}"


def settings_files(start: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Where settings could lie, whether or not a file is there: the user's, then outermost folder first."""
    home = environ.get("XDG_CONFIG_HOME", "")
    config = Path(home) if home.startswith("/") else Path(environ.get("HOME") or "/") / ".config"
    here = (start or Path.cwd()).absolute()
    return (str(config / "mlorch" / FILE_NAME), *(str(folder / FILE_NAME) for folder in (*here.parents[::-1], here)))


def read_settings(start: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a working folder and an environment.

    Raises `DefinitionError` with every fault of an invalid file, and where a file
    belongs to another user (it could make mlorch fetch and run what that user likes).
    """
    user, *project = settings_files(start, environ)
    found = [Path(user)] if os.path.lexists(user) else []
    found += [Path(path) for path in project[::-1] if path != user and os.path.lexists(path)][:1]
    settings = Settings()
    for path in found:
        named = environ.get(variable("safe_folders"), "").split()
        settings = _with_file(settings, path, environ, safe=(*settings.safe_folders, *named), own=str(path) == user)
    return _with_environment(settings, environ)


def _is_trusted(path: Path, environ: Mapping[str, str], safe: Sequence[str]) -> bool:
    """Whether a file of settings, and a link to it, belong to this user or root, or lie in a folder that was allowed.

    Root obeys the user who called sudo and nobody else, as git does.
    """
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(environ["SUDO_UID"]))
    if {path.lstat().st_uid, path.stat().st_uid} <= trusted:
        return True
    return "*" in safe or str(path.parent) in {str(expanded(folder)) for folder in safe}


def _foreign(document: Document, folder: Path, own: str) -> Problem:
    """A file of another user; ``own`` is the user's own file of settings."""
    return document.problem(
        "foreign-settings",
        "this file belongs to another user, so it is not used",
        document.span((), key=True),
        f"work in a folder of your own, make the file yours, or allow it: {variable('safe_folders')}={folder}, "
        f"or `safe_folders: [{folder}]` in your own {own}",
    )


def _with_file(
    settings: Settings, path: Path, environ: Mapping[str, str], *, safe: Sequence[str], own: bool
) -> Settings:
    from orchestrator.definitions.kinds.settings import SettingsFile
    from orchestrator.definitions.yaml import decode, read_document

    if not path.is_file():
        problem = Problem(
            slug="settings-file",
            message="settings are read from here, and this is no regular file",
            span=Span(path=str(path), line=1, column=1, end_line=1, end_column=2),
            hint="move it away, or put a file of settings in its place",
        )
        raise DefinitionError([problem])
    document = read_document(path)
    if document.says_nothing:
        return settings
    if not _is_trusted(path, environ, safe):
        raise DefinitionError([_foreign(document, path.parent, settings_files(environ=environ)[0])])
    given = decode(document, SettingsFile)
    if given.safe_folders and not own:
        message = "only the user's own file of settings says which folders of others are safe"
        span, hint = document.span(("safe_folders",), key=True), f"move it to {settings_files(environ=environ)[0]}"
        raise DefinitionError([document.problem("foreign-settings", message, span, hint)])
    values: dict[str, object] = {}
    sources = dict(settings.sources)
    for name in sorted(given.model_fields_set):
        value = getattr(given, name)
        if name == "mirrors":
            values["git_mirrors"] = tuple(f"{prefix}={_beside(at, path.parent)}" for prefix, at in value.git.items())
            sources["git_mirrors"] = str(document.span((name,), key=True))
            continue
        if name == "data":
            value = tuple(f"{asset}={path.parent / expanded(at)}" for asset, at in value.items())
        elif name == "recipes":
            # Recipes of several files add up, the nearer file's later: they lay over one another anyway.
            value = (*settings.recipes, *(_absolute_spec(item, path.parent) for item in value))
        elif name in {"ca_bundle", "results", "images"}:
            value = str(path.parent / expanded(value))
        values[name] = value
        sources[name] = str(document.span((name,), key=True))
    return replace(settings, **values, sources=sources)  # type: ignore[arg-type]  # the models have equal fields


def _beside(address: str, folder: Path) -> str:
    """An address of a mirror; one that is a path is relative to the settings file. A final slash stays."""
    if "://" in address:
        return address
    slash = "/" if address.endswith("/") else ""
    return str((folder / expanded(address)).absolute()) + slash


def _with_environment(settings: Settings, environ: Mapping[str, str]) -> Settings:
    values: dict[str, object] = {}
    sources = dict(settings.sources)
    for known in fields(Settings):
        text = environ.get(variable(known.name), "")
        if known.name == "sources" or not text:
            continue
        values[known.name] = tuple(text.split()) if known.name in _LISTS else text
        sources[known.name] = variable(known.name)
    return replace(settings, **values, sources=sources)  # type: ignore[arg-type]  # text and lists of text, by name


# -- where recipes come from -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GitSpec:
    """Recipes in a git repository at a ref."""

    url: str
    ref: str

    def __str__(self) -> str:
        return f"{self.url}@{self.ref}"


# Not compiled here: every command imports this module, and few meet such a text.
_SCHEME = r"(?s)(?P<head>(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]*))(?P<tail>/.*)?"
_SCP = r"(?s)(?P<head>(?!-)[A-Za-z0-9._-]+@(?!-)[A-Za-z0-9.-]+:)(?P<tail>.*)"
_REF = r"(?!.*\.\.)(?!.*//)[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}"
_PATH = r"[A-Za-z0-9._/~+%-]+"
_HOST = r"(?!-)(?:[A-Za-z0-9._-]+@(?!-))?[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?"
_SCHEMES = ("https", "ssh", "file")


def recipe_spec(text: str) -> Path | GitSpec:
    """A folder or a git repository at a ref, from what `--recipes` takes.

    Raises `UsageError` for a repository without a ref, a transport other than
    https, ssh and file, credentials in the address, or anything that git could
    take for an option.
    """
    if "::" in text.partition("/")[0]:
        raise _refused(text, "remote helpers of git are not used", "give an https:// or ssh:// address")
    match = re.fullmatch(_SCHEME, text) or re.fullmatch(_SCP, text)
    if match is None:
        return expanded(text)
    found = match.groupdict()
    if "scheme" in found:
        _check_authority(text, found["scheme"].lower(), found["authority"])
    path, _, ref = (found["tail"] or "").partition("@")
    if not ref:
        raise _refused(text, "no ref is given", "add one: URL@TAG, URL@BRANCH or URL@COMMIT")
    if not re.fullmatch(_REF, ref) or ref.endswith((".lock", "/", ".")):
        raise _refused(text, f"`{ref[:80]}` cannot be a ref", "give a tag, a branch or a commit")
    if not re.fullmatch(_PATH, path) or path.startswith("-"):
        raise _refused(text, "the path of the repository has characters that cannot stand there", "")
    return GitSpec(url=found["head"] + path, ref=ref)


def _check_authority(text: str, scheme: str, authority: str) -> None:
    if scheme not in _SCHEMES:
        raise _refused(text, f"git over `{scheme}` is not allowed", f"use one of: {', '.join(_SCHEMES)}")
    user, at, _ = authority.rpartition("@")
    if at and (":" in user or scheme != "ssh"):
        # The address is kept in records and shown in lists; the text is not repeated here for the same reason.
        message = "the address of the recipes holds credentials"
        raise UsageError(message, hint="leave them out and let git's credential helper give them", slug="bad-recipes")
    if scheme != "file" and not re.fullmatch(_HOST, authority):
        raise _refused(text, "there is no host in it", "")
    if scheme == "file" and authority:
        raise _refused(text, "a file:// address has three slashes", "write file:///PATH@REF")


def _refused(text: str, why: str, hint: str) -> UsageError:
    return UsageError(f"recipes from `{text[:120]}`: {why}", hint=hint, slug="bad-recipes")


def _absolute_spec(text: str, folder: Path) -> str:
    spec = recipe_spec(text)
    return str(folder / spec) if isinstance(spec, Path) else text


def recipe_specs(recipes: Sequence[str] = (), settings: Settings | None = None) -> tuple[str, ...]:
    """The settings' recipes, then the given ones; `UsageError` where one cannot be understood."""
    texts = (*(settings or read_settings()).recipes, *recipes)
    for text in texts:
        recipe_spec(text)
    return texts


def pinned(recipes: Sequence[str], commit_of: Callable[[str, str], str]) -> tuple[str, ...]:
    """The recipes with every ref of git replaced by the commit that it names now (`system.git.commit_of`)."""
    specs = [(text, recipe_spec(text)) for text in recipes]
    return tuple(
        f"{spec.url}@{commit_of(spec.url, spec.ref)}" if isinstance(spec, GitSpec) else text for text, spec in specs
    )


def roots(recipes: Sequence[str], fetch: Callable[[str, str], Path]) -> tuple[Root, ...]:
    """The built-in definitions and the given ones over them.

    ``fetch`` gives the folder of a repository's commit (`system.git.fetch`). Raises
    `UsageError` for a folder that is not there.
    """
    from orchestrator.definitions.catalog import Root, builtin_root

    found = [builtin_root()]
    for text in recipes:
        spec = recipe_spec(text)
        if isinstance(spec, GitSpec):
            found.append(Root(path=fetch(spec.url, spec.ref), origin=f"git:{spec}"))
            continue
        path = spec.absolute()
        if not path.is_dir():
            hint = "give a folder, or a git address with its ref: https://HOST/REPO@TAG"
            raise UsageError(f"there is no folder `{text}` with recipes", hint=hint, slug="no-recipes")
        found.append(Root(path=path, origin=f"path:{path}"))
    return tuple(found)
