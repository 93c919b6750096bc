"""Every form of a folder of samples, prepared in the real prep image: which values and labels come of it."""

from __future__ import annotations

import struct

import pytest
from photo_parts import png, read_array, stub, write_array

pytestmark = [pytest.mark.engine, pytest.mark.slow]
COLOUR = bytes((10, 20, 30))
RECIPE = "kind: benchmark\nname: {name}\ntitle: T\nlike: image-smoke\nmodel: ./{name}.onnx\n"
RECIPE += "dataset: {dataset}\naccuracy: {{reference: 1}}\n"


@pytest.fixture(scope="module")
def prepared(mlorch, tmp_path_factory):
    """Makes a data set of a folder; gives shape, type and bytes of its samples, and its labels."""
    folder = tmp_path_factory.mktemp("own")

    def prepared(name, fill, net, dataset="./{name}-folder"):
        place = folder / f"{name}-folder"
        place.mkdir()
        fill(place)
        (folder / f"{name}.onnx").write_bytes(net)
        (folder / f"{name}.yaml").write_text(RECIPE.format(name=name, dataset=dataset.format(name=name)))
        words = ("assets", "export", f"dataset/{name}", str(folder / f"{name}-out"), "--copy", "--recipes", str(folder))
        done = mlorch("assets", "get", f"dataset/{name}", "--target", "cpu", "--recipes", str(folder), timeout=600)
        assert done.returncode == 0, done.stderr[-4000:]
        done = mlorch(*words, timeout=600)
        assert done.returncode == 0, done.stderr[-4000:]
        out = folder / f"{name}-out"
        (count,), kind, labels = read_array(out / "labels.npy")
        assert kind == "<i8"
        return *read_array(out / "inputs.npy"), struct.unpack(f"<{count}q", labels)

    return prepared


def test_photos_of_a_list_are_resized_cut_turned_and_scaled(prepared):
    def fill(place):
        (place / "wide.png").write_bytes(png(8, 24, COLOUR * 8 * 24))
        (place / "tall.png").write_bytes(png(30, 10, COLOUR * 300))
        (place / "val_map.txt").write_text("tall.png 3\nwide.png 1\n")

    said = "{{folder: {name}-folder, short_side: 6, mean: [0, 0, 0.1], std: [1, 0.5, 1], channels: BGR}}"
    shape, kind, data, labels = prepared("listed", fill, stub(1, (0, 3, 4, 4), 4), said)
    assert (shape, kind, labels) == ([2, 3, 4, 4], "<f4", (3, 1))
    values = struct.unpack("<96f", data)
    assert values[:16] == pytest.approx([30 / 255] * 16)
    assert values[16:32] == pytest.approx([20 / 255 / 0.5] * 16)
    assert values[32:48] == pytest.approx([10 / 255 - 0.1] * 16)
    assert values[48:] == pytest.approx(values[:48])


def test_the_middle_of_a_photo_is_what_is_cut_out(prepared):
    def fill(place):
        rows = [bytes((row, column, 0)) for row in range(4) for column in range(6)]
        for label in ("0", "10", "9"):
            (place / label).mkdir()
            (place / label / "a.png").write_bytes(png(4, 6, b"".join(rows)))

    said = "{{folder: {name}-folder, short_side: 4}}"
    shape, kind, data, labels = prepared("cut", fill, stub(2, (0, 2, 2, 3), 11), said)
    assert (shape, kind) == ([3, 2, 2, 3], "|u1")
    assert labels == (0, 10, 9), "in the order of names, each by its number"
    assert data[:12] == bytes((1, 2, 0, 1, 3, 0, 2, 2, 0, 2, 3, 0))


def test_arrays_are_as_they_were(prepared):
    samples = bytes(range(24))

    def whole(place):
        write_array(place / "images.npy", (2, 2, 2, 3), "|u1", samples)
        write_array(place / "labels.npy", (2,), "<i4", struct.pack("<2i", 4, 5))

    def each(place):
        for number in range(2):
            write_array(place / f"{number:05d}.npy", (2, 2, 3), "|u1", samples[number * 12 : number * 12 + 12])
        (place / "val_map.txt").write_text("00001 7\n00000 8\n")

    net = stub(2, (0, 2, 2, 3), 9)
    assert prepared("whole", whole, net) == ([2, 2, 2, 3], "|u1", samples, (4, 5))
    assert prepared("each", each, net) == ([2, 2, 2, 3], "|u1", samples[12:] + samples[:12], (7, 8))


def test_a_photo_that_is_none_is_named(mlorch, tmp_path):
    place = tmp_path / "broken-folder" / "0"
    place.mkdir(parents=True)
    (place / "a.jpeg").write_bytes(b"<html>not found</html>")
    (tmp_path / "broken.onnx").write_bytes(stub(2, (0, 2, 2, 3), 9))
    (tmp_path / "broken.yaml").write_text(RECIPE.format(name="broken", dataset="./broken-folder"))
    done = mlorch("assets", "get", "dataset/broken", "--target", "cpu", "--recipes", str(tmp_path), timeout=600)
    assert done.returncode == 1
    assert "[prepare-failed]" in done.stderr
    assert "a.jpeg" in done.stderr
