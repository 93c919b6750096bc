"""Turn a text into questions in the form of SQuAD v1.1, and a vocabulary that covers it.

    python3 prepare.py --sources DIR --out DIR

``text.txt`` has a sentence a line, ``SUBJECT | VERB | OBJECT``, and paragraphs between blank lines. Writes
``dev-v1.1.json``: a context for each paragraph and a question for the object of each sentence; and ``vocab.txt``:
the words as BERT's tokeniser cuts them, lower case. Long words are in it in two pieces (``narr``, ``##ow``), so
that the tokeniser has to cut; letters alone are in it as well, so that no word of another text is unknown.
"""

from __future__ import annotations

import argparse
import json
import re
import string
from pathlib import Path

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""In this order: what is filled up with zeros is [PAD]."""
WHOLE = 5
"""Letters of the longest word that has an entry of its own."""
STEM = 4


def paragraphs(text: str) -> list[list[tuple[str, str, str]]]:
    """The sentences of each paragraph as subject, verb and object."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        sentences = []
        for line in lines:
            subject, verb, thing = line.split(" | ")
            sentences.append((subject, verb, thing))
        found.append(sentences)
    return found


def article(title: str, blocks: list[list[tuple[str, str, str]]]) -> dict[str, object]:
    """An article of SQuAD; ``answer_start`` counts characters of the context."""
    entries = []
    for number, sentences in enumerate(blocks):
        context, questions = "", []
        for line, (subject, verb, thing) in enumerate(sentences):
            start = f"{subject} {verb} "
            answer = {"answer_start": len(context) + len(start), "text": thing}
            identifier = f"squad-toy-{number:02d}-{line}"
            questions.append({"id": identifier, "question": f"{subject} {verb} what?", "answers": [answer]})
            context += f"{start}{thing}. "
        entries.append({"context": context.rstrip(), "qas": questions})
    return {"title": title, "paragraphs": entries}


def vocabulary(text: str) -> list[str]:
    """The entries in a fixed order; their line is their number."""
    words = sorted(set(re.findall(r"[a-z]+", text.lower())))
    whole = [word for word in words if 1 < len(word) <= WHOLE]
    stems = sorted({word[:STEM] for word in words if len(word) > WHOLE} - set(whole))
    tails = sorted({f"##{word[STEM:]}" for word in words if len(word) > WHOLE})
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    return [*SPECIAL, *string.punctuation, *string.digits, *letters, *whole, *stems, *tails]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    text = (options.sources / "text.txt").read_text(encoding="utf-8")
    document = {"version": "1.1", "data": [article("A toy", paragraphs(text))]}
    (options.out / "dev-v1.1.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (options.out / "vocab.txt").write_text("\n".join(vocabulary(text)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
