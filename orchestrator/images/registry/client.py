"""A registry by the OCI distribution API: manifests, blobs, tags, referrers.

Every manifest and blob that comes is hashed here: what a caller gets is what its digest says.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from orchestrator.engines import registry_failures as failures
from orchestrator.errors import RegistryError
from orchestrator.facts.references import is_digest
from orchestrator.facts.sizes import whole_number
from orchestrator.facts.strict_json import strict_json
from orchestrator.http.answer import LARGEST_DOWNLOAD
from orchestrator.http.client import Client
from orchestrator.http.failures import HttpError
from orchestrator.images.registry.manifests import (
    LARGEST,
    MANIFESTS,
    OCI_INDEX,
    Descriptor,
    Manifest,
    descriptor_from,
    digest_of,
    index_of,
)
from orchestrator.images.registry.transport import SILENCE_S, Call, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from orchestrator.engines import RegistryAuth
    from orchestrator.http.answer import Answer

_MOST_PAGES, _MOST_NAMES, _LONGEST_LIST_S = 1000, 200_000, 120.0
"""Of a list that comes in pages, each with the address of the next: some of these circles never close."""
_NO_API = frozenset({400, 404, 405, 501})
"""How registries answer that do not know the referrers API."""
_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')


@dataclass(slots=True)
class Registry:
    """One registry by its host (``HOST[:PORT]``); repositories are full paths in it.

    Every method raises `RegistryError` as `Transport.ask` does, besides what it names.
    """

    host: str
    transport: Transport = field(repr=False)

    @classmethod
    def at(cls, host: str, client: Client | None = None, silence_s: float = SILENCE_S) -> Registry:
        """The registry at `host`; `silence_s` is how long it may say nothing.

        Without a client it is asked with what this process's environment has for the site.
        """
        return cls(host, Transport.to(host, client or Client(), silence_s))

    def auth(self, repository: str = "") -> RegistryAuth | None:
        """The credentials kept for it, to hand to an engine that pulls or pushes itself."""
        return self.transport.auth(repository)

    def ping(self) -> None:
        """Raises where it does not answer, or does not know us."""
        self.transport.ask(Call(method="GET", path="/v2/", what="access"))

    # -- manifests -----------------------------------------------------------------------

    def head_manifest(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag or digest names now, or None where there is no such thing."""
        answer = self._ask(
            "HEAD", repository, f"/manifests/{_path(reference)}", reference, expect=(200, 404), headers=_ACCEPT
        )
        if answer.status == 404:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):  # a registry need not say it
            return self.get_manifest(repository, reference).descriptor()
        if is_digest(reference) and digest != reference:
            raise failures.mismatch(f"{self.host}/{repository}@{reference}", f"it has the digest {digest}")
        return Descriptor(media_type=_media_type(answer), digest=digest, size=_length(answer))

    def get_manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest or index by tag or digest.

        Raises:
            RegistryError: `digest-not-found`; `digest-mismatch` where its bytes are not those of the
                digest that was asked for or announced; `bad-manifest` for one that is too large.
        """
        what = _name(self.host, repository, reference)
        answer = self._ask("GET", repository, f"/manifests/{_path(reference)}", reference, headers=_ACCEPT, stream=True)
        data = b"".join(self._blocks(answer, LARGEST, what))
        announced = answer.headers.get("Docker-Content-Digest", "")
        for wanted in (reference, announced):
            if is_digest(wanted) and (found := _hash(wanted, data)) != wanted:
                raise failures.mismatch(what, f"it has the digest {found}")
        return Manifest(media_type=_media_type(answer), data=data)

    def put_manifest(self, repository: str, manifest: Manifest, tag: str = "") -> Descriptor:
        """Store a manifest under its digest, and under `tag` where one is given.

        One with a ``subject`` is found by `referrers` afterwards, on registries of OCI 1.0 as well.
        """
        reference = tag or manifest.digest
        answer = self._ask(
            "PUT", repository, f"/manifests/{_path(reference)}", reference, expect=(200, 201, 202),
            headers={"Content-Type": manifest.media_type}, body=lambda: manifest.data,
        )  # fmt: skip
        stored = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(stored) and stored.startswith("sha256:") and stored != manifest.digest:
            what = f"what {self.host} stored as {repository}:{reference}"
            raise failures.mismatch(what, f"it has the digest {stored}")
        subject = manifest.document.get("subject")
        if subject is not None:
            about = descriptor_from(subject).digest
            # Some say that they keep it by its subject, and have nothing to ask for it.
            listed = "OCI-Subject" in answer.headers and self._by_api(repository, about)
            if not listed or manifest.digest not in {one.digest for one in listed}:
                self._add_referrer(repository, about, manifest)
        return manifest.descriptor()

    # -- blobs ---------------------------------------------------------------------------

    def head_blob(self, repository: str, digest: str) -> int | None:
        """The size of a blob in bytes, or None where it is not there."""
        answer = self._ask("HEAD", repository, f"/blobs/{_path(digest)}", digest, expect=(200, 404))
        return None if answer.status == 404 else _length(answer)

    def read_blob(self, repository: str, digest: str, limit: int = LARGEST) -> bytes:
        """A small blob, such as a configuration; `limit` is its most bytes. Raises as `get_blob`."""
        held = io.BytesIO()
        self._receive(repository, digest, held, limit)
        return held.getvalue()

    def get_blob(self, repository: str, digest: str, out: Path, limit: int | None = None) -> None:
        """Write a blob to `out` as it comes; nothing is left there where it fails.

        Raises:
            RegistryError: `digest-not-found`; `digest-mismatch` where its bytes have another hash;
                `blob-size` above `limit` bytes.
        """
        try:
            with out.open("wb") as file:
                self._receive(repository, digest, file, limit)
        except BaseException:
            out.unlink(missing_ok=True)
            raise

    def put_blob(self, repository: str, data: bytes) -> Descriptor:
        """Send a blob unless it is there already."""
        digest = digest_of(data)
        made = Descriptor(media_type="application/octet-stream", digest=digest, size=len(data))
        if self.head_blob(repository, digest) is not None:
            return made
        begun, address = self._begin_upload(repository, _name(self.host, repository, digest))
        if begun == 201:
            return made
        self.transport.ask(
            Call(
                method="PUT",
                path=f"{address}{'&' if '?' in address else '?'}digest={quote(digest, safe='')}",
                what=f"the blob {_name(self.host, repository, digest)}",
                repository=repository,
                expect=(201, 204),
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(len(data))},
                body=lambda: data,
            )
        )
        return made

    def require_push(self, repository: str) -> None:
        """Raises where images may not be pushed to a repository: an upload is begun there, and given up at once."""
        what = f"images at {self.host}/{repository}"
        begun, address = self._begin_upload(repository, what)
        if begun != 202:
            return
        with contextlib.suppress(RegistryError):  # some know no end of an upload but their own
            self.transport.ask(
                Call(method="DELETE", path=address, what=what, repository=repository, expect=(200, 202, 204, 404))
            )

    def _begin_upload(self, repository: str, what: str) -> tuple[int, str]:
        """The status of a blob's upload that was begun (201: it is there already), and the address where it goes on."""
        path = f"/v2/{repository}/blobs/uploads/"
        begun = self.transport.ask(
            Call(method="POST", path=path, what=what, repository=repository, expect=(201, 202), body=lambda: b"")
        )
        return begun.status, self.transport.address(path, following=begun.headers.get("Location", ""))

    # -- lists ---------------------------------------------------------------------------

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository, sorted; none where there is no such repository."""
        return self._pages(f"/v2/{repository}/tags/list?n=1000", repository, "tags")

    def repositories(self) -> tuple[str, ...]:
        """All repositories, where the registry tells; many hosted ones refuse."""
        return self._pages("/v2/_catalog?n=1000", "", "repositories")

    def _pages(self, path: str, repository: str, key: str) -> tuple[str, ...]:
        found: set[str] = set()
        asked: set[str] = set()
        until = time.monotonic() + _LONGEST_LIST_S
        path = self.transport.address(path)
        while path not in asked:
            asked.add(path)
            answer = self.transport.ask(
                Call(method="GET", path=path, what=f"the list of {key}", repository=repository, expect=(200, 404))
            )
            if answer.status == 404:
                break
            found.update(self._names(answer, key))
            following = _NEXT.search(answer.headers.get("Link", ""))
            if following is None:
                break
            if len(asked) >= _MOST_PAGES or len(found) > _MOST_NAMES or time.monotonic() > until:
                count = f"{len(found):,} on {len(asked):,} pages"
                raise RegistryError(
                    f"the registry {self.host} gives a list of {key} without end: {count}",
                    hint="nothing was done with it; whoever runs the registry can say what is wrong there",
                    slug="registry-refused",
                )
            path = self.transport.address(path, following=following[1])
        return tuple(sorted(found))

    def _names(self, answer: Answer, key: str) -> list[str]:
        """The names on one page of a list."""
        try:
            names = strict_json(answer.text).get(key) or []
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                return names
        except (ValueError, AttributeError):
            pass
        raise RegistryError(
            f"the registry {self.host} gives no list of {key}", hint="is it a registry?", slug="registry-refused"
        )

    # -- referrers -----------------------------------------------------------------------

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...]:
        """What was attached to a manifest (SBOM, provenance, signature): by the API of OCI 1.1, and by its tag.

        Both are asked: what was attached before a registry learned the API has its tag only.
        """
        by_api = self._by_api(repository, digest) or ()
        known = {one.digest for one in by_api}
        return (*by_api, *(one for one in self._tagged_referrers(repository, digest) if one.digest not in known))

    def _by_api(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """What the API of OCI 1.1 lists, on its first page; None where a registry has no such API."""
        expect = (200, *_NO_API)
        answer = self._ask(
            "GET", repository, f"/referrers/{_path(digest)}", digest, expect=expect, headers={"Accept": OCI_INDEX}
        )
        if answer.status != 200 or _media_type(answer) != OCI_INDEX:
            return None
        return Manifest(media_type=OCI_INDEX, data=answer.content).manifests()

    def _tagged_referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...]:
        tag = referrers_tag(digest)
        if self.head_manifest(repository, tag) is None:
            return ()
        return self.get_manifest(repository, tag).manifests()

    def _add_referrer(self, repository: str, subject: str, manifest: Manifest) -> None:
        """Note a referrer in the index under the subject's tag, as clients of OCI 1.1 do on older registries."""
        own = replace(manifest.descriptor(), artifact_type=str(manifest.document.get("artifactType") or ""))
        others = tuple(one for one in self._tagged_referrers(repository, subject) if one.digest != own.digest)
        self.put_manifest(repository, index_of((*others, own)), tag=referrers_tag(subject))

    # -- the wire ------------------------------------------------------------------------

    def _ask(self, method: str, repository: str, path: str, reference: str, **more: Any) -> Answer:
        """`Transport.ask` for something in a repository; ``more`` are fields of the `Call`."""
        what = _name(self.host, repository, reference)
        call = Call(method=method, path=f"/v2/{repository}{path}", what=what, repository=repository, **more)
        return self.transport.ask(call)

    def _receive(self, repository: str, digest: str, out: IO[bytes], limit: int | None) -> None:
        what = f"the blob {_name(self.host, repository, digest)}"
        answer = self._ask("GET", repository, f"/blobs/{_path(digest)}", digest, stream=True)
        algorithm = digest.partition(":")[0]
        hashed = hashlib.new(algorithm)
        for block in self._blocks(answer, limit, what):
            hashed.update(block)
            out.write(block)
        found = f"{algorithm}:{hashed.hexdigest()}"
        if found != digest:
            raise failures.mismatch(what, f"it has the digest {found}")

    def _blocks(self, answer: Answer, limit: int | None, what: str) -> Iterator[bytes]:
        """The body as it comes; one that is too large is stopped."""
        try:
            yield from answer.blocks(LARGEST_DOWNLOAD if limit is None else limit)
        except HttpError as error:
            if error.slug == "http-size":
                raise RegistryError(
                    f"{what} is larger than {limit} bytes and was not taken", slug="blob-size"
                ) from None
            raise self.transport.failure(error) from None


_ACCEPT = {"Accept": ", ".join(MANIFESTS)}


def referrers_tag(digest: str) -> str:
    """The tag under which registries without the referrers API keep what refers to a manifest."""
    return digest.replace(":", "-")[:128]


def _name(host: str, repository: str, reference: str) -> str:
    return f"{host}/{repository}{'@' if is_digest(reference) else ':'}{reference}"


def _path(reference: str) -> str:
    return quote(reference, safe=":")


def _media_type(answer: Answer) -> str:
    return str(answer.headers.get("Content-Type", "")).partition(";")[0].strip()


def _length(answer: Answer) -> int:
    return whole_number(answer.headers.get("Content-Length", "")) or 0


def _hash(like: str, data: bytes) -> str:
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
