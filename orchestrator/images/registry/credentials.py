"""Who we are to a registry: what `docker login` and `podman login` left, and their credential helpers.

Nothing is written, and nothing of it is ever shown.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

from orchestrator.engines import RegistryAuth
from orchestrator.errors import RegistryError
from orchestrator.facts.references import DOCKER_HUB, hub_keys, registry_of_key
from orchestrator.host.command import find_program, run_program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.host.site import SiteConfig

_HELPER_S = 30.0


def credentials(host: str, site: SiteConfig, repository: str = "") -> RegistryAuth | None:
    """The credentials for a registry, from the first file that knows it; None where none does.

    Of several in one file those count that are kept for the longest beginning of ``HOST/REPOSITORY``, as
    podman has it; where no repository is meant, those of the registry itself, else any of it.

    Raises:
        RegistryError: `registry-credentials`, a helper that a file names is missing or fails.
    """
    for path in site.registry_logins:
        document = _document(path)
        if document is not None and (found := _in_file(document, host, repository, path)) is not None:
            return found
    return None


def _document(path: Path) -> dict[str, object] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _in_file(document: dict[str, object], host: str, repository: str, path: Path) -> RegistryAuth | None:
    keys = _keys(host)
    helpers = _table(document.get("credHelpers"))
    for key in keys:
        if isinstance(helper := helpers.get(key), str):
            return _ask_helper(helper, key, path)
    auths = _table(document.get("auths"))
    for key in _keys_of(auths, host, repository):
        entry = _table(auths[key])
        if entry:
            return _entry(entry)
    store = document.get("credsStore")
    # Without an entry the store is still asked: `docker login` with a store leaves an empty entry or none.
    return _ask_helper(store, keys[0], path) if isinstance(store, str) and store else None


def _keys(host: str) -> tuple[str, ...]:
    return hub_keys() if host == DOCKER_HUB else (host,)


def _keys_of(auths: Iterable[str], host: str, repository: str) -> list[str]:
    """The keys of `auths` that are about a registry, those first that are meant the most."""
    found = []
    for key in auths:
        registry, namespace = registry_of_key(key)
        if registry != host:
            continue
        if not repository or f"{repository}/".startswith(f"{namespace}/" if namespace else ""):
            found.append((-len(namespace) if repository else len(namespace), key))
    return [key for _, key in sorted(found)]


def _entry(entry: dict[str, object]) -> RegistryAuth | None:
    name, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if isinstance(coded := entry.get("auth"), str) and coded:
        try:
            name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    token = str(entry.get("identitytoken") or "")
    if not (password or token):
        return None
    return RegistryAuth(username=name, password=password.rstrip("\0"), identity_token=token)


def _ask_helper(helper: str, key: str, path: Path) -> RegistryAuth | None:
    program = find_program(f"docker-credential-{helper}") if "/" not in helper else None
    if program is None:
        raise RegistryError(
            f"{path} has the credentials for {key} kept by docker-credential-{helper}, which is not on PATH",
            hint="install that helper, or log in without it",
            slug="registry-credentials",
        )
    done = run_program([program, "get"], text=key, timeout_s=_HELPER_S)
    if done.code != 0:
        if "credentials not found" in done.stdout + done.stderr:
            return None
        raise RegistryError(
            f"docker-credential-{helper} gives no credentials for {key} (status {done.code})",
            hint=f"run `docker-credential-{helper} get` by hand to see why, or log in again",
            slug="registry-credentials",
        )
    try:
        found = json.loads(done.stdout)
        name, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RegistryError(
            f"docker-credential-{helper} gave something else than credentials for {key}", slug="registry-credentials"
        ) from None
    if name == "<token>":
        return RegistryAuth(username="", password="", identity_token=secret)
    return RegistryAuth(username=name, password=secret) if secret else None


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
