"""Where the bytes of a model or dataset come from, one model for each kind of source, and under which terms."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import Commit, DebName, GitUrl, Line, RelativePath, Sha256, Strict

HashOrNone = Sha256 | Literal[""]
WebUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://(?![^/]*@)[A-Za-z0-9.\[\]:_-]+/[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*\Z")
]
"""Without credentials, as recipes are shared and shown."""
FilePath = Annotated[
    str,
    StringConstraints(pattern=r"^(?![/-])(?!.*//)(?!.*(?:^|/)\.{1,2}(?:/|\Z))[^\x00-\x1f\x7f\\]+\Z", max_length=1000),
]
"""The name of a file as somebody's repository has it; it may hold spaces, and leads nowhere else."""
HubRepo = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
MetadataUri = Annotated[str, StringConstraints(pattern=r"^https?://(?![^/]*@)[A-Za-z0-9.:-]+/[A-Za-z0-9._/-]+\.uri\Z")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\Z")]


class Licence(Strict):
    """Under which terms the bytes come, and where the text lies inside the source."""

    spdx: str
    note: Line = ""
    file: str = ""
    redistribution: Literal["allowed", "forbidden"] | None = None
    """Whether the bytes may be handed on. Left out, a licence that has a name of its own in SPDX allows it; to say
    otherwise is for a package under a free licence around data that are not."""
    by_name: bool = False
    """Whether its terms are such that whoever uses it must have accepted them: a benchmark with it then runs only where
    it is named, and a suite leaves it out."""


class PypiPackage(Strict):
    """One file of a PyPI release (a wheel or an sdist), by hash."""

    kind: Literal["pypi"]
    package: str
    version: str
    filename: RelativePath
    sha256: Sha256
    size: int = Field(gt=0)
    licence: Licence


class DebianPackage(Strict):
    """One Debian package, by hash; ``path`` is its place in the archive's pool."""

    kind: Literal["debian"]
    package: DebName
    version: str
    path: RelativePath
    sha256: Sha256
    size: int = Field(gt=0)
    licence: Licence


class RecipeFile(Strict):
    """A file that ships beside the recipe."""

    kind: Literal["recipe"]
    path: RelativePath
    sha256: Sha256
    licence: Licence


class HttpFile(Strict):
    """One file at one or several addresses, best first."""

    kind: Literal["http"]
    urls: tuple[WebUrl, ...] = Field(min_length=1)
    file: RelativePath | None = None
    """its name here; left out, the last part of the first address"""
    sha256: HashOrNone = ""
    md5: Md5 | Literal[""] = ""
    """of a source that gives no better one; checked where it is given, and no replacement for `sha256`"""
    size: int = Field(default=0, ge=0)
    """bytes; 0 where nobody says"""
    licence: Licence

    @property
    def name(self) -> str:
        """Its name among the sources."""
        return self.file or PurePosixPath(self.urls[0].partition("?")[0]).name


class SourceFile(Strict):
    """A file of a source that has several."""

    path: FilePath
    sha256: HashOrNone = ""
    md5: Md5 | Literal[""] = ""
    size: int = Field(default=0, ge=0)


class HubFiles(Strict):
    """Files of a Hugging Face repository at a commit; all of them where `files` is left out.

    They lie in the folder `to`. A gated one needs a token: HF_TOKEN, or the file that the hub's own tools write.
    For a program that takes a repository by its name alone `to` is the hub's own cache (`layout: cache`): with
    HF_HUB_CACHE at that folder and HF_HUB_OFFLINE=1 it finds the repository there, and asks nobody.
    """

    kind: Literal["huggingface"]
    repo: HubRepo
    repo_type: Literal["model", "dataset"] = "model"
    revision: Commit
    files: tuple[SourceFile, ...] = ()
    leave_out: tuple[str, ...] = ()
    """patterns of files that are not wanted, ``*.bin`` or ``original/*``"""
    gated: bool = False
    """Whether somebody has to accept terms before."""
    to: RelativePath | None = None
    layout: Literal["files", "cache"] = "files"
    licence: Licence

    @property
    def folder(self) -> str:
        """Where its files lie among the sources."""
        if self.layout == "cache":
            return f"{self._cached}/snapshots/{self.revision}"
        return self.to or self.repo.partition("/")[2]

    @property
    def ref(self) -> str | None:
        """The file that says which commit a program gets which names none, `main`; None where there is no cache."""
        return f"{self._cached}/refs/main" if self.layout == "cache" else None

    @property
    def _cached(self) -> str:
        """The repository's folder in the hub's cache."""
        name = self.repo.replace("/", "--")
        return f"{self.to or 'hub'}/{self.repo_type}s--{name}"


class MlcommonsFiles(Strict):
    """What MLCommons' R2 downloader brings: files that the metadata at `uri` lists with their md5."""

    kind: Literal["mlcommons"]
    uri: MetadataUri
    files: tuple[SourceFile, ...] = ()
    gated: bool = False
    """Whether only members of MLCommons get it."""
    to: RelativePath | None = None
    licence: Licence

    @property
    def folder(self) -> str:
        """Where its files lie among the sources."""
        return self.to or PurePosixPath(self.uri).stem


class GitFiles(Strict):
    """The files of a commit of a repository, or those below some `paths`; the commit is their hash."""

    kind: Literal["git"]
    url: GitUrl
    commit: Commit
    paths: tuple[RelativePath, ...] = ()
    to: RelativePath | None = None
    licence: Licence

    @property
    def folder(self) -> str:
        """Where its files lie among the sources."""
        return self.to or PurePosixPath(self.url).name.removesuffix(".git")


class FolderFiles(Strict):
    """A folder beside the recipe, mounted where it lies; every file is hashed before a step reads it."""

    kind: Literal["folder"]
    path: RelativePath
    licence: Licence


class LocalFiles(Strict):
    """Bytes that nobody may hand on: whoever has them names their folder with ``--data NAME=FOLDER``."""

    kind: Literal["local"]
    where: str
    """where to get them"""
    looks_like: str
    """what the folder must look like"""
    licence: Licence


class Generated(Strict):
    """No source at all: the prepare step makes the bytes, of other assets or of nothing."""

    kind: Literal["generated"]
    licence: Licence


AssetSource: TypeAlias = (
    PypiPackage
    | DebianPackage
    | RecipeFile
    | HttpFile
    | HubFiles
    | MlcommonsFiles
    | GitFiles
    | FolderFiles
    | LocalFiles
    | Generated
)
AnySource = Annotated[AssetSource, Field(discriminator="kind")]
