"""Take PocketSphinx's acoustic model for US English and its dictionary out of the wheel, and write the grammar.

    python3 prepare.py --sources DIR --out DIR --references references.npy

Writes the files of the acoustic model, ``words.dict`` (how words are pronounced), ``grammar.jsgf`` (the phrases of
the data set that may be said, one of them a recording) and ``LICENCE.txt``. Needs numpy.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np

MODEL = "pocketsphinx/model/en-us"
ACOUSTIC = ("feat.params", "mdef", "means", "noisedict", "sendump", "transition_matrices", "variances")
MEMBERS = {
    **{f"{MODEL}/en-us/{name}": name for name in ACOUSTIC},
    f"{MODEL}/cmudict-en-us.dict": "words.dict",
    "pocketsphinx-5.1.1.dist-info/licenses/LICENSE": "LICENCE.txt",
}


def grammar(phrases: list[str]) -> str:
    """A grammar in the JSpeech Grammar Format: one of these phrases."""
    return f"#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = {' | '.join(phrases)};\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("pocketsphinx-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member, name in MEMBERS.items():
            (options.out / name).write_bytes(archive.read(member))
    phrases = sorted(set(np.load(options.references, allow_pickle=False).tolist()))
    (options.out / "grammar.jsgf").write_text(grammar(phrases), encoding="ascii")


if __name__ == "__main__":
    main()
