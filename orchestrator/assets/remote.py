"""Sources of several files on their servers: what each has, how a file of it is fetched, what a refusal means."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.assets.listed import ListedFile
from orchestrator.definitions.asset_locks import source_label
from orchestrator.errors import AssetError
from orchestrator.http.failures import HttpError
from orchestrator.packages.download import GoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.assets.hub import Hub
    from orchestrator.assets.mlcommons import Mlcommons
    from orchestrator.definitions.kinds.sources import HubFiles, MlcommonsFiles
    from orchestrator.http.client import Client
    from orchestrator.packages.download import Wanted


@dataclass(slots=True)
class HubRemote:
    """A repository of the Hugging Face hub."""

    source: HubFiles
    client: Client
    hub: Hub

    def files(self) -> tuple[ListedFile, ...]:
        """What the hub lists. Raises `AssetError`."""
        return self.hub.files(self.source, self.client)

    def stranger(self) -> AssetError | None:
        """Why nothing will come, known without asking: terms, and no sign of who accepted them."""
        return self.hub.stranger(self.source)

    def wanted(self, file: ListedFile) -> Wanted:
        """How one of the files is fetched."""
        return self.hub.wanted(self.source, file)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns what the hub refused into what to do about it."""
        with _explained(self.source, lambda error: self.hub.explained(self.source, error)):
            yield


@dataclass(slots=True)
class MlcommonsRemote:
    """Files of MLCommons' storage; where they lie is asked once, when the first is needed."""

    source: MlcommonsFiles
    client: Client
    storage: Mlcommons
    _base: str = field(default="", init=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def files(self) -> tuple[ListedFile, ...]:
        """What the metadata lists. Raises `AssetError`."""
        return self.storage.files(self.source, self.client)

    def stranger(self) -> AssetError | None:
        """Why nothing will come, known without asking: only for members, and no sign of one."""
        return self.storage.stranger(self.source)

    def wanted(self, file: ListedFile) -> Wanted:
        """How one of the files is fetched. Raises `AssetError`."""
        with self._asking:
            self._base = self._base or self.storage.base(self.source, self.client)
        return self.storage.wanted(self._base, file)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns what the server refused into what to do about it."""
        with _explained(self.source, lambda error: self.storage.explained(self.source, error)):
            yield


@contextmanager
def _explained(source: HubFiles | MlcommonsFiles, meaning: Callable[[HttpError], AssetError]) -> Iterator[None]:
    try:
        yield
    except GoneError as error:
        raise AssetError(
            f"{source_label(source)} no longer has a file that the recipe or its lock names: {error.message}",
            slug="source-gone",
        ) from None
    except AssetError as error:
        cause = error.__cause__
        if isinstance(cause, HttpError) and cause.status:
            raise meaning(cause) from cause
        raise


def merged(source: HubFiles | MlcommonsFiles, found: tuple[ListedFile, ...]) -> tuple[ListedFile, ...]:
    """What the server lists, or what the recipe names of it, with everything that either says of a file.

    Raises `AssetError` [source-gone] for a file that the recipe names and the server does not have.
    """
    if not source.files:
        return found
    by_path = {one.path: one for one in found}
    together = []
    for file in source.files:
        known = by_path.get(file.path)
        if known is None:
            raise AssetError(f"{source_label(source)} has no file `{file.path}`", slug="source-gone")
        together.append(
            ListedFile(
                path=file.path,
                size=file.size or known.size,
                sha256=file.sha256 or known.sha256,
                md5=file.md5 or known.md5,
                blob=known.blob,
            )
        )
    return tuple(together)
