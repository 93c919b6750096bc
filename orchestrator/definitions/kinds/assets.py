"""What a recipe may say of models and datasets: where their bytes come from, how they are made, what they must be.

Everything that is fetched has a hash: the recipe's, or that of a lock (`kinds.lock.AssetLock`). A text that is
empty where a hash belongs says that nobody has looked it up; such an asset is listed and planned, and never used.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from orchestrator.definitions.kinds.base import (
    Commit,
    DebName,
    Framework,
    GitUrl,
    Identifier,
    Name,
    RelativePath,
    Sha256,
    Size,
    Strict,
    Variable,
)

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
ScriptPath = Annotated[
    str, StringConstraints(pattern=r"^(?:builtin:)?(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z")
]
"""Of a script beside the recipe, or of one that comes with mlorch."""
AssetName = Annotated[str, StringConstraints(pattern=r"^(?:model|dataset)/[a-z0-9]+(?:[._-][a-z0-9]+)*\Z")]
"""``model/NAME`` or ``dataset/NAME``."""


Side = Annotated[int, Field(gt=0, le=16384)]
Positive = Annotated[float, Field(gt=0)]
Layout = Literal["NCHW", "NHWC"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class Licence(Strict):
    """Under which terms the bytes come, and where the text lies inside the source."""

    spdx: str
    note: str = ""
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
_AnySource = Annotated[AssetSource, Field(discriminator="kind")]


class Output(Strict):
    """A file that an asset consists of, as mounted into the container; or a folder of many files.

    The hash of a folder is that of its manifest: the lines ``SHA256  NAME`` of its files, sorted by name. The
    folder ``.`` is everything that the asset has. Without a hash the asset is unlocked.
    """

    file: RelativePath | None = None
    folder: RelativePath | None = None
    files: int | None = Field(default=None, gt=0)
    """How many files the folder has."""
    sha256: HashOrNone = ""
    size: int = Field(default=0, ge=0)
    """bytes of the file, or of all files of the folder; 0 where nobody says"""
    manifest: RelativePath | None = None
    """The manifest itself, a file beside the recipe: with it a missing file is named."""

    @property
    def path(self) -> str:
        """Its name below the asset's folder."""
        return self.file or self.folder or ""

    def has(self, name: str) -> bool:
        """Whether this output is, or holds, the file ``name`` of the asset."""
        if self.folder == ".":
            return True
        return name == self.file or (self.folder is not None and name.startswith(f"{self.folder}/"))

    def inside(self, name: str) -> str:
        """The name of one of its files as its manifest has it."""
        return name if self.folder in {None, "."} else name.removeprefix(f"{self.folder}/")

    @model_validator(mode="after")
    def _file_or_folder(self) -> Output:
        if (self.file is None) == (self.folder is None):
            raise ValueError("an output is a `file`, or a `folder` with the number of its `files`")
        if self.folder is None and (self.files is not None or self.manifest is not None):
            raise ValueError("a `folder` says how many `files` it has and may have a `manifest`, a `file` does not")
        if self.folder is not None and (self.files is None) != (not self.sha256):
            raise ValueError("a `folder` has both the number of its `files` and the `sha256` of its manifest, or none")
        return self


class Prepare(Strict):
    """How sources and other assets become this one: a script, or a command, in the image of a side layer.

    A script is called with ``--sources /sources --out /out`` and `args`; a command is run as it stands, in
    ``/out``. `inputs` are mounted read-only under ``/inputs/NAME``.
    """

    script: ScriptPath | None = None
    command: tuple[str, ...] = ()
    layer: Name
    args: tuple[str, ...] = ()
    inputs: tuple[AssetName, ...] = ()
    needs_device: bool = False
    """Whether the step computes on a device of the target."""

    @model_validator(mode="after")
    def _one_program(self) -> Prepare:
        if (self.script is None) == (not self.command):
            raise ValueError("a prepare step has a `script` or a `command`")
        if self.command and self.args:
            raise ValueError("the words of a `command` all stand in it; `args` are those of a `script`")
        names = [each.partition("/")[2] for each in self.inputs]
        if len(set(names)) < len(names):
            raise ValueError("two `inputs` have one name, and would be mounted at one place")
        return self


class Needs(Strict):
    """What a machine must have for it, where a source says so: ``100g``."""

    disk: Size | None = None
    memory: Size | None = None


