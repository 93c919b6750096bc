"""Models and data that mean harm: refused with a reason, or harmless; in bounded time and memory."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from orchestrator.assets.licences import licence_text
from orchestrator.assets.trees import find_tree, making
from orchestrator.definitions.kinds.sources import RecipeFile
from orchestrator.errors import AssetError
from orchestrator.facts.model_file import FileFault
from orchestrator.host.sample_folders import look_at_samples


def zipped(path, *, encrypted=False, method=None):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("LICENSE", "x" * 100)
    data = bytearray(path.read_bytes())
    listed = data.find(b"PK\x01\x02")
    if encrypted:
        data[6] |= 1
        data[listed + 8] |= 1
    if method is not None:
        data[8] = data[listed + 10] = method
    path.write_bytes(data)


def packed(path, member: tarfile.TarInfo, *, times=1, more=0):
    path.write_bytes(gzip.compress(member.tobuf() * times + bytes(more)))


def member(name, size, kind=tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


ARCHIVES = {
    "encrypted.whl": lambda path: zipped(path, encrypted=True),
    "unknown.whl": lambda path: zipped(path, method=99),
    "bomb.tar.gz": lambda path: packed(path, member("big", 9 << 30), more=1 << 20),
    "headers.tar.gz": lambda path: packed(path, member("x", 0, tarfile.GNUTYPE_LONGNAME), times=3000),
    "negative.tar.gz": lambda path: path.write_bytes(gzip.compress(b"\xff" * 512)),
    "cut.tar.gz": lambda path: path.write_bytes(gzip.compress(os.urandom(5000))[:2000]),
    "junk.deb": lambda path: path.write_bytes(b"!<arch>\njunkjunk"),
    "none.deb": lambda path: path.write_bytes(b"x"),
    "none.tar": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_package_that_cannot_be_looked_into_holds_no_licence(tmp_path, name):
    ARCHIVES[name](tmp_path / name)
    source = RecipeFile(kind="recipe", path=name, sha256="a" * 64, licence={"spdx": "MIT", "file": "LICENSE"})
    began = time.process_time()
    with pytest.raises(AssetError) as caught:
        licence_text(source, tmp_path / name)
    assert caught.value.slug == "licence-missing"
    assert time.process_time() - began < 5


def test_of_what_a_step_leaves_plain_files_are_taken_with_modes_of_ours(tmp_path):
    tree = tmp_path / "t"
    with making(tree, tmp_path / "aside", lambda _: True, lambda _: None) as made:
        out = made / "out"
        for name in ("Model.bin", "model.bin", "deep/er/x"):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(name)
            (out / name).chmod(0o6777)
        (out / "deep").chmod(0o7777)
        os.mkfifo(out / "pipe")
        (out / "shadow").symlink_to("/etc/shadow")
        (out / "etc").symlink_to("/etc")
    found = find_tree(tree)
    assert sorted(found.files) == ["Model.bin", "deep/er/x", "model.bin"]
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in found.folder.rglob("*")}
    assert modes == {0o444, 0o755}


def test_a_list_of_labels_is_read_in_time_that_grows_with_its_length(tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "val_map.txt").write_text("a" + " " * 200_000 + "x\n")
    began = time.process_time()
    found = look_at_samples(tmp_path, "samples")
    assert isinstance(found, FileFault)
    assert "line 1" in found.message
    assert time.process_time() - began < 2


class Trap:
    """Runs a program where somebody unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_an_array_of_numpy_with_a_program_in_it_is_refused_and_runs_nothing(tmp_path):
    from orchestrator.prepare.samples import _sample  # what reads arrays inside a prepare step

    folder, trap = tmp_path / "samples", tmp_path / "sprung"
    folder.mkdir()
    np.save(folder / "images.npy", np.array([Trap(trap)], dtype=object), allow_pickle=True)
    np.save(folder / "labels.npy", np.array([1]))
    found = look_at_samples(tmp_path, "samples")
    assert isinstance(found, FileFault)
    with pytest.raises(ValueError, match="allow_pickle"):
        _sample(folder / "images.npy", SimpleNamespace(form="array-files"))
    assert not trap.exists()
