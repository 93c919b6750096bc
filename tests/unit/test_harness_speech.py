"""Speech recognition in the harness: what its recogniser is told and says, and the errors in words."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.backends import pocketsphinx as backend_module  # noqa: E402
from orchestrator.harness.backends.pocketsphinx_process import receive, send, text  # noqa: E402
from orchestrator.harness.metrics import counter  # noqa: E402


def settings(providers=("CPU",), inputs=("audio", "lengths"), outputs=("text",)):
    model = SimpleNamespace(
        path="/models/m/mdef", inputs=[SimpleNamespace(name=name) for name in inputs], outputs=outputs
    )
    return SimpleNamespace(providers=providers, model=model)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (settings(providers=("CUDA",)), "runs on CPU, and the settings' provider is CUDA"),
        (settings(providers=()), "one device"),
        (settings(inputs=("audio",)), "needs the inputs audio and lengths"),
        (settings(inputs=("sound", "lengths")), "no input 'sound'"),
        (settings(outputs=("words",)), "no output 'words'"),
    ],
)
def test_another_device_or_interface_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        backend_module.create().load(given, 1)


def test_a_message_is_read_whole_or_not_at_all():
    stream = io.BytesIO()
    send(stream, b"first")
    send(stream, b"")
    whole = stream.getvalue()
    stream.seek(0)
    assert (receive(stream), receive(stream), receive(stream)) == (b"first", b"", None)
    assert receive(io.BytesIO(whole[:7])) is None, "half a message"
    assert receive(io.BytesIO(whole[:2])) is None, "half a length"


class Decoder:
    """PocketSphinx's calls, in their order."""

    def __init__(self, heard: str | None) -> None:
        self.heard, self.calls = heard, []

    def __getattr__(self, name):
        return lambda *_, **__: self.calls.append(name)

    def hyp(self):
        return None if self.heard is None else SimpleNamespace(hypstr=self.heard)


def test_marks_of_pronunciation_are_no_words_and_nothing_heard_is_no_text():
    assert text(Decoder("the(2) third"), b"") == b"the third"
    assert text(Decoder(None), b"") == b""


def test_a_recording_is_decoded_as_if_it_were_the_first():
    recogniser = Decoder("one")
    text(recogniser, b"")
    assert recogniser.calls[:2] == ["reinit_feat", "start_utt"]


# -- the accuracy ----------------------------------------------------------------------------


def figures(folder, references: list[str], heard: list[bytes]):
    pytest.importorskip("jiwer")
    pytest.importorskip("scipy.stats")
    np.save(folder / "references.npy", np.array(references))
    given = SimpleNamespace(dataset=SimpleNamespace(arrays={"references": f"{folder}/references.npy"}))
    return {each.metric: each for each in counter("speech-recognition").figures(given, heard)}


def test_words_that_are_wrong_missing_and_too_many_are_counted(tmp_path):
    references = ["call waiting", "do not disturb", "five", "Hello  World"]
    found = figures(tmp_path, references, [b"call forwarding", b"do disturb", b"five minutes", b"hello world"])
    rate, accuracy, exact = (found[name] for name in ("WER", "word_accuracy", "exact"))
    assert rate.value == pytest.approx(100 * 3 / 8)
    assert accuracy.value == pytest.approx(100 - rate.value)
    assert exact.value == 25
    low, high = rate.interval
    assert low < rate.value < high
    assert accuracy.interval == pytest.approx((100 - high, 100 - low))


@pytest.mark.filterwarnings("ignore")  # of scipy: samples that are all alike have no interval
def test_silence_is_every_word_wrong_and_has_no_interval(tmp_path):
    rate = figures(tmp_path, ["one", "two words"], [b"", b""])["WER"]
    assert (rate.value, rate.interval) == (100, None)


def test_an_answer_that_is_no_text_is_refused_with_its_sample(tmp_path):
    with pytest.raises(ValueError, match="sample 1 is no text in UTF-8"):
        figures(tmp_path, ["one", "two"], [b"one", b"\xff"])
