"""What an ONNX file says of its inputs and outputs, read without a library: the few fields of its protobuf that matter.

A message is a row of fields: a number, a form of writing, a value. What is not wanted is skipped by its length, so
weights of gigabytes cost a seek each. The file is somebody's: every length is checked against what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.facts.model_file import TensorFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MOST_FIELDS = 2_000_000
"""Of one file; the largest graphs have some hundred thousand."""
_LONGEST_TEXT = 4096
_MOST_DIMENSIONS, _LARGEST = 64, 2**31
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# onnx.proto: Model{ir_version=1, graph=7}, Graph{node=1, initializer=5, input=11, output=12},
# Tensor{name=8, data_location=14}, ValueInfo{name=1, type=2}, Type{tensor_type=1}, TensorType{elem_type=1,
# shape=2}, Shape{dim=1}, Dim{dim_value=1}.
_IR_VERSION, _GRAPH = 1, 7
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_TENSOR_NAME, _DATA_LOCATION, _EXTERNAL = 8, 14, 1
_DTYPES = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16"} | {
    11: "float64",
    16: "bfloat16",
}


class NotOnnxError(ValueError):
    """The bytes are no ONNX model, or one that is not whole."""


class OtherFilesError(ValueError):
    """The model keeps weights in files beside it."""


class Interface(NamedTuple):
    """What a graph takes and gives, in its order; inputs that have a value in the file are none."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]


class _Field(NamedTuple):
    number: int
    value: int
    """Of a number; of bytes, where they begin."""
    end: int
    """Where the field ends; for bytes also where they do."""
    is_bytes: bool


class _Reader:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MOST_FIELDS

    def fields(self, start: int, end: int) -> Iterator[_Field]:
        """The fields of the message between two places; the caller may read elsewhere between them."""
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise NotOnnxError(f"it has more than {MOST_FIELDS:,} fields")
            self._stream.seek(at)
            key, at = self._number(at)
            number, form = key >> 3, key & 7
            if number == 0:
                raise NotOnnxError("a field has no number")
            if form == _VARINT:
                value, at = self._number(at)
                found = _Field(number, value, at, is_bytes=False)
            elif form == _BYTES:
                length, at = self._number(at)
                found = _Field(number, at, at + length, is_bytes=True)
            elif form in {_FIXED32, _FIXED64}:
                found = _Field(number, 0, at + (4 if form == _FIXED32 else 8), is_bytes=False)
            else:
                raise NotOnnxError("a field is written in a form that there is not")
            at = found.end
            if at > end:
                raise NotOnnxError("it ends in the middle of a field")
            yield found

    def _number(self, at: int) -> tuple[int, int]:
        """A varint at the stream's place, and where it ends."""
        value, shift = 0, 0
        while shift < 70:
            byte = self._stream.read(1)
            if not byte:
                raise NotOnnxError("it ends in the middle of a field")
            at += 1
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value, at
            shift += 7
        raise NotOnnxError("a number in it is too long")

    def text(self, field: _Field) -> str:
        if not field.is_bytes or field.end - field.value > _LONGEST_TEXT:
            raise NotOnnxError("a name in it is no text")
        self._stream.seek(field.value)
        try:
            return self._stream.read(field.end - field.value).decode("utf-8")
        except UnicodeDecodeError:
            raise NotOnnxError("a name in it is no text") from None

    def child(self, within: _Field | None, number: int) -> _Field | None:
        """The last field of a number in a message; None where there is none."""
        found = None
        if within is not None and within.is_bytes:
            for field in self.fields(within.value, within.end):
                if field.number == number:
                    found = field
        return found


def read_interface(stream: BinaryIO, size: int) -> Interface:
    """What the ONNX model in ``stream`` (``size`` bytes, seekable) takes and gives.

    Raises `NotOnnxError`, or `OtherFilesError` where weights lie in other files.
    """
    reader = _Reader(stream)
    version = graph = None
    for field in reader.fields(0, size):
        if field.number == _IR_VERSION and not field.is_bytes:
            version = field
        elif field.number == _GRAPH and field.is_bytes:
            graph = field
    if version is None or graph is None:
        raise NotOnnxError("it has no graph")
    return _interface(reader, graph)


def _interface(reader: _Reader, graph: _Field) -> Interface:
    inputs, outputs, valued = [], [], set()
    for field in reader.fields(graph.value, graph.end):
        if not field.is_bytes:
            continue
        if field.number == _INITIALIZER:
            valued.add(_weights(reader, field))
        elif field.number == _INPUT:
            inputs.append(_tensor(reader, field))
        elif field.number == _OUTPUT:
            outputs.append(_tensor(reader, field))
    free = tuple(each for each in inputs if each.name not in valued)
    if not free or not outputs:
        raise NotOnnxError("its graph has no input or no output")
    return Interface(free, tuple(outputs))


def _weights(reader: _Reader, tensor: _Field) -> str:
    """The name of a tensor that the file holds."""
    name = ""
    for field in reader.fields(tensor.value, tensor.end):
        if field.number == _TENSOR_NAME:
            name = reader.text(field)
        elif field.number == _DATA_LOCATION and field.value == _EXTERNAL:
            raise OtherFilesError
    return name


def _tensor(reader: _Reader, info: _Field) -> TensorFacts:
    name = reader.child(info, 1)
    if name is None:
        raise NotOnnxError("an input or output has no name")
    array = reader.child(reader.child(info, 2), 1)
    elements = reader.child(array, 1)
    dtype = "" if elements is None else _DTYPES.get(elements.value, f"type {elements.value}")
    return TensorFacts(name=reader.text(name), dtype=dtype, shape=_shape(reader, reader.child(array, 2)))


def _shape(reader: _Reader, shape: _Field | None) -> tuple[int, ...]:
    """The dimensions of a tensor, 0 for one that is not fixed; empty where nothing is said."""
    found: list[int] = []
    for field in reader.fields(shape.value, shape.end) if shape is not None and shape.is_bytes else ():
        if field.number == 1 and field.is_bytes:
            size = reader.child(field, 1)
            found.append(size.value if size is not None and not size.is_bytes and size.value < _LARGEST else 0)
        if len(found) > _MOST_DIMENSIONS:
            raise NotOnnxError("an input or output has too many dimensions")
    return tuple(found)
