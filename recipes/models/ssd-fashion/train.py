"""Train the detector `ssd-fashion` on scenes composed of Fashion-MNIST's training pictures; write it as ONNX.

    python3 train.py --data DIR --out model.onnx [--scenes 12000] [--epochs 8]

DIR holds the ``train-*-ubyte.gz`` files of the Debian package dataset-fashion-mnist
(``/usr/share/datasets/fashion-mnist`` where it is installed). Scenes are composed by the script of the data set
`fashion-scenes`, beside this one in the catalogue, with another seed; the last 5,000 pictures make only scenes of a
validation split, on which the best epoch is chosen. The test pictures are never seen.
Needs numpy, Pillow, torch, onnx and pycocotools. Seeded and single-threaded: the same versions on the same kind of
processor give the same bytes; elsewhere the accuracy differs by some tenths of a point.

The shipped file was made with Python 3.11, torch 2.14.1 (its build for CUDA, on a processor), numpy 2.4.6, Pillow
13.0.0, onnx 1.23.2 and pycocotools 2.0.11, in 20 minutes of one core.

A single-shot detector: a small residual network, feature maps of stride 8 and 16 with a way back from stride 32
(as in feature pyramids), six boxes of fixed sizes and shapes at each place (as in SSD), focal loss for the classes
and generalised IoU for the boxes. Batch normalisation is folded into the convolutions, and the division of the pixels
by 255 into the first one. Boxes are decoded, and those that overlap suppressed, in the graph.
Input ``x``: the pixels as they are, uint8 [n, 1, 128, 128]. Output ``detections``: float32 [k, 7], a row for each box
found in the batch: place of the scene in it, ymin, xmin, ymax, xmax as shares of the side, score, class.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import importlib.util
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from onnx import TensorProto, helper, numpy_helper
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

if TYPE_CHECKING:
    from types import ModuleType

COMPOSE = Path(__file__).parents[2] / "datasets/fashion-scenes/compose.py"
SEED = 1234
BATCH = 32
MAX_LEARNING_RATE = 4e-3
HELD_OUT = 5_000
"""Training pictures that make scenes of the validation split only."""
VALIDATION = 400
CLASSES = 10
STRIDES = (8, 16)
SIZES = ((16.0, 23.0), (34.0, 48.0))
"""Of the boxes at each place, for each stride: square roots of areas, in pixels."""
SHAPES = (0.5, 1.0, 2.0)
"""Of the boxes at each place: height by width."""
SCALES = (0.1, 0.2)
"""Of what is predicted: for the middle, in sides of the box, and for the logarithm of the sides (as in SSD)."""
SURE, UNSURE = 0.5, 0.4
"""IoU with an item at which a box is to find it, and below which it is background."""
MIN_SCORE, SUPPRESS, MOST_OF_A_CLASS = 0.05, 0.5, 20
"""Boxes below this score are dropped, then those with this IoU to a better one; what stays of a class in a scene."""


def composer() -> ModuleType:
    """The script that composes scenes."""
    spec = importlib.util.spec_from_file_location("compose", COMPOSE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{COMPOSE} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(side: int) -> torch.Tensor:
    """The boxes of fixed sizes and shapes [A, 4]: middle (y, x), height and width, as shares of the side."""
    found = []
    for stride, sizes in zip(STRIDES, SIZES, strict=True):
        middles = (np.arange(side // stride) + 0.5) * stride / side
        for y in middles:
            for x in middles:
                for size in sizes:
                    for shape in SHAPES:
                        found.append((y, x, size * math.sqrt(shape) / side, size / math.sqrt(shape) / side))
    return torch.tensor(found, dtype=torch.float64).float()


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes [..., 4] of middle and sides as ymin, xmin, ymax, xmax."""
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def overlaps(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU of boxes by their corners [..., 4]."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    outer = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner
    iou = inner / union.clamp(min=1e-9)
    return iou, iou - (outer - union) / outer.clamp(min=1e-9)


def normed(cin: int, cout: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout))


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = normed(channels, channels), normed(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Detector(nn.Module):
    """For pixels [n, 1, side, side] in 0..1: logits [n, A, CLASSES] and what moves the anchors [n, A, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down4, self.block4 = normed(1, 16, 2), normed(16, 24, 2), Block(24)
        self.down8, self.block8 = normed(24, 48, 2), Block(48)
        self.down16, self.block16 = normed(48, 64, 2), Block(64)
        self.down32 = normed(64, 48, 2)
        self.side8, self.side16 = nn.Conv2d(48, 48, 1), nn.Conv2d(64, 48, 1)
        self.tower8, self.tower16 = normed(48, 48), normed(48, 48)
        self.kinds = len(SHAPES) * len(SIZES[0])
        self.head8, self.head16 = (nn.Conv2d(48, self.kinds * (CLASSES + 4), 1) for _ in STRIDES)
        for head in (self.head8, self.head16):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
            with torch.no_grad():  # at the start everything is background, as for focal loss
                head.bias.view(self.kinds, -1)[:, :CLASSES] = -math.log(99)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.block4(F.relu(self.down4(F.relu(self.stem(x)))))
        eight = self.block8(F.relu(self.down8(x)))
        sixteen = self.block16(F.relu(self.down16(eight)))
        sixteen, back = self.side16(sixteen), F.relu(self.down32(sixteen))
        sixteen = sixteen + F.interpolate(back, scale_factor=2)
        eight = self.side8(eight) + F.interpolate(sixteen, scale_factor=2)
        outputs = [
            self.head8(F.relu(self.tower8(F.relu(eight)))),
            self.head16(F.relu(self.tower16(F.relu(sixteen)))),
        ]
        rows = [each.permute(0, 2, 3, 1).reshape(len(x), -1, CLASSES + 4) for each in outputs]
        found = torch.cat(rows, 1)
        return found[..., :CLASSES], found[..., CLASSES:]


def decoded(moves: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
    """Corners of the boxes that the moves make of the anchors."""
    middle = fixed[:, :2] + moves[..., :2] * SCALES[0] * fixed[:, 2:]
    sides = fixed[:, 2:] * torch.exp(moves[..., 2:].clamp(max=12) * SCALES[1])
    return corners(torch.cat([middle, sides], -1))


def assigned(boxes: torch.Tensor, classes: torch.Tensor, fixed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each anchor of each scene: the item it is to find [n, A], and that item's class; -1 background, -2 either.

    ``boxes`` are corners [n, B, 4], ``classes`` [n, B] with -1 where there is no item. Each item has the anchor that
    fits it best, if no other.
    """
    iou, _ = overlaps(corners(fixed)[None, :, None], boxes[:, None])
    iou[(classes < 0)[:, None].expand_as(iou)] = -1
    best, items = iou.max(2)
    found = torch.gather(classes, 1, items)
    found[best < SURE] = -2
    found[best < UNSURE] = -1
    scene, number = torch.nonzero(classes >= 0, as_tuple=True)
    fitting = iou.argmax(1)[scene, number]
    items[scene, fitting], found[scene, fitting] = number, classes[scene, number]
    return items, found


def loss_of(
    logits: torch.Tensor, moves: torch.Tensor, boxes: torch.Tensor, classes: torch.Tensor, fixed: torch.Tensor
) -> torch.Tensor:
    """Focal loss of the classes (alpha 0.25, gamma 2) and twice 1 - GIoU of the boxes, for each anchor that finds."""
    with torch.no_grad():
        items, found = assigned(boxes, classes, fixed)
        finds = found >= 0
        target = torch.zeros_like(logits)
        scene, anchor = torch.nonzero(finds, as_tuple=True)
        target[scene, anchor, found[scene, anchor]] = 1
    kept = found > -2
    logits, target = logits[kept], target[kept]
    share = torch.sigmoid(logits)
    wrong = share + target - 2 * share * target
    weight = (0.75 - 0.5 * target) * wrong * wrong
    focal = (weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).sum()
    _, giou = overlaps(decoded(moves, fixed)[scene, anchor], boxes[scene, items[scene, anchor]])
    return (focal + 2 * (1 - giou).sum()) / finds.sum()


class Scenes:
    """Scenes in memory: ``images`` uint8 [n, 1, side, side], ``boxes`` [n, B, 4] in shares, ``classes`` [n, B]."""

    def __init__(self, compose: ModuleType, seed: int, count: int, images: np.ndarray, labels: np.ndarray) -> None:
        rng = np.random.Generator(np.random.PCG64(seed))
        self.images = torch.zeros((count, 1, compose.SIDE, compose.SIDE), dtype=torch.uint8)
        self.boxes = torch.zeros((count, compose.MOST, 4))
        self.classes = torch.full((count, compose.MOST), -1)
        for number in range(count):
            scene = compose.compose(rng, images, labels)
            self.images[number, 0] = torch.from_numpy(scene.image)
            self.boxes[number, : len(scene.boxes)] = torch.from_numpy(scene.boxes) / compose.SIDE
            self.classes[number, : len(scene.boxes)] = torch.from_numpy(scene.classes).long()

    def batch(self, part: torch.Tensor, *, mirrored: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, boxes = self.images[part].float() / 255, self.boxes[part]
        if mirrored:
            x, boxes = x.flip(3), torch.stack([boxes[..., 0], 1 - boxes[..., 3], boxes[..., 2], 1 - boxes[..., 1]], -1)
        return x.contiguous(memory_format=torch.channels_last), boxes, self.classes[part]


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The training pictures [60000, 28, 28] and their labels."""
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        return images, np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)


def train(model: Detector, scenes: Scenes, validation: Scenes, epochs: int) -> dict[str, torch.Tensor]:
    """The state of the epoch with the best mAP on the validation scenes."""
    fixed = anchors(scenes.images.shape[-1])
    steps = epochs * (len(scenes.images) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=MAX_LEARNING_RATE, total_steps=steps, pct_start=0.15
    )
    best, state, began = -1.0, copy.deepcopy(model.state_dict()), time.monotonic()
    for epoch in range(epochs):
        model.train()
        total = 0.0
        parts = torch.randperm(len(scenes.images)).split(BATCH)[: steps // epochs]
        for part in parts:
            x, boxes, classes = scenes.batch(part, mirrored=bool(torch.rand(1) < 0.5))
            optimiser.zero_grad()
            loss = loss_of(*model(x), boxes, classes, fixed)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        score = mean_precision(model, validation, fixed)
        spent = time.monotonic() - began
        print(f"epoch {epoch + 1}: loss {total / len(parts):.4f}, mAP {100 * score:.2f} %, {spent:.0f} s", flush=True)
        if score > best:
            best, state = score, copy.deepcopy(model.state_dict())
    return state


def detected(model: Detector, scenes: Scenes, fixed: torch.Tensor) -> list[tuple[int, torch.Tensor, float, int]]:
    """Scene, corners, score and class of what the model finds; the same suppression as in the graph."""
    rows: list[tuple[int, torch.Tensor, float, int]] = []
    model.eval()
    with torch.no_grad():
        for part in torch.arange(len(scenes.images)).split(BATCH):
            logits, moves = model(scenes.batch(part, mirrored=False)[0])
            for scene, scores, boxes in zip(
                part.tolist(), logits.sigmoid(), decoded(moves, fixed).clamp(0, 1), strict=True
            ):
                for kind in range(CLASSES):
                    rows += [(scene, boxes[at], float(scores[at, kind]), kind) for at in kept(boxes, scores[:, kind])]
    return rows


def kept(boxes: torch.Tensor, scores: torch.Tensor) -> list[int]:
    """The places of the boxes of one class that no better one overlaps, the best first."""
    found: list[int] = []
    order = torch.nonzero(scores > MIN_SCORE)[:, 0]
    for at in order[scores[order].argsort(descending=True)].tolist():
        if len(found) < MOST_OF_A_CLASS and not (found and (overlaps(boxes[at], boxes[found])[0] > SUPPRESS).any()):
            found.append(at)
    return found


def mean_precision(model: Detector, scenes: Scenes, fixed: torch.Tensor) -> float:
    """COCO's mAP (IoU 0.50 to 0.95) as a share."""
    side = scenes.images.shape[-1]

    def row(scene: int, box: torch.Tensor, kind: int) -> dict[str, object]:
        top, left, bottom, right = (float(value) * side for value in box)
        size = [left, top, right - left, bottom - top]
        return {"image_id": scene, "bbox": size, "category_id": kind, "area": size[2] * size[3], "iscrowd": 0}

    truth, found = COCO(), COCO()
    present = torch.nonzero(scenes.classes >= 0).tolist()
    true = [row(scene, scenes.boxes[scene, at], int(scenes.classes[scene, at])) for scene, at in present]
    said = [{**row(scene, box, kind), "score": score} for scene, box, score, kind in detected(model, scenes, fixed)]
    if not said:
        return 0.0
    for coco, rows in ((truth, true), (found, said)):
        coco.dataset = {
            "images": [{"id": scene} for scene in range(len(scenes.images))],
            "categories": [{"id": kind} for kind in range(CLASSES)],
            "annotations": [{**each, "id": number} for number, each in enumerate(rows, start=1)],
        }
        coco.createIndex()
    counted = COCOeval(truth, found, "bbox")
    counted.evaluate()
    counted.accumulate()
    return float(counted.eval["precision"][:, :, :, 0, -1].mean())


class Graph:
    """Collects the nodes and constants of an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: object, dtype: type[np.generic] = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype)), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, name: str, part: nn.Module, *, gain: float = 1.0) -> str:
        """A convolution with a gain before and the batch normalisation behind it folded in (in float64)."""
        conv, norm = part if isinstance(part, nn.Sequential) else (part, None)
        weight = conv.weight.detach().double() * gain
        if norm is None:
            bias = conv.bias.detach().double()
        else:
            scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
            weight = weight * scale[:, None, None, None]
            bias = norm.bias.detach().double() - norm.running_mean.double() * scale
        inputs = [x, self.constant(f"{name}.weight", weight.numpy()), self.constant(f"{name}.bias", bias.numpy())]
        size, stride, pad = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        return self.add("Conv", inputs, name, kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4)

    def active(self, x: str, name: str, part: nn.Module, *, gain: float = 1.0) -> str:
        """`conv`, and what is below zero cut off."""
        return self.add("Relu", [self.conv(x, name, part, gain=gain)], f"{name}.relu")

    def block(self, x: str, name: str, block: Block) -> str:
        y = self.conv(self.active(x, f"{name}.first", block.first), f"{name}.second", block.second)
        return self.add("Relu", [self.add("Add", [x, y], f"{name}.sum")], f"{name}.relu")

    def doubled(self, x: str, to: str, name: str) -> str:
        """``to`` plus the coarser map ``x``, each of its values four times."""
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Add", [to, self.add("Resize", [x, "", "twice"], f"{name}.wide", **how)], name)

    def part(self, x: str, name: str, start: int, end: int) -> str:
        """The columns ``start`` to ``end`` of the last axis."""
        bounds = [
            self.constant(f"{name}.{key}", [value], np.int64)
            for key, value in (("start", start), ("end", end), ("axis", -1))
        ]
        return self.add("Slice", [x, *bounds], name)


def network(graph: Graph, model: Detector) -> str:
    """The model up to its rows for each anchor [n, A, CLASSES + 4]."""
    graph.constant("twice", [1, 1, 2, 2])
    graph.constant("rows", [0, -1, CLASSES + 4], np.int64)
    x = graph.add("Cast", ["x"], "pixels", to=TensorProto.FLOAT)
    x = graph.active(graph.active(x, "stem", model.stem, gain=1 / 255), "down4", model.down4)
    eight = graph.block(
        graph.active(graph.block(x, "block4", model.block4), "down8", model.down8), "block8", model.block8
    )
    sixteen = graph.block(graph.active(eight, "down16", model.down16), "block16", model.block16)
    back = graph.active(sixteen, "down32", model.down32)
    sixteen = graph.doubled(back, graph.conv(sixteen, "side16", model.side16), "map16")
    eight = graph.doubled(sixteen, graph.conv(eight, "side8", model.side8), "map8")
    rows = []
    for x, name in ((eight, "8"), (sixteen, "16")):
        y = graph.add("Relu", [x], f"map{name}.relu")
        y = graph.active(y, f"tower{name}", getattr(model, f"tower{name}"))
        y = graph.conv(y, f"head{name}", getattr(model, f"head{name}"))
        y = graph.add("Transpose", [y], f"head{name}.last", perm=[0, 2, 3, 1])
        rows.append(graph.add("Reshape", [y, "rows"], f"head{name}.rows"))
    return graph.add("Concat", rows, "found", axis=1)


def suppressed(graph: Graph, found: str, fixed: torch.Tensor) -> str:
    """Scores and decoded boxes of the rows, and of those the ones that no better one overlaps: [k, 7]."""
    scores = graph.add("Sigmoid", [graph.part(found, "logits", 0, CLASSES)], "shares")
    scores = graph.add("Transpose", [scores], "scores", perm=[0, 2, 1])
    middles, sides = graph.constant("fixed.middles", fixed[:, :2]), graph.constant("fixed.sides", fixed[:, 2:])
    for name, value in (("scale", SCALES[0]), ("scale.stretch", SCALES[1]), ("half", 0.5)):
        graph.constant(name, value)
    reach, halves = graph.add("Mul", [sides, "scale"], "reach"), graph.add("Mul", [sides, "half"], "halves")
    moves = graph.part(found, "moves", CLASSES, CLASSES + 2)
    moves = graph.add("Add", [graph.add("Mul", [moves, reach], "moved"), middles], "middles")
    growth = graph.add("Mul", [graph.part(found, "stretch", CLASSES + 2, CLASSES + 4), "scale.stretch"], "growth")
    away = graph.add("Mul", [graph.add("Exp", [growth], "stretched"), halves], "away")
    ends = [graph.add("Sub", [moves, away], "least"), graph.add("Add", [moves, away], "most")]
    boxes = graph.add("Concat", ends, "unclipped", axis=2)
    boxes = graph.add("Clip", [boxes, graph.constant("zero", 0), graph.constant("one", 1)], "boxes")
    limits = [
        graph.constant("most_of_a_class", [MOST_OF_A_CLASS], np.int64),
        graph.constant("suppress", [SUPPRESS]),
        graph.constant("min_score", [MIN_SCORE]),
    ]
    chosen = graph.add("NonMaxSuppression", [boxes, scores, *limits], "chosen")  # [k, 3]: scene, class, anchor
    scene, kind = graph.part(chosen, "scene", 0, 1), graph.part(chosen, "kind", 1, 2)
    where = graph.add("Concat", [scene, graph.part(chosen, "anchor", 2, 3)], "where", axis=1)
    columns = [
        graph.add("Cast", [scene], "scene.float", to=TensorProto.FLOAT),
        graph.add("GatherND", [boxes, where], "box"),
        graph.add("Unsqueeze", [graph.add("GatherND", [scores, chosen], "score"), "column"], "score.column"),
        graph.add("Cast", [kind], "kind.float", to=TensorProto.FLOAT),
    ]
    graph.constant("column", [1], np.int64)
    return graph.add("Concat", columns, "detections", axis=1)


def export(model: Detector, side: int, out: Path) -> None:
    """Write the model; the file says nothing of the machine that made it."""
    graph, fixed = Graph(), anchors(side)
    suppressed(graph, network(graph, model), fixed)
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "ssd_fashion",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 1, side, side])],
            [helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["k", 7])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="mlorch ssd-fashion",
    )
    onnx.checker.check_model(proto, full_check=True)
    out.write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the train-*-ubyte.gz files")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--scenes", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(SEED)
    model = Detector().to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    compose, (images, labels) = composer(), read(options.data)
    scenes = Scenes(compose, SEED, options.scenes, images[:-HELD_OUT], labels[:-HELD_OUT])
    validation = Scenes(compose, SEED + 1, VALIDATION, images[-HELD_OUT:], labels[-HELD_OUT:])
    model.load_state_dict(train(model, scenes, validation, options.epochs))
    export(model.eval(), compose.SIDE, options.out)


if __name__ == "__main__":
    main()
