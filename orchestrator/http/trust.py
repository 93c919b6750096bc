"""What servers are believed with, and connections that believe nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.http.failures import HttpError

if TYPE_CHECKING:
    import ssl
    from typing import Any

    import requests

    from orchestrator.host.site import SiteConfig


def trust(site: SiteConfig) -> ssl.SSLContext:
    """What servers are believed with: the system's certificates (certifi's where it has none) and the site's.

    Raises:
        HttpError: `http-ca`, the site's bundle cannot be read.
    """
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        from certifi import where

        context.load_verify_locations(cafile=where())
    if site.ca_bundle is not None and str(site.ca_bundle) != ssl.get_default_verify_paths().cafile:
        try:
            context.load_verify_locations(cafile=site.ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise HttpError(
                str(site.ca_bundle), f"it cannot be used as certificates ({error})", slug="http-ca"
            ) from None
    return context


def new_session() -> requests.Session:
    """Connections of our own: no cookies, nothing of the environment. Without certificates: see `checking`."""
    from http.cookiejar import DefaultCookiePolicy

    import requests

    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def checking(context: ssl.SSLContext) -> requests.adapters.BaseAdapter:
    """An adapter of requests that checks certificates with `context` alone."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **more, ssl_context=context)

        def cert_verify(self, conn: Any, *_: Any) -> None:
            """The context knows; requests would add its own bundle to it."""
            conn.cert_reqs = "CERT_REQUIRED"

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            return super().proxy_manager_for(proxy, **{**more, "ssl_context": context})

    return Adapter()
