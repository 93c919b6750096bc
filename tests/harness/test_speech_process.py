"""The recogniser of speech as a process: answers in their places, and clear errors where it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.backends import pocketsphinx as backend_module  # noqa: E402
from orchestrator.harness.tasks import create  # noqa: E402

ROOT = Path(__file__).parents[2]
RECOGNISER = """
import sys
sys.path.insert(0, {root!r})
from orchestrator.harness.backends.pocketsphinx_process import READY, receive, send
send(sys.stdout.buffer, READY)
while (audio := receive(sys.stdin.buffer)) is not None:
    if not audio:
        sys.exit(3)
    send(sys.stdout.buffer, str(len(audio) // 2).encode())
"""
"""A process that answers with how many values a recording has, and ends at an empty one."""


def settings():
    inputs = [SimpleNamespace(name=name) for name in ("audio", "lengths")]
    model = SimpleNamespace(path="/models/m/mdef", inputs=inputs, outputs=("text",))
    return SimpleNamespace(providers=("CPU",), model=model)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The backend over the process above, which stands in for the package PocketSphinx and speaks as ours does."""
    program = tmp_path / "recogniser"
    program.write_text(f"#!{sys.executable}\n{RECOGNISER.format(root=str(ROOT))}")
    program.chmod(0o755)
    monkeypatch.setattr(backend_module.sys, "executable", str(program))
    loaded = backend_module.create()
    loaded.load(settings(), 1)
    yield loaded
    backend_module._stop(loaded._process)


def test_each_recording_is_answered_without_its_padding_and_in_its_place(started):
    audio, lengths = np.zeros((3, 9), np.int16), np.array([4, 9, 1], np.int32)
    (texts,) = started.predict([audio, lengths])
    task = create(SimpleNamespace(task="speech-recognition"))
    assert task.answers([texts], [7, 8, 9]) == [b"4", b"9", b"1"]


def test_a_recogniser_that_ends_is_an_error_with_its_status(started):
    with pytest.raises(RuntimeError, match="ended with status 3"):
        started.predict([np.zeros((1, 9), np.int16), np.array([0], np.int32)])


def test_a_model_that_does_not_load_is_an_error(monkeypatch):
    monkeypatch.setattr(backend_module.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="ended with status 1"):
        backend_module.create().load(settings(), 1)
