"""Make a small BERT with random weights, of the signature that MLCommons' language/bert expects.

    python3 make.py --sources DIR --out DIR

``bert_config.json`` has the sizes and the seed of the weights. Writes ``model.onnx``: inputs ``input_ids``,
``input_mask`` and ``segment_ids``, int64 [1, 384]; outputs ``output_start_logits`` and ``output_end_logits``,
float32 [1, 384]. Nothing was trained: what it answers is noise, the same noise on every machine.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LENGTH = 384
MASKED = -10000.0
"""What is added to the attention for a position that is not there."""
SPREAD = 4.0
"""Deviation of the logits: far more than what rounding on different processors can change."""


class Graph:
    """Collects the nodes and weights of an ONNX graph; weights are drawn in the order in which they are asked for."""

    def __init__(self, seed: int) -> None:
        # Of a bit generator only the raw numbers are the same in every version of numpy.
        self._bits = np.random.PCG64(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def random(self, name: str, shape: tuple[int, ...], deviation: float) -> str:
        """Uniform numbers around 0 with this standard deviation."""
        raw = self._bits.random_raw(math.prod(shape)) >> np.uint64(40)
        unit = raw.astype(np.float64) / 2**24 - 0.5
        return self.constant(name, (unit * math.sqrt(12) * deviation).astype(np.float32).reshape(shape))

    def add(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def dense(self, x: str, name: str, sizes: tuple[int, int], deviation: float = 1.0) -> str:
        weight = self.random(f"{name}.weight", sizes, deviation / math.sqrt(sizes[0]))
        bias = self.random(f"{name}.bias", sizes[1:], 0.1)
        return self.add("Add", [self.add("MatMul", [x, weight], f"{name}.product"), bias], name)

    def norm(self, x: str, name: str, size: int) -> str:
        scale = self.constant(f"{name}.scale", np.ones(size, np.float32))
        return self.add("LayerNormalization", [x, scale], name, axis=-1, epsilon=1e-12)


def heads(graph: Graph, x: str, name: str, perm: list[int]) -> str:
    """[1, 384, hidden] as [1, heads, 384, size], or as ``perm`` says."""
    return graph.add("Transpose", [graph.add("Reshape", [x, "heads"], f"{name}.split")], f"{name}.heads", perm=perm)


def attention(graph: Graph, x: str, name: str, hidden: int) -> str:
    query = heads(graph, graph.dense(x, f"{name}.query", (hidden, hidden)), f"{name}.query", [0, 2, 1, 3])
    key = heads(graph, graph.dense(x, f"{name}.key", (hidden, hidden)), f"{name}.key", [0, 2, 3, 1])
    value = heads(graph, graph.dense(x, f"{name}.value", (hidden, hidden)), f"{name}.value", [0, 2, 1, 3])
    scores = graph.add("Mul", [graph.add("MatMul", [query, key], f"{name}.scores"), "shrink"], f"{name}.scaled")
    shares = graph.add("Softmax", [graph.add("Add", [scores, "mask"], f"{name}.masked")], f"{name}.shares", axis=-1)
    mixed = graph.add("MatMul", [shares, value], f"{name}.mixed")
    joined = graph.add("Transpose", [mixed], f"{name}.turned", perm=[0, 2, 1, 3])
    return graph.dense(graph.add("Reshape", [joined, "whole"], f"{name}.joined"), f"{name}.out", (hidden, hidden))


def gelu(graph: Graph, x: str) -> str:
    error = graph.add("Erf", [graph.add("Mul", [x, "root_half"], f"{x}.scaled")], f"{x}.erf")
    half = graph.add("Mul", [x, "half"], f"{x}.half")
    return graph.add("Mul", [half, graph.add("Add", [error, "one"], f"{x}.gate")], f"{x}.gelu")


def build(config: dict[str, int]) -> onnx.ModelProto:
    graph = Graph(config["weights_seed"])
    hidden, count = config["hidden_size"], config["num_attention_heads"]
    numbers = {"one": 1.0, "half": 0.5, "root_half": math.sqrt(0.5), "masked": MASKED}
    for name, value in {**numbers, "shrink": 1 / math.sqrt(hidden // count)}.items():
        graph.constant(name, np.array(value, np.float32))
    graph.constant("heads", np.array([1, LENGTH, count, hidden // count]))
    graph.constant("whole", np.array([1, LENGTH, hidden]))
    graph.constant("mask_axes", np.array([1, 2]))

    present = graph.add("Cast", ["input_mask"], "present", to=TensorProto.FLOAT)
    absent = graph.add("Mul", [graph.add("Sub", ["one", present], "absent"), "masked"], "absent.masked")
    graph.add("Unsqueeze", [absent, "mask_axes"], "mask")
    words = graph.add("Gather", [graph.random("words", (config["vocab_size"], hidden), 1.0), "input_ids"], "x.words")
    kinds = graph.add(
        "Gather", [graph.random("kinds", (config["type_vocab_size"], hidden), 1.0), "segment_ids"], "x.kinds"
    )
    places = graph.random("places", (1, LENGTH, hidden), 1.0)
    x = graph.add("Add", [graph.add("Add", [words, kinds], "x.sum"), places], "x.embedded")
    x = graph.norm(x, "x", hidden)
    for number in range(config["num_hidden_layers"]):
        name = f"layer{number}"
        x = graph.norm(graph.add("Add", [x, attention(graph, x, name, hidden)], f"{name}.mid"), f"{name}.first", hidden)
        inner = gelu(graph, graph.dense(x, f"{name}.inner", (hidden, config["intermediate_size"])))
        outer = graph.dense(inner, f"{name}.outer", (config["intermediate_size"], hidden))
        x = graph.norm(graph.add("Add", [x, outer], f"{name}.sum"), f"{name}.second", hidden)
    logits = graph.dense(x, "logits", (hidden, 2), SPREAD)
    outputs = ("output_start_logits", "output_end_logits")
    graph.nodes.append(helper.make_node("Split", [logits], ["start", "end"], name="split", axis=2))
    graph.constant("last", np.array([2]))
    for part, output in zip(("start", "end"), outputs, strict=True):
        graph.add("Squeeze", [part, "last"], output)
    inputs = ("input_ids", "input_mask", "segment_ids")
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert_toy",
            [helper.make_tensor_value_info(name, TensorProto.INT64, [1, LENGTH]) for name in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, LENGTH]) for name in outputs],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="mlorch bert-toy",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = build(json.loads((options.sources / "bert_config.json").read_text(encoding="utf-8")))
    onnx.checker.check_model(model, full_check=True)
    weights = [one for one in model.graph.initializer if one.dims and one.data_type == TensorProto.FLOAT]
    parameters = sum(math.prod(one.dims) for one in weights)
    print(f"{parameters} parameters")
    (options.out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
