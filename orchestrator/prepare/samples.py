"""Turn a folder of photos or arrays into the two arrays that mlorch's harness reads.

    python3 samples.py --sources FOLDER --out DIR --form FORM [OPTIONS]

Writes ``inputs.npy`` [N, ...] and ``labels.npy`` (int64 [N]). FORM says how the folder is laid out:

- ``class-folders``: a folder of photos for each class; ``--classes`` says how their names are labels
- ``val-map``: photos and ``val_map.txt``, with a line ``NAME LABEL`` for each
- ``array-files``: an array (``.npy``) for each sample, and the same list
- ``arrays``: all samples in one array, all labels in another

Photos are turned to RGB, resized (``--resize``), cut to the middle (``--size``), and each value v of a pixel becomes
(v × scale − mean) ÷ std. Arrays are stored as they are. Needs numpy, and Pillow for photos.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

PHOTOS = (".jpg", ".jpeg", ".png")
VAL_MAP = "val_map.txt"


def main() -> None:
    options = _options()
    folder = options.sources / options.below
    if options.form == "arrays":
        inputs = np.load(folder / options.arrays[0], mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / options.arrays[1], allow_pickle=False)
        _save(options.out, inputs, labels.astype(np.int64))
        return
    listed = list(_by_class(folder, options) if options.form == "class-folders" else _by_map(folder))
    if not listed:
        raise SystemExit(f"{options.sources} holds no samples")
    first = _sample(listed[0][0], options)
    made = np.lib.format.open_memmap(
        options.out / "inputs.npy", mode="w+", dtype=first.dtype, shape=(len(listed), *first.shape)
    )

    def fill(number: int) -> None:
        path = listed[number][0]
        sample = _sample(path, options)
        if sample.shape != first.shape or sample.dtype != first.dtype:
            raise SystemExit(f"{path.name} is {sample.dtype} {list(sample.shape)}, not {first.dtype} {first.shape}")
        made[number] = sample

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(fill, range(len(listed))), start=1):
            if done % 1000 == 0 or done == len(listed):
                print(f"{done} of {len(listed)} samples", flush=True)
    made.flush()
    np.save(options.out / "labels.npy", np.array([label for _, label in listed], np.int64))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--form", choices=("class-folders", "val-map", "array-files", "arrays"), required=True)
    parser.add_argument("--below", default="", help="the folder below the sources that has the samples")
    parser.add_argument("--arrays", nargs=2, metavar="FILE", help="samples and labels, of form arrays")
    parser.add_argument("--classes", choices=("numbers", "order", "labels"), default="order")
    parser.add_argument("--label", action="append", default=[], metavar="NUMBER=NAME")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--resize", type=int, nargs="+", default=[], help="the short side, or height and width")
    parser.add_argument("--resample", default="bilinear")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--mean", type=float, nargs="+", default=[0.0])
    parser.add_argument("--std", type=float, nargs="+", default=[1.0])
    parser.add_argument("--channels", choices=("RGB", "BGR", "L"), default="RGB")
    parser.add_argument("--layout", choices=("NCHW", "NHWC"))
    parser.add_argument("--dtype", choices=("float32", "uint8"))
    return parser.parse_args()


def _save(out: Path, inputs: Any, labels: Any) -> None:
    if len(inputs) != len(labels):
        raise SystemExit(f"{len(inputs)} samples and {len(labels)} labels")
    made = np.lib.format.open_memmap(out / "inputs.npy", mode="w+", dtype=inputs.dtype, shape=inputs.shape)
    for start in range(0, len(inputs), 256):
        made[start : start + 256] = inputs[start : start + 256]
    made.flush()
    np.save(out / "labels.npy", labels)


# -- which files, and their labels ---------------------------------------------------------


def _by_class(folder: Path, options: argparse.Namespace) -> Iterator[tuple[Path, int]]:
    """Each photo with the label of its folder, by folder and name."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    given = {name: int(number) for number, _, name in (text.partition("=") for text in options.label)}
    for place, name in enumerate(names):
        label = place
        if options.classes == "numbers":
            label = int(name)
        elif options.classes == "labels":
            label = given[name]
        for path in sorted((folder / name).iterdir()):
            if path.suffix.lower() in PHOTOS and not path.name.startswith("."):
                yield path, label


def _by_map(folder: Path) -> Iterator[tuple[Path, int]]:
    """Each file that the list names, with its label, in the list's order."""
    for line in (folder / VAL_MAP).read_text(encoding="utf-8").splitlines():
        if line.strip():
            name, label = line.rsplit(maxsplit=1)
            path = folder / name
            yield path if path.suffix else path.with_name(f"{path.name}.npy"), int(label)


# -- a sample ------------------------------------------------------------------------------


def _sample(path: Path, options: argparse.Namespace) -> Any:
    if options.form == "array-files":
        return np.load(path, allow_pickle=False)
    from PIL import Image

    with Image.open(path) as opened:
        photo = opened.convert("L" if options.channels == "L" else "RGB")
    pixels = np.asarray(_cut(_resized(photo, options), path, options.size))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if options.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    if options.dtype == "float32":
        values = pixels.astype(np.float32) * np.float32(options.scale)
        pixels = (values - np.array(options.mean, np.float32)) / np.array(options.std, np.float32)
    if options.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)


def _resized(photo: Any, options: argparse.Namespace) -> Any:
    from PIL import Image

    if not options.resize:
        return photo
    width, height = photo.size
    if len(options.resize) == 2:
        height, width = options.resize
    elif width < height:
        width, height = options.resize[0], options.resize[0] * height // width
    else:
        width, height = options.resize[0] * width // height, options.resize[0]
    return photo.resize((width, height), Image.Resampling[options.resample.upper()])


def _cut(photo: Any, path: Path, size: list[int]) -> Any:
    """The middle of a photo, of ``size`` height and width."""
    height, width = size
    if photo.size == (width, height):
        return photo
    left, top = (photo.size[0] - width) // 2, (photo.size[1] - height) // 2
    if left < 0 or top < 0:
        raise SystemExit(
            f"{path.name} is {photo.size[1]} x {photo.size[0]}, smaller than {height} x {width}: resize it"
        )
    return photo.crop((left, top, left + width, top + height))


if __name__ == "__main__":
    main()
