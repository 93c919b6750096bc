"""Makes what a build step wrote below /out the same bytes on every machine, and puts it in place for the smoke test.

Runs inside a build with the image's own Python (3.8 or newer) and is never part of an
image: it compiles Python, sets one time on every file and links the files to where the image will
have them. `COPY --link --from=work /out/ /` then makes the layer.

    normalise.py [PATH …]                folders or files of Python sources, by their paths in the image
    normalise.py --against REQUIREMENTS  fails where the layers below have another version of what is pinned there

It runs in the step that writes /out: a link to a file of an earlier step would copy the file.
"""

from __future__ import annotations

import os
import py_compile
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCH = 1_700_000_000
"""The time of every file, seconds since 1970: mlorch's constant (`orchestrator.plan.build.content`)."""


def compile_tree(folder: str, out: str) -> None:
    """Byte code below `out` for every source of `folder`: of `out` where it is there, else of the image.

    A fixed order, PYTHONHASHSEED=0 (checked by `main`) and the path that the image will have make
    the bytes the same each time; nothing in them depends on a file's time.
    """
    new = Path(f"{out}{folder}")
    root = new if new.exists() else Path(folder)
    for source in [root] if root.is_file() else sorted(root.rglob("*.py")):
        final = Path(folder) / source.relative_to(root)
        compiled = cache_from_source(str(final), optimization="")
        if source.suffix != ".py" or Path(compiled).exists() or Path(f"{out}{compiled}").exists():
            continue
        Path(f"{out}{compiled}").parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            str(source),
            cfile=f"{out}{compiled}",
            dfile=str(final),
            quiet=2,  # packages carry templates and tests that are no valid Python; importing one says so
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def clashes(requirements: str) -> list[str]:
    """Distributions that are installed in another version than `name==version …` lines pin.

    pip would replace them in its own stage only: a layer adds files and takes none away, so the
    image would have both.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for line in requirements.splitlines():
        name, _, pinned = line.split(" ")[0].partition("==")
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if installed != pinned:
            found.append(f"{name} {installed} is in a layer below, and this layer pins {pinned}: pin the same in both")
    return found


def put_in_place(out: str, root: str) -> None:
    """Hard links of every file of `out` below `root`, so that a smoke test sees the finished layer."""
    for folder, folders, files in os.walk(out):
        destination = Path(root, Path(folder).relative_to(out))
        destination.mkdir(parents=True, exist_ok=True)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*files, *links]:
            target = destination / name
            if target.is_symlink() or target.exists():
                target.unlink()
            os.link(Path(folder, name), target, follow_symlinks=False)


def set_times(out: str) -> None:
    """Give `out` and all below it the one time."""
    for folder, folders, files in os.walk(out, topdown=False):
        for name in [*files, *folders]:
            os.utime(Path(folder, name), (EPOCH, EPOCH), follow_symlinks=False)
    os.utime(out, (EPOCH, EPOCH))


def main(folders: Sequence[str], out: str = "/out", root: str = "/") -> None:
    """Compile, put in place, set times; `out` is made where a step left nothing."""
    if folders[:1] == ["--against"]:
        raise SystemExit("\n".join(clashes(Path(folders[1]).read_text(encoding="utf-8"))) or 0)
    if os.environ.get("PYTHONHASHSEED") != "0":
        raise SystemExit("normalise.py needs PYTHONHASHSEED=0: else byte code differs from build to build")
    Path(out).mkdir(exist_ok=True)
    for folder in folders:
        compile_tree(folder, out)
    put_in_place(out, root)
    set_times(out)


if __name__ == "__main__":
    main(sys.argv[1:])
