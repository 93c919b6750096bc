"""Turn the 20 labelled ImageNet photos of the foolbox wheel into arrays.

    python3 prepare.py --sources DIR --out DIR

Each photo is resized so that its short side is 256 (bicubic) and cropped to the middle
224 x 224. Writes ``images.npy`` (uint8 [20, 224, 224, 3], RGB), ``labels.npy`` (int32
[20], the usual 1,000 classes counted from 0) and ``LICENCE.txt``. Needs numpy and Pillow.
"""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

NAME = re.compile(r"foolbox/data/imagenet_(\d\d)_(\d+)\.jpg\Z")
SAMPLES = 20
SHORT_SIDE = 256
CROP = 224


def preprocess(jpeg: bytes) -> np.ndarray:
    """RGB bytes [224, 224, 3] of a photo."""
    with Image.open(io.BytesIO(jpeg)) as photo:
        rgb = photo.convert("RGB")
    scale = SHORT_SIDE / min(rgb.size)
    width, height = (round(side * scale) for side in rgb.size)
    resized = rgb.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - CROP) // 2, (height - CROP) // 2
    return np.asarray(resized.crop((left, top, left + CROP, top + CROP)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (wheel,) = options.sources.glob("foolbox-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = sorted((m[1], int(m[2]), m[0]) for m in map(NAME.match, archive.namelist()) if m)
        if len(found) != SAMPLES:
            raise ValueError(f"{wheel.name} holds {len(found)} photos where {SAMPLES} were expected")
        images = np.stack([preprocess(archive.read(name)) for _, _, name in found])
        (licence,) = (n for n in archive.namelist() if n.endswith(".dist-info/LICENSE"))
        (options.out / "LICENCE.txt").write_bytes(archive.read(licence))
    np.save(options.out / "images.npy", images)
    np.save(options.out / "labels.npy", np.array([label for _, label, _ in found], np.int32))


if __name__ == "__main__":
    main()
