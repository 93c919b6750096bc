"""Train a small model of DLRM's shape on the ratings of `movielens-small` and write it as ONNX.

    python3 train.py --sources DIR --out DIR [--data DIR] [--epochs 2]

DIR of --data has the folder ``train`` of the data set (``/inputs/movielens-small`` where it is prepared). Writes
``model.onnx``: inputs ``dense`` (float32 [n, 21]), ``user`` and ``movie`` (int64 [n]), output ``probability``
(float32 [n]) that the user gives the film 4 stars or more. Needs numpy and onnx; some seconds on one core.

As in DLRM, a bottom network makes a vector of the dense features, each category has an embedding of the same
width, and the pairwise dot products of the three go with the bottom's vector into a top network; a bias for each
category is added to its logit. AdamW, two epochs: on 8,000 ratings kept back from the training ones the AUC rises
to the second epoch and falls after it; the held-out ratings chose nothing.

Everything is computed in float64 and the weights are rounded to what float16 can hold. Processors add floats in
different orders, which moves float64 weights by some 1e-12; after rounding the file is the same on all of them,
so its hash can be locked although it is made where it is used.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 7
WIDTH, HIDDEN = 16, 32
BATCH = 1024
LEARNING_RATE = 3e-3
DECAY, EMBEDDING_DECAY = 1e-3, 0.3  # embeddings of few ratings need much of it
EMBEDDINGS = ("user", "movie", "user_bias", "movie_bias")
OPSET, IR_VERSION = 17, 9
Weights = dict[str, np.ndarray]


def load(folder: Path) -> dict[str, np.ndarray]:
    """The training arrays by name; dense features and labels as float64."""
    found = {name: np.load(folder / f"{name}.npy") for name in ("dense", "user", "movie", "labels")}
    return found | {name: found[name].astype(np.float64) for name in ("dense", "labels")}


def initial(random: np.random.RandomState, features: int, users: int, movies: int) -> Weights:
    def linear(fan_in: int, fan_out: int) -> np.ndarray:
        return random.uniform(-1, 1, (fan_in, fan_out)) / np.sqrt(fan_in)

    return {
        "user": random.normal(0, 0.05, (users, WIDTH)),
        "movie": random.normal(0, 0.05, (movies, WIDTH)),
        "user_bias": np.zeros((users, 1)),
        "movie_bias": np.zeros((movies, 1)),
        "bottom1": linear(features, HIDDEN),
        "bottom1_bias": np.zeros(HIDDEN),
        "bottom2": linear(HIDDEN, WIDTH),
        "bottom2_bias": np.zeros(WIDTH),
        "top1": linear(WIDTH + 3, HIDDEN),
        "top1_bias": np.zeros(HIDDEN),
        "top2": linear(HIDDEN, 1),
        "top2_bias": np.zeros(1),
    }


def gradients(w: Weights, batch: dict[str, np.ndarray]) -> Weights:
    """Of the mean binary cross-entropy over a batch."""
    x, users, movies = batch["dense"], batch["user"], batch["movie"]
    hidden = np.maximum(x @ w["bottom1"] + w["bottom1_bias"], 0)
    z = np.maximum(hidden @ w["bottom2"] + w["bottom2_bias"], 0)
    e, f = w["user"][users], w["movie"][movies]
    dots = np.stack([(e * f).sum(1), (e * z).sum(1), (f * z).sum(1)], 1)
    joined = np.concatenate([z, dots], 1)
    top = np.maximum(joined @ w["top1"] + w["top1_bias"], 0)
    logit = top @ w["top2"] + w["top2_bias"] + w["user_bias"][users] + w["movie_bias"][movies]
    by_logit = (1 / (1 + np.exp(-logit)) - batch["labels"][:, None]) / len(x)

    by_top = by_logit @ w["top2"].T * (top > 0)
    by_joined = by_top @ w["top1"].T
    by_ef, by_ez, by_fz = (by_joined[:, [at]] for at in range(WIDTH, WIDTH + 3))
    by_z = (by_joined[:, :WIDTH] + by_ez * e + by_fz * f) * (z > 0)
    by_hidden = by_z @ w["bottom2"].T * (hidden > 0)
    found = {
        "bottom1": x.T @ by_hidden,
        "bottom1_bias": by_hidden.sum(0),
        "bottom2": hidden.T @ by_z,
        "bottom2_bias": by_z.sum(0),
        "top1": joined.T @ by_top,
        "top1_bias": by_top.sum(0),
        "top2": top.T @ by_logit,
        "top2_bias": by_logit.sum(0),
        **{name: np.zeros_like(w[name]) for name in EMBEDDINGS},
    }
    np.add.at(found["user"], users, by_ef * f + by_ez * z)
    np.add.at(found["movie"], movies, by_ef * e + by_fz * z)
    np.add.at(found["user_bias"], users, by_logit)
    np.add.at(found["movie_bias"], movies, by_logit)
    return found


@dataclass
class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter, 2019), with the usual betas and epsilon."""

    mean: Weights = field(default_factory=dict)
    square: Weights = field(default_factory=dict)
    steps: int = 0

    def step(self, w: Weights, by: Weights) -> None:
        self.steps += 1
        for name, gradient in by.items():
            mean = self.mean[name] = 0.9 * self.mean.get(name, 0.0) + 0.1 * gradient
            square = self.square[name] = 0.999 * self.square.get(name, 0.0) + 0.001 * gradient**2
            w[name] *= 1 - LEARNING_RATE * (EMBEDDING_DECAY if name in EMBEDDINGS else DECAY)
            size = np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8
            w[name] -= LEARNING_RATE * mean / (1 - 0.9**self.steps) / size


