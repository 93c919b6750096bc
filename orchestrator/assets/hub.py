"""Files of Hugging Face repositories: what a commit has, where each file is, and who may have them.

The token is a secret: it is sent in a header to the hub's own address alone (never to where that sends us on), and
is in no error, no record and no file of ours.
"""

from __future__ import annotations

import fnmatch
import os
import re
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.assets.listed import MOST_LISTED, ListedFile, ask, require_safe
from orchestrator.definitions.expand import expanded
from orchestrator.errors import AssetError, UsageError
from orchestrator.facts.references import SHA256
from orchestrator.facts.strict_json import strict_json
from orchestrator.http.client import Request
from orchestrator.http.failures import HttpError
from orchestrator.packages.download import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.definitions.kinds.sources import HubFiles
    from orchestrator.http.client import Client

HUB = "https://huggingface.co"
_TOKENS = "https://huggingface.co/settings/tokens"
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_NEXT = re.compile(r'<([^<>]+)>;\s*rel="next"')
_ABSENT = frozenset({404, 410})
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_PAGES = 1000
_SHA1 = re.compile(r"[0-9a-f]{40}")


def hub_token(environ: Mapping[str, str] = os.environ) -> str:
    """The caller's token: HF_TOKEN, else the file that the hub's own tools keep it in; empty where there is none."""
    for name in _VARIABLES:
        if environ.get(name, "").strip():
            return environ[name].strip()
    home = Path(environ.get("HF_HOME") or Path(environ.get("HOME") or "/") / ".cache" / "huggingface")
    path = expanded(environ.get("HF_TOKEN_PATH") or home / "token")
    try:
        return path.read_text(encoding="ascii")[:1000].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def this_hub(endpoint: str = "", environ: Mapping[str, str] = os.environ) -> Hub:
    """The hub as this process may use it: at ``endpoint``, else where HF_ENDPOINT says. Raises `UsageError`."""
    return Hub(endpoint=endpoint or environ.get("HF_ENDPOINT", "") or HUB, token=hub_token(environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The hub, or the mirror of it that stands at ``endpoint``."""

    endpoint: str = HUB
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
            raise UsageError(
                "the address of the Hugging Face hub is no web address, or holds credentials",
                hint="write hf_endpoint (or HF_ENDPOINT) as https://HOST, and the token as HF_TOKEN",
                slug="bad-url",
            )

    @property
    def headers(self) -> dict[str, str]:
        """Who asks. A token goes over TLS, or to this machine, or nowhere."""
        parts = urllib.parse.urlsplit(self.endpoint)
        if not self.token or not (parts.scheme == "https" or parts.hostname in _LOCAL_HOSTS):
            return {}
        return {"Authorization": f"Bearer {self.token}"}

    def files(self, source: HubFiles, client: Client) -> tuple[ListedFile, ...]:
        """The files of the commit that are wanted, as the hub lists them.

        Raises:
            AssetError: as `explained`; `unsafe-name`; `source-gone` where it has none.
        """
        kind = f"{source.repo_type}s"
        url = f"{self.endpoint.rstrip('/')}/api/{kind}/{source.repo}/tree/{source.revision}?recursive=true"
        try:
            found = tuple(one for one in self._listed(url, client) if not _left_out(one.path, source.leave_out))
        except HttpError as error:
            raise self.explained(source, error) from error
        if not found:
            raise AssetError(f"{source.repo} has no file at {source.revision[:12]}", slug="source-gone")
        return found

    def _listed(self, url: str, client: Client) -> Iterator[ListedFile]:
        count = 0
        for _ in range(_MOST_PAGES):
            answer = ask(client, Request(url=url, headers=self.headers))
            for item in _entries(answer.text, self.endpoint):
                count += 1
                yield item
            following = _NEXT.search(answer.headers.get("Link", ""))
            if following is None or count > MOST_LISTED:
                return
            url = urllib.parse.urljoin(url, following[1])
            if not url.startswith(f"{self.endpoint.rstrip('/')}/"):  # the token goes with the request
                return

    def wanted(self, source: HubFiles, file: ListedFile) -> Wanted:
        """How a file is fetched."""
        kind = "datasets/" if source.repo_type == "dataset" else ""
        place = f"{kind}{source.repo}/resolve/{source.revision}/{urllib.parse.quote(file.path)}"
        return Wanted(
            name=f"{source.repo}/{file.path}",
            sha256=file.sha256,
            size=file.size,
            urls=(f"{self.endpoint.rstrip('/')}/{place}",),
            headers=self.headers,
            gone=_ABSENT,
        )

    def stranger(self, source: HubFiles) -> AssetError | None:
        """What the hub itself would say of a gated repository to one without a token; a mirror may not ask for one."""
        known = bool(self.headers) or self.endpoint.rstrip("/") != HUB
        return None if known or not source.gated else self._token_missing(source, _page(source))

    def _token_missing(self, source: HubFiles, page: str) -> AssetError:
        return AssetError(
            f"{source.repo} is given to nobody unknown, and there is no token of the Hugging Face hub here",
            hint=f"accept its terms at {page}, make a token with the right to read at {_TOKENS}, and set HF_TOKEN "
            "(or log in with the hub's own tool, which keeps it in a file)",
            slug="token-missing",
        )

    def explained(self, source: HubFiles, error: HttpError) -> AssetError:
        """What the hub's refusal means, and what to do about it."""
        page = _page(source)
        refused = error.status in {401, 403}
        if refused and not self.headers:
            return self._token_missing(source, page)
        if refused:
            return AssetError(
                f"the hub does not give {source.repo} to the owner of this token (HTTP {error.status})",
                hint=f"accept its terms at {page} while logged in as that owner; then make sure that the token may "
                f"read gated repositories ({_TOKENS})",
                slug="terms-not-accepted",
            )
        if error.status in _ABSENT:
            return AssetError(
                f"{self.endpoint} has no {source.repo_type} {source.repo} at {source.revision[:12]}, or hides it",
                hint=f"look at {page}; a private one needs a token in HF_TOKEN",
                slug="source-gone",
            )
        return AssetError(f"{source.repo} cannot be asked for: {error.reason}", hint=error.hint, slug="download-failed")


def _page(source: HubFiles) -> str:
    """Where its terms are accepted."""
    return f"{HUB}/{'datasets/' if source.repo_type == 'dataset' else ''}{source.repo}"


def _left_out(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _entries(text: str, server: str) -> Iterator[ListedFile]:
    """The files of a page of a listing."""
    try:
        document = strict_json(text)
    except ValueError as error:
        raise AssetError(f"{server} lists files in no form that is known: {error}", slug="download-failed") from None
    for item in document if isinstance(document, list) else []:
        if not isinstance(item, dict) or item.get("type") != "file":
            continue
        lfs = item.get("lfs")
        large = lfs if isinstance(lfs, dict) else {}
        size = large.get("size", item.get("size"))
        yield ListedFile(
            path=require_safe(str(item.get("path", "")), server),
            size=size if isinstance(size, int) and size > 0 else 0,
            sha256=_matching(SHA256, large.get("oid", "")),
            blob="" if large else _matching(_SHA1, item.get("oid", "")),
        )


def _matching(pattern: re.Pattern[str], text: object) -> str:
    found = str(text).removeprefix("sha256:")
    return found if pattern.fullmatch(found) else ""
