"""Recipes of a benchmark that misbehaves on purpose, for the tests of what `mlorch run` does then."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What it does depends on the scenario: one image serves all tests.
HARNESS = r"""
import json, os, sys, time
settings = json.load(open('/results/settings.json'))
print(json.dumps({'event': 'phase', 'name': 'load'}), flush=True)
if settings['scenario'] == 'Offline':
    print('about to crash', flush=True)
    raise SystemExit('the harness crashed on purpose')
if settings['scenario'] == 'SingleStream':
    for path in ('/results/shell', '/artifacts/shell'):
        open(path, 'w').close()
        os.chmod(path, 0o6755)
    open('/results/forged', 'w').write(open('/results/run.json').read().replace('running', 'done'))
    try:
        os.replace('/results/forged', '/results/run.json')
    except OSError:
        pass
    print('sleeping', flush=True)
    time.sleep(120)
if settings['scenario'] == 'MultiStream':
    print('environment: ' + json.dumps(dict(os.environ)), flush=True)
    sys.exit(3)
"""


def write_overlay(folder: Path, harness: str = HARNESS) -> Path:
    """A recipe folder with benchmark `faulty`, its model, dataset and harness; a few bytes each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.bin").write_bytes(b"data")
    digest = hashlib.sha256(b"data").hexdigest()
    source = f"sources: [{{kind: recipe, path: data.bin, sha256: {digest}, licence: {{spdx: MIT}}}}]\n"
    outputs = f"outputs: [{{file: data.bin, sha256: {digest}}}]\n"
    command = "command:\n  - python3\n  - -c\n  - |\n" + "".join(f"    {line}\n" for line in harness.splitlines())
    files = {
        "model.yaml": "kind: model\nname: faulty\ntitle: m\nformat: onnx\nparameters: 1\ntrained_by: us\n"
        + source + outputs,
        "dataset.yaml": "kind: dataset\nname: faulty\ntitle: d\nsamples: 1\ninputs: data.bin\nlabels: data.bin\n"
        + source + outputs,
        "harness.yaml": "kind: harness\nname: faulty\ntitle: h\nloadgen: loadgen\ndeps: harness-deps\n"
        "code: harness-code\nbackends: {onnxruntime: onnxruntime}\n" + command,
        "benchmark.yaml": "kind: benchmark\nname: faulty\ntitle: b\ntask: image-classification\n"
        "layer: benchmark\nmodel: faulty\n"
        "dataset: faulty\nharness: faulty\nframeworks: [onnxruntime]\nperformance_samples: 1\n"
        "scenarios: {Offline: {}, SingleStream: {}, MultiStream: {}}\ninput: {name: x}\noutput: {name: y}\n"
        "accuracy: {metric: top1, reference: 50, factor: 0.9}\n",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder
