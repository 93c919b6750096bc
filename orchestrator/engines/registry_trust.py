"""Which certificates a registry is believed with, and whether it may be asked without any.

The system's, the site's bundle, and those in a folder named after the registry, as
container engines have them: ``certs.d/HOST:PORT/*.crt``, with ``NAME.cert`` and
``NAME.key`` for registries that want to know the client's.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError
from orchestrator.facts.references import is_loopback
from orchestrator.http.client import trust

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from orchestrator.host.site import SiteConfig

_PROBE_S = 3.0


def context(host: str, site: SiteConfig) -> ssl.SSLContext:
    """What HTTPS to `host` is checked with.

    Raises:
        RegistryError: `registry-ca`, a file in the registry's folder is no certificate or key.
        HttpError: `http-ca`, as `http.client.trust`.
    """
    import ssl

    found = trust(site)
    for path in listed(host, site, ".crt"):
        try:
            found.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise _unusable(path, host, error) from None
    for path in listed(host, site, ".cert"):
        try:
            found.load_cert_chain(path, path.with_suffix(".key"))
        except (OSError, ssl.SSLError) as error:
            raise _unusable(path, host, error) from None
    return found


def scheme(host: str, site: SiteConfig) -> str:
    """``https``; on loopback, without certificates of its own here, ``http`` where the registry speaks no TLS."""
    import ssl

    if not is_loopback(host) or listed(host, site, ".crt"):
        return "https"
    name, _, port = host.rpartition(":")
    try:
        # Nothing is sent over this connection, so no certificate has to be checked yet.
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


def listed(host: str, site: SiteConfig, *endings: str) -> list[Path]:
    """The files with these endings in a registry's own folders: CAs are ``.crt``."""
    found: list[Path] = []
    for folder in site.registry_certificates:
        with contextlib.suppress(OSError):
            found += sorted(path for path in (folder / host).iterdir() if path.suffix in endings)
    return found


def _unusable(path: Path, host: str, error: Exception) -> RegistryError:
    return RegistryError(
        f"{path}, which {host} is to be believed with, cannot be used: {error}",
        hint="a .crt file holds PEM certificates; a .cert file needs its .key beside it",
        slug="registry-ca",
    )