class Asset(Variable):
    """Common to models and datasets: where the bytes come from and what they must become."""

    sources: tuple[_AnySource, ...] = Field(min_length=1)
    prepare: Prepare | None = None
    outputs: tuple[Output, ...] = Field(min_length=1)
    needs: Needs = Needs()

    @model_validator(mode="after")
    def _sources_fit(self) -> Asset:
        kinds = {source.kind for source in self.sources}
        if "generated" in kinds and self.prepare is None:
            raise ValueError("a `generated` asset has a `prepare` step that makes it")
        if "generated" in kinds and len(self.sources) > 1:
            raise ValueError("`generated` says that there is no source, so it stands alone")
        if "local" in kinds and (self.prepare is not None or len(self.sources) > 1):
            raise ValueError(
                "what a user has (`local`) is used as it is: it stands alone, and an asset that is made of it "
                "names it under `inputs` of `prepare`"
            )
        if "folder" in kinds and (self.prepare is None or len(self.sources) > 1):
            raise ValueError("a `folder` is read by a `prepare` step, and stands alone")
        if len(self.outputs) > 1 and any(output.folder == "." for output in self.outputs):
            raise ValueError("the folder `.` is everything, so it is the only output")
        return self

    @property
    def beside(self) -> FolderFiles | None:
        """The folder beside the recipe that it is made of, if it is. What comes of it has no hash of its own."""
        (first, *_) = self.sources
        return first if isinstance(first, FolderFiles) else None

    @property
    def local(self) -> LocalFiles | None:
        """The source that only a user has, if it is one."""
        (first, *_) = self.sources
        return first if isinstance(first, LocalFiles) else None


_READS = {"onnxruntime": "onnx", "qaic": "onnx", "openvino": "onnx", "pytorch": "pt2", "jax": "stablehlo"}
"""Backend of mlorch's harness → the format that it loads; one that is not here is taken at its word."""


class Model(Asset):
    """Weights in a form that a backend loads."""

    kind: Literal["model"]
    format: Literal["onnx", "pt2", "stablehlo", "pytorch", "safetensors", "gguf", "tensorrt", "openvino", "other"]
    parameters: int | None = Field(default=None, gt=0)
    """left out where nobody says"""
    files: dict[Framework, RelativePath] = Field(default_factory=dict)
    """Backend of mlorch's harness → the output that it loads, where it is not the one of `format`: the same weights
    in another form, with the same names of inputs and outputs."""
    trained_by: str
    reaches: dict[Name, dict[str, float]] = Field(default_factory=dict)
    """Data set → metric → what the model reached on it, in the metric's unit. A benchmark with another model or data
    set (`--set`) has its `accuracy.reference` from here."""

    def is_for(self, backend: str) -> bool:
        """Whether a backend of mlorch's harness finds something here that it can load."""
        return backend in self.files or _READS.get(backend, self.format) == self.format


class ModelFile(Strict):
    """A file beside a benchmark as its model, which then needs no recipe of its own."""

    file: str = Field(min_length=1, max_length=1000)
    title: str = Field(default="", max_length=120)
    trained_by: str = ""
    licence: Licence | None = None


class SampleFolder(Strict):
    """A folder beside a benchmark as its data set, which then needs no recipe of its own.

    Photos are resized, cut to the middle, and each value v of a pixel becomes (v × scale − mean) ÷ std; arrays are
    taken as they are. What is left out is read from the model where that is certain.
    """

    folder: str = Field(min_length=1, max_length=1000)
    title: str = Field(default="", max_length=120)
    licence: Licence | None = None
    size: tuple[Side, Side] | None = None
    """Height and width that the model takes, in pixels."""
    short_side: Side | None = None
    """Photos are resized so that their short side has so many pixels; 8/7 of the size where nothing is said."""
    resize: tuple[Side, Side] | None = None
    """Height and width that photos are stretched to, instead of `short_side`."""
    resample: Resample = "bilinear"
    scale: float | None = Field(default=None, gt=0)
    mean: tuple[float, ...] = ()
    std: tuple[Positive, ...] = ()
    layout: Layout | None = None
    channels: Literal["RGB", "BGR", "L"] | None = None

    @model_validator(mode="after")
    def _fits(self) -> SampleFolder:
        if self.short_side is not None and self.resize is not None:
            raise ValueError("`short_side` keeps the shape of a photo and `resize` does not: say one of them")
        if bool(self.mean) != bool(self.std) or len(self.mean) not in {0, 1, 3} or len(self.std) != len(self.mean):
            raise ValueError("`mean` and `std` go together, with one number or three each")
        return self


class Dataset(Asset):
    """Samples and their labels.

    `inputs`, `labels` and `arrays` name arrays (``.npy``, sample axis first) for a harness of form `mlorch`; an
    external one reads the folder as its author laid it out.
    """

    kind: Literal["dataset"]
    samples: int = Field(gt=0)
    inputs: RelativePath | None = None
    labels: RelativePath | None = None
    arrays: dict[Identifier, RelativePath] = Field(default_factory=dict)
    """Further arrays by name, for models of several inputs; `lengths` says how long each sample of a padded one is."""
    label_names: tuple[str, ...] = ()
    """What the labels 0, 1, … are called, for people."""
    show_samples: bool | None = None
    """Whether a few samples may stand in a report, as pictures or texts. Left out, they may where the terms of no
    source are against handing them on."""
    parameters: dict[Name, dict[str, str]] = Field(default_factory=dict)
    """Harness → parameter → its value for these samples. A benchmark that `--set` gives this data set has them."""

    @property
    def all_arrays(self) -> dict[str, str]:
        """Every array by its name, `inputs` and `labels` among them where they are said."""
        named = {"inputs": self.inputs, "labels": self.labels}
        return {name: path for name, path in named.items() if path is not None} | self.arrays
