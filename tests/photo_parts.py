"""Photos and a Hugging Face-style folder for tests, made with the standard library alone."""

from __future__ import annotations

import ast
import json
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_array(path: Path) -> tuple[list[int], str, bytes]:
    """Shape, type and bytes of a ``.npy`` file of version 1."""
    data = path.read_bytes()
    (size,) = struct.unpack("<H", data[8:10])
    head = ast.literal_eval(data[10 : 10 + size].decode("latin-1").strip())
    return list(head["shape"]), head["descr"], data[10 + size :]


def write_array(path: Path, shape: tuple[int, ...], descr: str, data: bytes) -> None:
    """A ``.npy`` file of version 1."""
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)


def png(height: int, width: int, pixels: bytes) -> bytes:
    """A photo of RGB bytes, row by row."""
    rows = b"".join(b"\0" + pixels[at : at + width * 3] for at in range(0, height * width * 3, width * 3))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def labelled_photos(asset: Path) -> Iterator[tuple[int, bytes]]:
    """Label and PNG of each sample of a data set of RGB bytes [N, H, W, 3], ``images.npy`` and ``labels.npy``."""
    (count, height, width, _), _, pixels = read_array(asset / "images.npy")
    _, _, labels = read_array(asset / "labels.npy")
    for number, label in enumerate(struct.unpack(f"<{count}i", labels)):
        size = height * width * 3
        yield label, png(height, width, pixels[number * size : (number + 1) * size])


def class_folders(asset: Path, folder: Path) -> None:
    """The photos of a data set as ImageNet has them: a folder for each label, by its number."""
    for number, (label, photo) in enumerate(labelled_photos(asset)):
        place = folder / "val" / f"{label}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"photo-{number:02d}.png").write_bytes(photo)


# -- a model that takes what Hugging Face's processors give --------------------------------


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int, bytes]]:
    """Number, value and bytes of each field of a protobuf message of numbers and bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        start, key = at, number()
        value: bytes | int = number()
        if key & 7 == 2:
            at += value
            value = data[at - value : at]
        yield key >> 3, value, data[start:at]


def _node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(_field(1, each.encode()) for each in inputs) + _field(2, output.encode())
    return _field(1, names + _field(4, kind.encode()) + b"".join(_field(5, each) for each in attributes))


def _constant(name: str, value: float) -> bytes:
    return _field(5, _field(2, 1) + _field(8, name.encode()) + _field(9, struct.pack("<f", value)))


def takes_normalised(model: bytes, size: int) -> bytes:
    """The ONNX model of RGB bytes [N, H, W, 3] as one that takes float32 [N, 3, H, W] of −1 to 1, ``pixel_values``."""
    out = b""
    for number, value, raw in _fields(model):
        out += _field(7, _graph(value, size)) if number == 7 and isinstance(value, bytes) else raw
    return out


def _graph(graph: bytes, size: int) -> bytes:
    fields = list(_fields(graph))
    (old,) = [value for number, value, _ in fields if number == 11 and isinstance(value, bytes)]
    name = next(value for number, value, _ in _fields(old) if number == 1 and isinstance(value, bytes)).decode()
    turn = _field(1, b"perm") + b"".join(_field(8, each) for each in (0, 2, 3, 1)) + _field(20, 7)
    to_bytes = _field(1, b"to") + _field(3, 2) + _field(20, 2)
    before = _node("Mul", ["pixel_values", "half_range"], "stretched")
    before += _node("Add", ["stretched", "half_range"], "shifted") + _node("Round", ["shifted"], "rounded")
    before += _node("Cast", ["rounded"], "as_bytes", to_bytes) + _node("Transpose", ["as_bytes"], name, turn)
    sides = b"".join(_field(1, _field(1, each)) for each in (3, size, size))
    shape = _field(1, _field(2, b"batch_size")) + sides
    taken = _field(1, b"pixel_values") + _field(2, _field(1, _field(1, 1) + _field(2, shape)))
    rest = b"".join(raw for number, _, raw in fields if number != 11)
    return before + _constant("half_range", 127.5) + rest + _field(11, taken)


def stub(dtype: int = 2, shape: tuple[int, ...] = (0, 224, 224, 3), answers: int = 1000) -> bytes:
    """An ONNX model without weights: an input and an output of these shapes; 0 is a dimension that is not fixed."""

    def info(name: str, kind: int, sides: tuple[int, ...]) -> bytes:
        dims = b"".join(_field(1, _field(1, side) if side else _field(2, b"N")) for side in sides)
        return _field(1, name.encode()) + _field(2, _field(1, _field(1, kind) + _field(2, dims)))

    graph = _field(11, info("x", dtype, shape)) + _field(12, info("logits", 1, (0, answers)))
    return _field(1, 8) + _field(7, graph)


CONFIG = {
    "architectures": ["EfficientNetForImageClassification"],
    "id2label": {str(number): f"class {number}" for number in range(1000)},
    "model_type": "efficientnet",
}
PREPROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def hub_folder(folder: Path, model: bytes, config: dict = CONFIG, preprocessor: dict | None = PREPROCESSOR) -> None:
    """A model as Hugging Face's tools lay it out."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_bytes(model)
    (folder / "config.json").write_text(json.dumps(config))
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
