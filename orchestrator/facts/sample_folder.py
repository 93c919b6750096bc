"""What a folder of samples, or of a model as Hugging Face lays it out, says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.model_file import FileFacts

Form = Literal["class-folders", "val-map", "array-files", "arrays"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """A folder of samples. Files were counted, and none but an array's head and the list of labels was read."""

    form: Form
    samples: int
    below: str = ""
    """the folder below it that has the samples: ``val``"""
    classes: tuple[str, ...] = ()
    """the names of class folders, sorted"""
    highest: int = -1
    """the highest label that the folder's list gives"""
    arrays: tuple[str, str] = ("", "")
    """the files of samples and labels, of form ``arrays``"""
    shape: tuple[int, ...] = ()
    """of one sample, where arrays say it"""
    dtype: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFacts:
    """A folder as Hugging Face's tools write it: its ONNX file, and what its two descriptions say."""

    model: str
    """the ONNX file, below the folder"""
    facts: FileFacts
    files: Mapping[str, str]
    """sha256 of each description that it has, by its name"""
    config: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] | None = None
    """None where there is no such file"""
