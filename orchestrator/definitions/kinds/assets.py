"""What a recipe may say of models and datasets: where their bytes come from, how they are made, what they must be.

Everything that is fetched has a hash: the recipe's, or that of a lock (`kinds.lock.AssetLock`). A text that is
empty where a hash belongs says that nobody has looked it up; such an asset is listed and planned, and never used.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from orchestrator.definitions.kinds.base import Framework, Identifier, Name, RelativePath, Size, Strict, Variable
from orchestrator.definitions.kinds.sources import AnySource, FolderFiles, HashOrNone, LocalFiles

ScriptPath = Annotated[
    str, StringConstraints(pattern=r"^(?:builtin:)?(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z")
]
"""Of a script beside the recipe, or of one that comes with mlorch."""
AssetName = Annotated[str, StringConstraints(pattern=r"^(?:model|dataset)/[a-z0-9]+(?:[._-][a-z0-9]+)*\Z")]
"""``model/NAME`` or ``dataset/NAME``."""


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
    modules: tuple[ScriptPath, ...] = ()
    """Files that the script imports: what several scripts share. In the container they lie beside it."""
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
        if self.modules and self.script is None:
            raise ValueError("`modules` are what a `script` imports, and there is none")
        names = [PurePosixPath(each).name for each in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files of `script` and `modules` have one name, and would lie at one place")
        names = [each.partition("/")[2] for each in self.inputs]
        if len(set(names)) < len(names):
            raise ValueError("two `inputs` have one name, and would be mounted at one place")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The script and what it imports; none where a command is run."""
        return () if self.script is None else (self.script, *self.modules)


class Needs(Strict):
    """What a machine must have for it, where a source says so: ``100g``."""

    disk: Size | None = None
    memory: Size | None = None


class Asset(Variable):
    """Common to models and datasets: where the bytes come from and what they must become."""

    sources: tuple[AnySource, ...] = Field(min_length=1)
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
    """Further arrays by name, for models of several inputs; `lengths` says how long each sample of a padded one is, or
    how many rows it has of arrays whose rows are joined."""
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
