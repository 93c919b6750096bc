"""Train the ResNet-8 of `resnet8-fashion` on Fashion-MNIST and write it as ONNX.

    python3 train.py --data DIR --out model.onnx [--epochs 10]

DIR holds the four ``*-ubyte.gz`` files of the Debian package dataset-fashion-mnist
(``/usr/share/datasets/fashion-mnist`` where it is installed). Needs numpy, torch and
onnx; about five minutes on one core. Seeded and single-threaded: the same versions on
the same kind of processor give the same bytes; elsewhere the accuracy is the same
within a few tenths of a point, as the order of floating-point sums differs.

The shipped file was made with Python 3.11, torch 2.13.0 (CPU), numpy 2.4.6, onnx 1.23.2.

The topology is that of the image classification model of MLPerf Tiny (three residual
blocks of 16, 32 and 64 channels) with a stem of stride 2. Batch normalisation is folded
into the convolutions, and the division of the pixels by 255 into the first one. Input
``x``: the pixels as they are, uint8 [n, 1, 28, 28]; output ``logits``: float32 [n, 10].
"""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SEED = 1234
BATCH = 256
MAX_LEARNING_RATE = 0.2
CHANNELS = (16, 32, 64)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut, projected where the shape changes."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(cout)
        self.project = nn.Conv2d(cin, cout, 1, stride, bias=False) if (cin, stride) != (cout, 1) else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (x if self.project is None else self.project(x)))


class ResNet8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS[0], 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS[0])
        widths = zip((CHANNELS[0], *CHANNELS[:-1]), CHANNELS, (1, 2, 2), strict=True)
        self.blocks = nn.Sequential(*(Block(cin, cout, stride) for cin, cout, stride in widths))
        self.head = nn.Linear(CHANNELS[-1], 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(F.relu(self.norm(self.stem(x)))).mean((2, 3)))


def read(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [n, 1, 28, 28] in 0..1 and labels [n] of ``train`` or ``t10k``."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return torch.tensor(images.astype(np.float32) / 255), torch.tensor(labels.astype(np.int64))


def augment(x: torch.Tensor) -> torch.Tensor:
    """Mirror half of the batches and shift each by up to two pixels."""
    if torch.rand(1) < 0.5:
        x = x.flip(3)
    top, left = torch.randint(0, 5, (2,)).tolist()
    return F.pad(x, (2, 2, 2, 2))[:, :, top : top + 28, left : left + 28]


def train(model: ResNet8, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    steps = epochs * -(-len(images) // BATCH)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=MAX_LEARNING_RATE, total_steps=steps, pct_start=0.25
    )
    model.train()
    for epoch in range(epochs):
        started, total = time.monotonic(), 0.0
        for part in torch.randperm(len(images)).split(BATCH):
            x = augment(images[part]).contiguous(memory_format=torch.channels_last)
            optimiser.zero_grad()
            loss = F.cross_entropy(model(x), labels[part])
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(part)
        print(
            f"epoch {epoch + 1}: loss {total / len(images):.4f}, {time.monotonic() - started:.0f} s",
            flush=True,
        )


def accuracy(model: ResNet8, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in images.split(1000)])
    return float((found == labels).float().mean())


class Graph:
    """Collects the nodes and weights of an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, value: torch.Tensor) -> str:
        array = np.ascontiguousarray(value.detach().numpy().astype(np.float32))
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, name: str, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, *, gain: float = 1.0) -> str:
        """A convolution with a gain before and the batch normalisation behind it folded in (in float64)."""
        weight, inputs = conv.weight.double() * gain, [x]
        if norm is None:
            inputs.append(self.weight(f"{name}.weight", weight))
        else:
            scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
            shift = norm.bias.double() - norm.running_mean.double() * scale
            inputs.append(self.weight(f"{name}.weight", weight * scale[:, None, None, None]))
            inputs.append(self.weight(f"{name}.bias", shift))
        size, stride, pad = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        return self.add("Conv", inputs, name, kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4)


def export(model: ResNet8, out: Path) -> None:
    """Write the model; the file says nothing of the machine that made it."""
    graph = Graph()
    x = graph.add("Cast", ["x"], "pixels", to=TensorProto.FLOAT)
    y = graph.add("Relu", [graph.conv(x, "stem", model.stem, model.norm, gain=1 / 255)], "stem.relu")
    for number, block in enumerate(model.blocks):
        name, x = f"block{number}", y
        y = graph.add("Relu", [graph.conv(x, f"{name}.conv1", block.conv1, block.norm1)], f"{name}.relu1")
        y = graph.conv(y, f"{name}.conv2", block.conv2, block.norm2)
        shortcut = x if block.project is None else graph.conv(x, f"{name}.project", block.project, None)
        y = graph.add("Relu", [graph.add("Add", [y, shortcut], f"{name}.sum")], f"{name}.relu2")
    y = graph.add("Flatten", [graph.add("GlobalAveragePool", [y], "pool")], "flat")
    weight = graph.weight("head.weight", model.head.weight)
    graph.add("Gemm", [y, weight, graph.weight("head.bias", model.head.bias)], "logits", transB=1)
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "resnet8_fashion",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 1, 28, 28])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="mlorch resnet8-fashion",
    )
    onnx.checker.check_model(proto, full_check=True)
    out.write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the four *-ubyte.gz files")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(SEED)
    model = ResNet8().to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    train(model, *read(options.data, "train"), options.epochs)
    print(f"top-1 on the 10,000 test images: {100 * accuracy(model, *read(options.data, 't10k')):.2f} %")
    export(model, options.out)


if __name__ == "__main__":
    main()
