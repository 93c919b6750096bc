"""What a build step put below /out becomes the same bytes each time, and is in place for the smoke test."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.packages import tree
from orchestrator.plan.build.content import EPOCH, NORMALISE

PROGRAM = Path(__file__).parents[2] / "dockerfiles" / NORMALISE


def normalise():
    spec = importlib.util.spec_from_file_location("normalise", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def out(tmp_path):
    """A folder as a step leaves it: files of now, one of them no valid Python, a link to a folder."""
    package = tmp_path / "out" / "opt" / "p"
    package.mkdir(parents=True)
    (package / "a.py").write_text("NAMES = {'x', 'y', None}\ndef f(): return 1 in {1, 2, 'z'}\n")
    (package / "bad.py").write_text("this is {{ no }} Python\n")
    (package / "data.txt").write_text("data")
    (package.parent / "link").symlink_to("p")
    return tmp_path / "out"


def run(out: Path, root: Path, monkeypatch, *folders: str) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    normalise().main(folders, str(out), str(root))


def test_the_constant_is_the_one_of_the_rest():
    assert normalise().EPOCH == EPOCH == tree.EPOCH


def test_the_installed_packages_of_a_registry_base_get_the_same_time():
    text = (PROGRAM.parent / "_apt.j2").read_text()
    assert f"SOURCE_DATE_EPOCH={EPOCH} " in text
    assert f"touch -h -d @{EPOCH} " in text


def test_what_is_compiled_knows_the_same_time():
    text = (PROGRAM.parent / "_compile.j2").read_text()
    moment = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert f"SOURCE_DATE_EPOCH={EPOCH} " in text
    assert f"faketime -f '{moment}'" in text


def test_every_file_folder_and_link_has_the_one_time(out, tmp_path, monkeypatch):
    run(out, tmp_path / "root", monkeypatch, "/opt/p")
    times = {path.lstat().st_mtime for path in [out, *out.rglob("*")]}
    assert times == {EPOCH}


def test_sources_are_compiled_with_the_path_and_checks_of_the_image(out, tmp_path, monkeypatch):
    run(out, tmp_path / "root", monkeypatch, "/opt/p")
    (compiled,) = (out / "opt/p/__pycache__").iterdir()
    data = compiled.read_bytes()
    assert compiled.name.startswith("a.")
    assert int.from_bytes(data[4:8], "little") == 1, "a hash that is never checked: no file's time is in it"
    assert b"/opt/p/a.py" in data
    assert str(tmp_path).encode() not in data


def test_what_the_image_has_already_is_not_compiled_again(tmp_path, monkeypatch):
    """Byte code for sources of a layer below, as for the standard library, comes to lie below /out only where new."""
    source = tmp_path / "image" / "lib"
    source.mkdir(parents=True)
    for name in ("new.py", "old.py"):
        (source / name).write_text("A = 1\n")
    kept = Path(importlib.util.cache_from_source(str(source / "old.py")))
    kept.parent.mkdir()
    kept.write_bytes(b"kept")
    run(tmp_path / "out", tmp_path / "root", monkeypatch, str(source))
    found = [path.name.partition(".")[0] for path in (tmp_path / "out").rglob("*.pyc")]
    assert found == ["new"]


def test_a_single_file_is_compiled_and_one_that_is_no_source_is_not(out, tmp_path, monkeypatch):
    run(out, tmp_path / "root", monkeypatch, "/opt/p/a.py", "/opt/p/data.txt")
    assert [path.name.partition(".")[0] for path in out.rglob("*.pyc")] == ["a"]


def test_everything_is_in_place_for_the_smoke_test_without_a_copy(out, tmp_path, monkeypatch):
    root = tmp_path / "root"
    (root / "opt/p").mkdir(parents=True)
    (root / "opt/p/data.txt").write_text("of a layer below")
    (root / "opt/p/kept.txt").write_text("of a layer below")
    run(out, root, monkeypatch, "/opt/p")
    assert (root / "opt/p/data.txt").read_text() == "data"
    assert (root / "opt/p/kept.txt").exists()
    assert (root / "opt/link").readlink() == Path("p")
    assert (root / "opt/p/a.py").stat().st_ino == (out / "opt/p/a.py").stat().st_ino
    assert list((root / "opt/p/__pycache__").iterdir())


def test_nothing_to_normalise_gives_an_empty_folder_to_copy(tmp_path, monkeypatch):
    run(tmp_path / "out", tmp_path / "root", monkeypatch)
    assert not list((tmp_path / "out").iterdir())
    assert (tmp_path / "out").stat().st_mtime == EPOCH


@pytest.mark.processes
def test_byte_code_is_the_same_in_every_process(out, tmp_path):
    """Sets in constants would be in the order of their hashes, which differ from process to process."""
    source = "X = frozenset\n" + "".join(
        f"def f{n}(v): return v in {{'a{n}', 'b{n}', 'c{n}', {n}}}\n" for n in range(30)
    )
    (out / "opt/p/a.py").write_text(source)
    found = set()
    for count in range(2):
        for old in out.rglob("*.pyc"):
            old.unlink()
        code = f"import sys; sys.path[:0] = [{str(PROGRAM.parent)!r}]; import normalise; "
        code += f"normalise.main(['/opt/p'], {str(out)!r}, {str(tmp_path / f'root{count}')!r})"
        subprocess.run([sys.executable, "-B", "-c", code], env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)
        found.add(next(out.rglob("*.pyc")).read_bytes())
    assert len(found) == 1


def test_it_refuses_to_compile_with_hashes_of_chance(out, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with pytest.raises(SystemExit, match="PYTHONHASHSEED=0"):
        normalise().main(["/opt/p"], str(out), str(tmp_path / "root"))


def test_a_package_that_a_layer_below_has_in_another_version_is_named():
    from importlib.metadata import version

    there = version("click")
    lines = (
        f"click==0.1 --hash=sha256:aa\npytest=={version('pytest')} --hash=sha256:bb\nnot-there==1 --hash=sha256:cc\n"
    )
    (clash,) = normalise().clashes(lines)
    assert f"click {there}" in clash
    assert "pins 0.1" in clash


def test_a_clash_fails_the_step_and_no_clash_does_not(tmp_path):
    listed = tmp_path / "requirements.txt"
    listed.write_text("click==0.1 --hash=sha256:aa\n")
    with pytest.raises(SystemExit, match=r"click .* pins 0\.1"):
        normalise().main(["--against", str(listed)])
    listed.write_text("not-there==1 --hash=sha256:aa\n")
    with pytest.raises(SystemExit) as caught:
        normalise().main(["--against", str(listed)])
    assert caught.value.code == 0
