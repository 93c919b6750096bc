"""Which certificates a registry is believed with, and whether it may be asked without any.

The system's, the site's bundle, and those in a folder named after the registry, as
container engines have them: ``certs.d/HOST:PORT/*.crt``, with ``NAME.cert`` and
``NAME.key`` for registries that want to know the client's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError
from orchestrator.facts.references import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

_PROBE_S = 3.0
SYSTEM_FOLDERS = ("/etc/docker/certs.d", "/etc/containers/certs.d")


def certs_folders(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Folders of certificates by registry: mlorch's own, then those of the engines."""
    home = env.get("XDG_CONFIG_HOME", "")
    config = Path(home) if home.startswith("/") else Path(env.get("HOME") or "/") / ".config"
    return (config / "mlorch/certs.d", config / "docker/certs.d", *(Path(folder) for folder in SYSTEM_FOLDERS))


def certificates(host: str, env: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """The CA files that a registry's own folders hold."""
    env = os.environ if env is None else env
    return tuple(path for folder in certs_folders(env) for path in _listed(folder / host, ".crt"))


def context(host: str, env: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """What HTTPS to `host` is checked with.

    Raises:
        RegistryError: `registry-ca`, a file in the registry's folder is no certificate or key.
        EngineError: `ca-bundle`, as `system.site.discover`.
    """
    import ssl

    from orchestrator.host.site import discover

    env = os.environ if env is None else env
    found = ssl.create_default_context()
    bundle = discover(env).ca_bundle
    for path in (*((bundle,) if bundle else ()), *certificates(host, env)):
        try:
            found.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise _unusable(path, host, error) from None
    for path in (path for folder in certs_folders(env) for path in _listed(folder / host, ".cert")):
        try:
            found.load_cert_chain(path, path.with_suffix(".key"))
        except (OSError, ssl.SSLError) as error:
            raise _unusable(path, host, error) from None
    return found


def scheme(host: str, env: Mapping[str, str] | None = None) -> str:
    """``https``; on loopback, without certificates of its own here, ``http`` where the registry speaks no TLS."""
    import ssl

    if not is_loopback(host) or certificates(host, env):
        return "https"
    name, _, port = host.rpartition(":")
    try:
        # Nothing is said over this connection, so nobody has to be believed yet.
        ssl.get_server_certificate((name or host, int(port) if name else 80), timeout=_PROBE_S)
    except (OSError, ValueError):  # an SSLError is an OSError
        return "http"
    return "https"


def where_to_put(host: str) -> str:
    """The hint of an untrusted registry: where its CA belongs, for mlorch and for the engine."""
    return (
        f"put its CA into ~/.config/mlorch/certs.d/{host}/ca.crt for mlorch and into "
        f"/etc/docker/certs.d/{host}/ca.crt for a Docker engine (it serves both; /etc/containers for podman); "
        "MLORCH_CA_BUNDLE names a bundle for everything that mlorch itself asks"
    )


def _listed(folder: Path, ending: str) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.iterdir() if path.suffix == ending)
    except OSError:
        return


def _unusable(path: Path, host: str, error: Exception) -> RegistryError:
    return RegistryError(
        f"{path}, which {host} is to be believed with, cannot be used: {error}",
        hint="a .crt file holds PEM certificates; a .cert file needs its .key beside it",
        slug="registry-ca",
    )
