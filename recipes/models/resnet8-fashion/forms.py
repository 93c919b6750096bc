"""Write the ResNet-8 of `resnet8-fashion` in the forms that PyTorch and JAX load, from the ONNX file's own weights.

    python3 forms.py model.onnx --pytorch model.pt2
    python3 forms.py model.onnx --jax model.stablehlo

Nothing is trained: the graph of the ONNX file is walked once with the other framework's operations. Needs numpy and
onnx, and torch or jax. The shipped files were made with Python 3.11, numpy 2.4.6, onnx 1.23.2, torch 2.13.0 (CPU) and
jax 0.10.2; the same versions give the same bytes.

``model.pt2`` is an exported program of `torch.export`: the operations of ATen in text and the weights as they lie in
memory, no pickled code. ``model.stablehlo`` is `jax.export`'s serialised StableHLO, lowered for every platform of
``PLATFORMS``. Both take ``x``: uint8 [n, 1, 28, 28] for any n from 1 on, and give ``logits``: float32 [n, 10].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SHAPE = (1, 28, 28)
LARGEST = 65536
"""`torch.export` wants an upper bound of a size that may be any."""


def read(path: Path) -> tuple[list[tuple[str, list[str], str, dict[str, Any]]], dict[str, np.ndarray]]:
    """The nodes (operation, inputs, output, attributes) in the order of the graph, and the weights by name."""
    graph = onnx.load(path).graph
    nodes = []
    for node in graph.node:
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        nodes.append((node.op_type, list(node.input), node.output[0], attributes))
    return nodes, {each.name: numpy_helper.to_array(each) for each in graph.initializer}


def pytorch(path: Path, out: Path) -> None:
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
    from torch.export import Dim

    nodes, weights = read(path)
    operations: dict[str, Callable[..., torch.Tensor]] = {
        "Cast": lambda x, to: x.to(torch.float32),  # noqa: ARG005
        "Conv": lambda *given, kernel_shape, strides, pads: F.conv2d(*given, stride=strides, padding=pads[:2]),  # noqa: ARG005
        "Relu": F.relu,
        "Add": torch.add,
        "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
        "Flatten": lambda x: x.flatten(1),
        "Gemm": lambda x, weight, bias, transB: F.linear(x, weight, bias),  # noqa: ARG005, N803 - ONNX's own name
    }

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, array in weights.items():
                self.register_buffer(name.replace(".", "_"), torch.tensor(array))

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            values = {"x": x, **{name: getattr(self, name.replace(".", "_")) for name in weights}}
            for kind, names, output, attributes in nodes:
                values[output] = operations[kind](*(values[name] for name in names), **attributes)
            return {"logits": values["logits"]}

    example = (torch.zeros(2, *SHAPE, dtype=torch.uint8),)
    batch = Dim("n", min=1, max=LARGEST)
    program = torch.export.export(Network().eval(), example, dynamic_shapes={"x": {0: batch}}, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of the machine that made it
        node.meta.pop("nn_module_stack", None)
    torch.export.save(program, out)


def jax(path: Path, out: Path) -> None:
    import jax as jax_
    import jax.numpy as jnp
    from jax import lax

    jax_.config.update("jax_traceback_in_locations_limit", 0)  # they name files of the machine that made it
    nodes, weights = read(path)
    exact = lax.Precision.HIGHEST  # float32 on a TPU too

    def conv(x: Any, kernel: Any, *bias: Any, strides: list[int], pads: list[int], kernel_shape: list[int]) -> Any:  # noqa: ARG001
        sides = [(pad, pad) for pad in pads[:2]]
        layout = ("NCHW", "OIHW", "NCHW")
        y = lax.conv_general_dilated(x, kernel, strides, sides, dimension_numbers=layout, precision=exact)
        return y + bias[0][:, None, None] if bias else y

    operations: dict[str, Callable[..., Any]] = {
        "Cast": lambda x, to: x.astype(jnp.float32),  # noqa: ARG005
        "Conv": conv,
        "Relu": lambda x: jnp.maximum(x, 0),
        "Add": jnp.add,
        "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True),
        "Flatten": lambda x: x.reshape(x.shape[0], -1),
        "Gemm": lambda x, weight, bias, transB: jnp.matmul(x, weight.T, precision=exact) + bias,  # noqa: ARG005, N803
    }

    def logits(inputs: dict[str, Any]) -> dict[str, Any]:
        values = {**inputs, **weights}
        for kind, names, output, attributes in nodes:
            values[output] = operations[kind](*(values[name] for name in names), **attributes)
        return {"logits": values["logits"]}

    (batch,) = jax_.export.symbolic_shape("n")
    example = {"x": jax_.ShapeDtypeStruct((batch, *SHAPE), jnp.uint8)}
    out.write_bytes(jax_.export.export(jax_.jit(logits), platforms=PLATFORMS)(example).serialize())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--pytorch", type=Path, metavar="FILE")
    parser.add_argument("--jax", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.pytorch:
        pytorch(options.onnx, options.pytorch)
    if options.jax:
        jax(options.onnx, options.jax)


if __name__ == "__main__":
    main()
