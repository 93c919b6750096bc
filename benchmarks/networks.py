"""Networks of well-known shapes with weights from a seed, for machines where nothing can be fetched.

Speed does not depend on what a network has learnt. ``EfficientNet-Lite0`` has the layers of recipes/models/
efficientnet-lite0, ``ResNet-50`` those of its paper (v1.5: the stride is in the 3x3 convolution); both take pixels as
bytes, [n, 224, 224, 3], and compute in float32, with batch normalisation folded into the convolutions.

Needs numpy and onnx; `exported` also torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED, SIZE, CLASSES, OPSET = 1, 224, 1000, 17
LITE0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
         (1, 3, 1, 6, 320))  # fmt: skip
"""Blocks, kernel, stride of the first one, expansion, channels."""
RESNET50 = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
"""Blocks, channels inside, stride of the first one."""


@dataclass
class Graph:
    """Nodes and weights as they are added; a tensor is its name and its channels."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, values: np.ndarray) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, x: tuple[str, int], out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> tuple[str, int]:
        """A convolution with its bias; weights of a variance that keeps activations in range."""
        name, channels = x
        fan = channels // groups * kernel * kernel
        values = self.random.standard_normal((out, channels // groups, kernel, kernel)) * (1.4 / fan**0.5)
        given = (name, self.weight(values), self.weight(np.zeros(out)))
        pads = [kernel // 2] * 4
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads, "group": groups}
        return self.add("Conv", *given, **shape), out

    def relu6(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.add("Clip", x[0], self.weight(np.array(0.0)), self.weight(np.array(6.0))), x[1]

    def relu(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.add("Relu", x[0]), x[1]

    def sum(self, one: tuple[str, int], other: tuple[str, int]) -> tuple[str, int]:
        return self.add("Add", one[0], other[0]), one[1]


def efficientnet_lite0(graph: Graph, x: tuple[str, int]) -> tuple[str, int]:
    x = graph.relu6(graph.conv(x, 32, 3, 2))
    for blocks, kernel, first, expansion, channels in LITE0:
        for block in range(blocks):
            stride, before = first if block == 0 else 1, x
            if expansion > 1:
                x = graph.relu6(graph.conv(x, x[1] * expansion))
            x = graph.relu6(graph.conv(x, x[1], kernel, stride, groups=x[1]))
            x = graph.conv(x, channels)
            if stride == 1 and before[1] == channels:
                x = graph.sum(x, before)
    return graph.relu6(graph.conv(x, 1280))


def resnet50(graph: Graph, x: tuple[str, int]) -> tuple[str, int]:
    x = graph.relu(graph.conv(x, 64, 7, 2))
    x = graph.add("MaxPool", x[0], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), x[1]
    for blocks, channels, first in RESNET50:
        for block in range(blocks):
            stride, short = first if block == 0 else 1, x
            if block == 0:
                short = graph.conv(x, channels * 4, 1, stride)
            x = graph.relu(graph.conv(x, channels))
            x = graph.relu(graph.conv(x, channels, 3, stride))
            x = graph.relu(graph.sum(graph.conv(x, channels * 4), short))
    return x


NETWORKS: dict[str, Callable[[Graph, tuple[str, int]], tuple[str, int]]] = {
    "EfficientNet-Lite0": efficientnet_lite0,
    "ResNet-50": resnet50,
}


def made(name: str) -> onnx.ModelProto:
    """The network of that name: ``image`` uint8 [n, 224, 224, 3] to ``logits`` float32 [n, 1000]."""
    graph = Graph()
    x = graph.add("Cast", "image", to=TensorProto.FLOAT)
    x = graph.add("Mul", graph.add("Sub", x, graph.weight(np.array(127.0))), graph.weight(np.array(1 / 128)))
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    x, channels = NETWORKS[name](graph, (x, 3))
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    head = graph.random.standard_normal((CLASSES, channels)) / channels**0.5
    graph.nodes.append(
        helper.make_node("Gemm", [x, graph.weight(head), graph.weight(np.zeros(CLASSES))], ["logits"], transB=1)
    )
    given = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])
    found = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])
    whole = helper.make_graph(graph.nodes, name, [given], [found], graph.weights)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def exported(model: onnx.ModelProto, out: Path) -> None:
    """The same network as an exported program of PyTorch, any batch; raises `KeyError` for an unknown operation."""
    import torch
    from torch.export import Dim

    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    steps = [
        (
            node.op_type,
            list(node.input),
            node.output[0],
            {a.name: helper.get_attribute_value(a) for a in node.attribute},
        )
        for node in model.graph.node
    ]

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, values in weights.items():
                self.register_buffer(name, torch.from_numpy(values.copy()))

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            found = {"image": image}
            for kind, inputs, output, attributes in steps:
                given = [found[name] if name in found else getattr(self, name) for name in inputs]
                found[output] = OPERATIONS[kind](given, attributes)
            return {"logits": found["logits"]}

    image = torch.zeros((2, SIZE, SIZE, 3), dtype=torch.uint8)
    program = torch.export.export(Network().eval(), (image,), dynamic_shapes={"image": {0: Dim("n", min=1, max=65536)}})
    torch.export.save(program, out)


def _conv(given: list, attributes: dict) -> Any:
    import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)

    padding, groups = attributes["pads"][:2], attributes["group"]
    return F.conv2d(*given, stride=attributes["strides"], padding=padding, groups=groups)


def _pool(given: list, attributes: dict) -> Any:
    import torch.nn.functional as F  # noqa: N812

    return F.max_pool2d(given[0], attributes["kernel_shape"], attributes["strides"], attributes["pads"][:2])


def _linear(given: list, _: dict) -> Any:
    import torch.nn.functional as F  # noqa: N812

    return F.linear(*given)


OPERATIONS: dict[str, Callable[[list, dict], Any]] = {
    "Cast": lambda given, _: given[0].float(),
    "Sub": lambda given, _: given[0] - given[1],
    "Mul": lambda given, _: given[0] * given[1],
    "Transpose": lambda given, attributes: given[0].permute(*attributes["perm"]),
    "Conv": _conv,
    "Clip": lambda given, _: given[0].clamp(0, 6),
    "Relu": lambda given, _: given[0].relu(),
    "Add": lambda given, _: given[0] + given[1],
    "MaxPool": _pool,
    "GlobalAveragePool": lambda given, _: given[0].mean((2, 3), keepdim=True),
    "Flatten": lambda given, _: given[0].flatten(1),
    "Gemm": _linear,
}
