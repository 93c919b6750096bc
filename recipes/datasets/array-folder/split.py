"""Turn a data set of two arrays into a folder with a file a sample.

    python3 split.py --sources DIR --out DIR --samples DIR

Reads ``images.npy`` [N, ...] and ``labels.npy`` [N] of ``--samples``; writes ``NNNNN.npy`` with each
sample as it is, and ``val_map.txt`` with a line ``NNNNN LABEL`` for each, in their order: what MLCommons'
image classification reads with --use_preprocessed_dataset. Needs numpy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, help="nothing is read there")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=Path, required=True)
    options = parser.parse_args()
    images = np.load(options.samples / "images.npy", mmap_mode="r")
    labels = np.load(options.samples / "labels.npy")
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} samples and {len(labels)} labels")
    lines = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        np.save(options.out / f"{number:05d}.npy", np.ascontiguousarray(image))
        lines.append(f"{number:05d} {int(label)}\n")
    (options.out / "val_map.txt").write_text("".join(lines), encoding="ascii")


if __name__ == "__main__":
    main()
