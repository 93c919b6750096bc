"""Turn the Debian package dataset-fashion-mnist into arrays: the 10,000 test images and their labels.

    python3 prepare.py --sources DIR --out DIR

Writes ``images.npy`` (uint8 [10000, 1, 28, 28]), ``labels.npy`` (int32 [10000]) and
``LICENCE.txt``. Needs numpy; reads the package with the standard library alone.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np

DATA = "./usr/share/datasets/fashion-mnist"
LICENCE = "./usr/share/doc/dataset-fashion-mnist/copyright"
SAMPLES = 10_000
PIXELS = 28


def member(deb: bytes, prefix: str) -> bytes:
    """The bytes of the member of an ``ar`` archive whose name starts with ``prefix``.

    An archive is ``!<arch>\\n`` and members of a 60-byte header (16 bytes of name, size
    in decimal at 48..58) and data padded to an even length (deb(5)).
    """
    if not deb.startswith(b"!<arch>\n"):
        raise ValueError("not a Debian package: no ar magic")
    at = 8
    while at + 60 <= len(deb):
        name = deb[at : at + 16].decode("ascii").strip().rstrip("/")
        size = int(deb[at + 48 : at + 58])
        if name.startswith(prefix):
            return deb[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise ValueError(f"the Debian package has no member {prefix}*")


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a regular file")
    return file.read()


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
    with tarfile.open(fileobj=io.BytesIO(member(package.read_bytes(), "data.tar"))) as archive:
        images = gzip.decompress(read(archive, f"{DATA}/t10k-images-idx3-ubyte.gz"))
        labels = gzip.decompress(read(archive, f"{DATA}/t10k-labels-idx1-ubyte.gz"))
        licence = read(archive, LICENCE)
    pixels = idx(images, 0x803, (SAMPLES, PIXELS, PIXELS))
    np.save(options.out / "images.npy", pixels.reshape(SAMPLES, 1, PIXELS, PIXELS))
    np.save(options.out / "labels.npy", idx(labels, 0x801, (SAMPLES,)).astype(np.int32))
    (options.out / "LICENCE.txt").write_bytes(licence)


if __name__ == "__main__":
    main()