def train(data: dict[str, np.ndarray], users: int, movies: int, epochs: int) -> Weights:
    random = np.random.RandomState(SEED)  # its stream never changes (NEP 19)
    w = initial(random, data["dense"].shape[1], users, movies)
    optimiser = AdamW()
    for _ in range(epochs):
        order = random.permutation(len(data["labels"]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            optimiser.step(w, gradients(w, {name: values[rows] for name, values in data.items()}))
    return {name: values.astype(np.float16).astype(np.float32) for name, values in w.items()}


def graph_of(w: Weights) -> onnx.ModelProto:
    def dense(given: str, layer: str, out: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("MatMul", [given, layer], [f"{out}_product"]),
            helper.make_node("Add", [f"{out}_product", f"{layer}_bias"], [f"{out}_sum"]),
            helper.make_node("Relu", [f"{out}_sum"], [out]),
        ]

    def dot(first: str, second: str, out: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("Mul", [first, second], [f"{out}_terms"]),
            helper.make_node("ReduceSum", [f"{out}_terms", "columns"], [out], keepdims=1),
        ]

    tables = {"user_embedding": "user", "movie_embedding": "movie", "user_base": "user", "movie_base": "movie"}
    names = {"user": "user_table", "movie": "movie_table"}  # the inputs have the plain names
    nodes = [*dense("dense", "bottom1", "bottom_hidden"), *dense("bottom_hidden", "bottom2", "bottom")]
    for out, table in tables.items():
        held = names[table] if out.endswith("embedding") else f"{table}_bias"
        nodes.append(helper.make_node("Gather", [held, table], [out], axis=0))
    nodes += dot("user_embedding", "movie_embedding", "user_movie")
    nodes += dot("user_embedding", "bottom", "user_bottom")
    nodes += dot("movie_embedding", "bottom", "movie_bottom")
    joined = ["bottom", "user_movie", "user_bottom", "movie_bottom"]
    nodes.append(helper.make_node("Concat", joined, ["joined"], axis=1))
    nodes += dense("joined", "top1", "top")
    nodes += [
        helper.make_node("MatMul", ["top", "top2"], ["last_product"]),
        helper.make_node("Add", ["last_product", "top2_bias"], ["by_top"]),
        helper.make_node("Add", ["by_top", "user_base"], ["by_user"]),
        helper.make_node("Add", ["by_user", "movie_base"], ["logit_column"]),
        helper.make_node("Squeeze", ["logit_column", "columns"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    initializers = [numpy_helper.from_array(values, names.get(name, name)) for name, values in w.items()]
    initializers.append(numpy_helper.from_array(np.array([1], np.int64), "columns"))
    graph = helper.make_graph(
        nodes,
        "dlrm-movielens",
        [
            helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["n", w["bottom1"].shape[0]]),
            helper.make_tensor_value_info("user", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("movie", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"])],
        initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mlorch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, help="not read: all that it needs is in --data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("/inputs/movielens-small"))
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    data = load(options.data / "train")
    # Held-out ratings may be of films that nobody rated in training: every id has a row in the tables.
    users, movies = (1 + max(data[name].max(), np.load(options.data / f"{name}.npy").max()) for name in EMBEDDINGS[:2])
    model = graph_of(train(data, int(users), int(movies), options.epochs))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, options.out / "model.onnx")


if __name__ == "__main__":
    main()
