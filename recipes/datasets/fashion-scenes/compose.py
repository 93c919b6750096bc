"""Compose scenes for object detection from the pictures of Fashion-MNIST, with exact boxes.

    python3 compose.py --sources DIR --out DIR --items DIR [--scenes 1000]

Reads ``images.npy`` (uint8 [N, 1, 28, 28]) and ``labels.npy`` [N] of ``--items``. Writes, for S scenes of at most
B items: ``images.npy`` (uint8 [S, 1, 128, 128]), ``boxes.npy`` (float32 [S, B, 4]: ymin, xmin, ymax, xmax, as
shares of the side), ``classes.npy`` (int32 [S, B], -1 where there is no item) and ``counts.npy`` (int32 [S]).
Needs numpy and Pillow.

Seeded, and computed with whole numbers alone: floating-point functions give other last bits on other processors,
and the scenes are the same bytes everywhere.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 20261128
SIDE = 128
"""Pixels of a scene, each way."""
MOST = 6
"""Items of a scene at most."""
SIZES = (22, 64)
"""Pixels that the 28 x 28 of an item become, each way; the box is that of what is seen of it."""
STRETCH = 20
"""Percent that an item's height and width may differ from its size, each by itself."""
HIDDEN = 25
"""Percent of the smaller of two boxes that may lie in the other."""
TRIES = 20
"""Places tried for an item before it is left out."""
FAINTEST = 32
"""The grey at which an item's pixel counts as seen."""
NOISE = 24
"""Grey levels that a pixel may be off, at most."""


@dataclass(frozen=True)
class Scene:
    """Of k items: ``image`` [SIDE, SIDE], ``boxes`` [k, 4] in pixels (ymin, xmin, ymax, xmax), ``classes`` [k]."""

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Greys interpolated between the nearest four; Pillow does that with whole numbers for bytes."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def background(rng: np.random.Generator) -> np.ndarray:
    """A texture, int32 [SIDE, SIDE]: clouds of four sizes, stripes over half of the scenes, and plain shapes."""
    canvas = np.full((SIDE, SIDE), int(rng.integers(30, 200)), np.int32)
    for cells in (3, 8, 20, 50):
        strength = int(rng.integers(0, 60))
        cloud = resized(rng.integers(0, 256, (cells, cells), np.uint8), SIDE, SIDE).astype(np.int32)
        canvas += (cloud - 128) * strength // 128
    down, right = np.mgrid[0:SIDE, 0:SIDE].astype(np.int32)
    if rng.integers(2):
        a, b, period = (int(value) for value in rng.integers([-4, -4, 12], [5, 5, 60]))
        canvas += ((a * down + b * right) // period % 2) * int(rng.integers(-40, 41))
    for _ in range(int(rng.integers(0, 5))):
        top, left, height, width = (int(value) for value in rng.integers([0, 0, 3, 3], [SIDE, SIDE, 50, 50]))
        canvas[top : top + height, left : left + width] += int(rng.integers(-60, 61))
    return canvas


def item(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """An item of another size, and mirrored half of the time, cut to what is seen of it: uint8 [height, width]."""
    size = int(rng.integers(SIZES[0], SIZES[1] + 1))
    stretch = rng.integers(100 - STRETCH, 101, 2)
    height, width = (int(size * part // 100) for part in stretch)
    pixels = resized(picture[:, ::-1] if rng.integers(2) else picture, height, width)
    seen = pixels >= FAINTEST
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return pixels[:0, :0]
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def is_free(box: tuple[int, int, int, int], others: list[tuple[int, int, int, int]]) -> bool:
    """Whether no two boxes hide more than HIDDEN percent of the smaller one."""
    for other in others:
        height = min(box[2], other[2]) - max(box[0], other[0])
        width = min(box[3], other[3]) - max(box[1], other[1])
        smaller = min((each[2] - each[0]) * (each[3] - each[1]) for each in (box, other))
        if height > 0 and width > 0 and 100 * height * width > HIDDEN * smaller:
            return False
    return True


def place(
    rng: np.random.Generator, shape: tuple[int, ...], others: list[tuple[int, int, int, int]]
) -> tuple[int, int, int, int] | None:
    """A box of a shape where it hides little; None where TRIES found none."""
    height, width = shape
    for _ in range(TRIES):
        top, left = (int(value) for value in rng.integers(0, [SIDE - height + 1, SIDE - width + 1]))
        box = (top, left, top + height, left + width)
        if is_free(box, others):
            return box
    return None


def paint(rng: np.random.Generator, canvas: np.ndarray, box: tuple[int, int, int, int], pixels: np.ndarray) -> None:
    """Lay an item over the canvas: its faint pixels let the background through, its brightness is drawn."""
    top, left, bottom, right = box
    grey, gain = pixels.astype(np.int32), int(rng.integers(130, 256))
    cover, under = np.minimum(grey * 4, 255), canvas[top:bottom, left:right]
    canvas[top:bottom, left:right] = (cover * (grey * gain // 255) + (255 - cover) * under) // 255


def compose(rng: np.random.Generator, images: np.ndarray, labels: np.ndarray) -> Scene:
    """One scene of 1 to MOST items, from pictures uint8 [N, 28, 28] and their labels [N]."""
    canvas, boxes, classes = background(rng), [], []
    wanted = int(rng.integers(1, MOST + 1))
    while len(boxes) < wanted:
        number = int(rng.integers(len(images)))
        pixels = item(rng, images[number])
        box = place(rng, pixels.shape, boxes) if pixels.size else None
        if box is None:
            if boxes:
                break
            continue
        paint(rng, canvas, box, pixels)
        boxes.append(box)
        classes.append(int(labels[number]))
    noise = int(rng.integers(0, NOISE // 2 + 1))
    canvas += rng.integers(-noise, noise + 1, (2, SIDE, SIDE), np.int32).sum(0)
    image = canvas.clip(0, 255).astype(np.uint8)
    return Scene(image, np.array(boxes, np.int32).reshape(-1, 4), np.array(classes, np.int32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, help="nothing is read there")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=1000)
    options = parser.parse_args()
    images = np.load(options.items / "images.npy")[:, 0]
    labels = np.load(options.items / "labels.npy")
    rng = np.random.Generator(np.random.PCG64(SEED))
    count = options.scenes
    scenes = np.zeros((count, 1, SIDE, SIDE), np.uint8)
    boxes = np.zeros((count, MOST, 4), np.float32)
    classes, counts = np.full((count, MOST), -1, np.int32), np.zeros(count, np.int32)
    for number in range(count):
        scene = compose(rng, images, labels)
        found = len(scene.boxes)
        scenes[number, 0], counts[number] = scene.image, found
        boxes[number, :found] = scene.boxes.astype(np.float32) / np.float32(SIDE)
        classes[number, :found] = scene.classes
    for name, array in (("images", scenes), ("boxes", boxes), ("classes", classes), ("counts", counts)):
        np.save(options.out / f"{name}.npy", array)


if __name__ == "__main__":
    main()
