"""What MLCommons' R2 downloader brings: metadata at ``NAME.uri`` says where, ``NAME.md5`` beside it lists the files.

Some are for members: a service account's pair of variables, or a token, is sent to that server alone.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.assets.listed import MOST_LISTED, ListedFile, ask, require_safe
from orchestrator.errors import AssetError
from orchestrator.facts.sizes import whole_number
from orchestrator.http.client import Request
from orchestrator.http.failures import HttpError
from orchestrator.packages.download import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.sources import MlcommonsFiles
    from orchestrator.http.answer import Answer
    from orchestrator.http.client import Client

_LINE = re.compile(r"\\?([0-9a-f]{32})[ \t]+\*?(?:\./)?(.+)")
_ACCOUNT = ("CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET")
_TOKEN = "CF_ACCESS_TOKEN"  # noqa: S105 (a variable's name)
_ABSENT = frozenset({404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_ADDRESS = 2000
MOST_ASKED = 256
"""Files whose size is asked for one by one; the metadata does not have it."""


def access_headers(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What shows MLCommons' servers who asks; empty where nothing of it is set."""
    account = [environ.get(name, "").strip() for name in _ACCOUNT]
    if all(account):
        return {"CF-Access-Client-Id": account[0], "CF-Access-Client-Secret": account[1]}
    token = environ.get(_TOKEN, "").strip()
    return {"cf-access-token": token} if token else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlcommons:
    """MLCommons' storage, as one who has ``headers`` may read it."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def files(self, source: MlcommonsFiles, client: Client) -> tuple[ListedFile, ...]:
        """The files that the metadata lists, each with its md5, and its size where the server says it.

        Raises:
            AssetError: `token-missing` or `terms-not-accepted` for what only members get; `source-gone`,
                `download-failed`; `bad-metadata`; `unsafe-name`.
        """
        base = self.base(source, client)
        text = self._page(source, f"{source.uri.removesuffix('.uri')}.md5", client).text
        found = []
        for line in text.splitlines():
            match = _LINE.fullmatch(line.strip())
            if match is None and line.strip():
                raise AssetError(f"the list of {source.uri} has a line that is none of md5sum's", slug="bad-metadata")
            if match is not None:
                path = require_safe(match[2], source.uri)
                found.append(ListedFile(path=path, md5=match[1]))
        if not found or len(found) > MOST_LISTED:
            raise AssetError(f"the list of {source.uri} names {len(found):,} files", slug="bad-metadata")
        if len(found) > MOST_ASKED:
            return tuple(found)
        return tuple(self._with_size(base, file, client) for file in found)

    def base(self, source: MlcommonsFiles, client: Client) -> str:
        """Where the files lie: on the same server as the metadata. Raises as `files`."""
        text = self._page(source, source.uri, client).text.strip()
        before, after = urllib.parse.urlsplit(source.uri), urllib.parse.urlsplit(text[:_LONGEST_ADDRESS])
        if (before.scheme, before.netloc) != (after.scheme, after.netloc) or after.query:
            raise AssetError(
                f"the metadata at {source.uri} leads to another server",
                hint="nothing was fetched; look whether that address is right",
                slug="bad-metadata",
            )
        return text.rstrip("/")

    def wanted(self, base: str, file: ListedFile) -> Wanted:
        """How a file is fetched."""
        return Wanted(
            name=file.path,
            sha256=file.sha256,
            size=file.size,
            urls=(f"{base}/{urllib.parse.quote(file.path)}",),
            headers=self.headers,
            gone=_ABSENT,
        )

    def _with_size(self, base: str, file: ListedFile, client: Client) -> ListedFile:
        url = self.wanted(base, file).urls[0]
        try:
            with client.send(Request(url=url, method="HEAD", headers=self.headers, follow=False)) as answer:
                size = answer.headers.get("Content-Length", "") if answer.status == 200 else ""
        except HttpError:
            size = ""
        return ListedFile(path=file.path, md5=file.md5, size=whole_number(size) or 0)

    def _page(self, source: MlcommonsFiles, url: str, client: Client) -> Answer:
        # Not followed: who is not logged in is sent to a page for people.
        request = Request(url=url, headers=self.headers, follow=False)
        try:
            answer = ask(client, request, expect=(200, *_REDIRECTS))
        except HttpError as error:
            raise self.explained(source, error) from error
        if answer.status in _REDIRECTS:
            raise self._refused(source)
        return answer

    def explained(self, source: MlcommonsFiles, error: HttpError) -> AssetError:
        """What a refusal means, and what to do about it."""
        if error.status in {401, 403, *_REDIRECTS}:
            return self._refused(source)
        if error.status in _ABSENT:
            return AssetError(f"MLCommons has nothing at {source.uri}", slug="source-gone")
        return AssetError(f"{source.uri} cannot be fetched: {error.reason}", hint=error.hint, slug="download-failed")

    def stranger(self, source: MlcommonsFiles) -> AssetError | None:
        """What MLCommons would say of a file for members to one who shows nothing."""
        return self._refused(source) if source.gated and not self.headers else None

    def _refused(self, source: MlcommonsFiles) -> AssetError:
        if self.headers:
            return AssetError(
                f"MLCommons does not give {source.uri} to the account that the environment names",
                hint="accept the terms of this file on https://mlcommons.org while logged in as a member",
                slug="terms-not-accepted",
            )
        return AssetError(
            f"MLCommons gives {source.uri} to its members only, and there is no sign of one here",
            hint=f"set {' and '.join(_ACCOUNT)} of a service account, or {_TOKEN} to what "
            f"`cloudflared access token --app={source.uri}` prints after its login",
            slug="token-missing",
        )
