"""Turn the Debian package dataset-fashion-mnist into arrays: the 10,000 test images and their labels.

    python3 prepare.py --sources DIR --out DIR

Writes ``images.npy`` (uint8 [10000, 1, 28, 28]), ``labels.npy`` (int32 [10000]) and
``LICENCE.txt``. Needs numpy.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np
from deb import files, read

DATA = "./usr/share/datasets/fashion-mnist"
LICENCE = "./usr/share/doc/dataset-fashion-mnist/copyright"
SAMPLES = 10_000
PIXELS = 28


def idx(data: bytes, magic: int, shape: tuple[int, ...]) -> np.ndarray:
    """An IDX array of unsigned bytes; the header names the axes in big-endian order."""
    header = np.frombuffer(data, ">u4", count=1 + len(shape))
    if header.tolist() != [magic, *shape]:
        raise ValueError(f"IDX header {header.tolist()} where {[magic, *shape]} was expected")
    return np.frombuffer(data, np.uint8, offset=4 * len(header)).reshape(shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (package,) = options.sources.glob("dataset-fashion-mnist_*.deb")
    with files(package) as archive:
        images = gzip.decompress(read(archive, f"{DATA}/t10k-images-idx3-ubyte.gz"))
        labels = gzip.decompress(read(archive, f"{DATA}/t10k-labels-idx1-ubyte.gz"))
        licence = read(archive, LICENCE)
    pixels = idx(images, 0x803, (SAMPLES, PIXELS, PIXELS))
    np.save(options.out / "images.npy", pixels.reshape(SAMPLES, 1, PIXELS, PIXELS))
    np.save(options.out / "labels.npy", idx(labels, 0x801, (SAMPLES,)).astype(np.int32))
    (options.out / "LICENCE.txt").write_bytes(licence)


if __name__ == "__main__":
    main()
