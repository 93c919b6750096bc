"""What a generating backend and its accuracy are made of: pieces of llama.cpp's stream, tokens as text, settings."""

from __future__ import annotations

import importlib
import sys
import types

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.settings import SettingsError, parse  # noqa: E402

EMOJI = "\N{BIRD}"


@pytest.fixture
def llamacpp(monkeypatch):
    """The backend's module, over a package that is not there."""
    monkeypatch.setitem(sys.modules, "xllamacpp", types.ModuleType("xllamacpp"))
    monkeypatch.delitem(sys.modules, "orchestrator.harness.backends.llamacpp", raising=False)
    return importlib.import_module("orchestrator.harness.backends.llamacpp")


def piece(text: str, token: int, own: bytes | None = None) -> dict:
    """As xllamacpp 2026.10.11549 calls back, less what nobody reads."""
    best = {"id": token, "bytes": list(text.encode() if own is None else own), "prob": 1.0}
    entry = {"id": token, "bytes": list(text.encode()), "prob": 1.0, "top_probs": [best]}
    return {"choices": [{"text": text, "logprobs": {"content": [entry]}, "finish_reason": None}]}


def end(count: int) -> dict:
    return {
        "choices": [{"text": "", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"completion_tokens": count},
    }


def streamed(module, *pieces: dict) -> tuple[list[int], list[int]]:
    """The answer, and what `first` was called with."""
    told: list[int] = []
    stream = module._Stream(lambda tokens: told.extend(tokens.tolist()))
    for each in pieces:
        assert stream.take(each) is False
    stream.check(None)
    return stream.answer().tolist(), told


def test_tokens_are_those_of_the_stream_and_the_first_is_told_once(llamacpp):
    pieces = (piece("I", 57), piece("'m", 5248), piece("", 2), end(3))
    assert streamed(llamacpp, *pieces) == ([57, 5248, 2], [57])


def test_a_token_without_a_number_has_a_place_and_a_count(llamacpp):
    """An emoji of three tokens comes as one piece, with the number of the last."""
    whole = EMOJI.encode()
    assert streamed(llamacpp, piece("a", 81), piece(EMOJI, 116, whole[-1:]), piece("b", 82), end(5)) == (
        [81, -1, -1, 116, 82], [81],
    )  # fmt: skip
    two = (piece(EMOJI, 116, whole[-1:]), piece("b", 82), piece(EMOJI, 116, whole[-1:]), end(6))
    assert streamed(llamacpp, *two)[0] == [-1, 116, 82, -1, -1, 116]
    assert streamed(llamacpp, piece("a", 81), end(2))[0] == [81, -1], "the limit came in the middle of a character"


def test_what_goes_wrong_in_a_callback_stops_the_server_and_is_raised_afterwards(llamacpp):
    def breaks(_):
        raise RuntimeError("LoadGen is gone")

    stream = llamacpp._Stream(breaks)
    assert stream.take(piece("I", 57)) is True
    with pytest.raises(RuntimeError, match="LoadGen is gone"):
        stream.check(None)


@pytest.mark.parametrize("refused", [None, {"error": {"message": "Prompt contains invalid tokens"}}])
def test_a_refusal_of_the_server_is_an_error_with_its_words(llamacpp, refused):
    stream = llamacpp._Stream(lambda _: None)
    if refused is None:
        stream.take({"error": {"message": "Prompt contains invalid tokens"}})
    with pytest.raises(RuntimeError, match=r"llama\.cpp: Prompt contains invalid tokens"):
        stream.check(refused)


def test_an_answer_that_never_ended_is_an_error(llamacpp):
    stream = llamacpp._Stream(lambda _: None)
    stream.take(piece("I", 57))
    with pytest.raises(RuntimeError, match="without saying how long"):
        stream.check(None)


def test_another_device_is_refused(llamacpp):
    with pytest.raises(ValueError, match="CUDA"):
        llamacpp.create().load(types.SimpleNamespace(providers=("CUDA",)), 1, None)


# -- accuracy --------------------------------------------------------------------------------


@pytest.fixture
def metrics(monkeypatch):
    """The module that counts ROUGE, over a library that is in the image `accuracy` only."""
    fake = types.ModuleType("rouge_score")
    fake.rouge_scorer = fake.scoring = None
    monkeypatch.setitem(sys.modules, "rouge_score", fake)
    monkeypatch.delitem(sys.modules, "orchestrator.harness.metrics.text_generation", raising=False)
    return importlib.import_module("orchestrator.harness.metrics.text_generation")


def vocabulary(module, *pieces: bytes):
    return module.Vocabulary(np.frombuffer(b"".join(pieces), np.uint8), np.cumsum([len(each) for each in pieces]))


def test_tokens_become_text_by_their_bytes(metrics):
    whole = EMOJI.encode()
    words = vocabulary(metrics, b"", b"Yes", b" sir", whole[:2], whole[2:])
    assert words.text([1, 2, 0]) == "Yes sir"
    assert words.text([1, 3, 4]) == f"Yes{EMOJI}"
    assert words.text([1, -1, 2]) == "Yes sir"
    assert words.text([3, 2]) == "\ufffd sir"


@pytest.mark.parametrize("token", [5, -2])
def test_a_token_that_the_vocabulary_does_not_have_is_refused(metrics, token):
    with pytest.raises(ValueError, match=f"token {token} is none"):
        vocabulary(metrics, b"a", b"b", b"c", b"d", b"e").text([0, token])


@pytest.mark.parametrize("data", [b"", b"\x00\x00\xc0", np.float16("nan").tobytes()])
def test_an_answer_that_is_no_tokens_is_refused(metrics, data):
    with pytest.raises(ValueError, match="answer to sample 3"):
        metrics._tokens(3, data)


# -- settings --------------------------------------------------------------------------------


def document(**changes: object) -> dict:
    loadgen = dict.fromkeys(
        ("target_qps", "expected_latency_ns", "target_latency_ns", "target_latency_percentile", "samples_per_query")
    )
    loadgen |= {"min_duration_ms": 1, "max_duration_ms": 0, "min_query_count": 1}
    execution = dict.fromkeys(("instances", "threads", "batch", "batch_delay_us"))
    return {
        "version": 2,
        "run_id": "r",
        "benchmark": "b",
        "task": "text-generation",
        "scenario": "Interactive",
        "mode": "performance",
        "backend": "llamacpp",
        "providers": ["CPU"],
        "model": {
            "path": "m",
            "inputs": [{"name": "t", "dtype": "int32", "scale": 1.0, "array": "inputs", "varies": True}],
            "outputs": ["t"],
        },
        "dataset": {"arrays": {"inputs": "i", "lengths": "l"}, "samples": 9, "performance_samples": 9},
        "loadgen": {**loadgen, "ttft_latency_ns": 5, "tpot_latency_ns": 6},
        "execution": {**execution, "cpus": [0]},
        "accuracy": {"metric": "rouge1", "unit": ""},
        "generation": {"limit": 32},
        **changes,
    }


def test_limits_of_tokens_take_the_place_of_one_of_whole_queries():
    settings = parse(document())
    assert (settings.loadgen.ttft_latency_ns, settings.loadgen.tpot_latency_ns) == (5, 6)
    assert settings.generation.limit == 32
    without = document()["loadgen"] | {"tpot_latency_ns": None}
    with pytest.raises(SettingsError, match=r"loadgen\.tpot_latency_ns: the Interactive scenario needs it"):
        parse(document(loadgen=without))
    with pytest.raises(SettingsError, match=r"loadgen\.target_latency_ns: the Server scenario needs it"):
        parse(document(scenario="Server", generation=None))


@pytest.mark.parametrize(("limit", "says"), [(1, "two tokens or more"), (0, "two tokens"), ("32", "not of type int")])
def test_a_limit_that_cannot_be_is_refused(limit, says):
    with pytest.raises(SettingsError, match=says):
        parse(document(generation={"limit": limit}))


def test_the_task_needs_to_know_how_much_to_generate():
    from orchestrator.harness.tasks import create

    assert create(parse(document())).answers([np.array([1, 2])], [0]) == [b"\x01\0\0\0\x02\0\0\0"]
    with pytest.raises(ValueError, match="needs the settings' `generation`"):
        create(parse(document(generation=None, scenario="Offline")))
