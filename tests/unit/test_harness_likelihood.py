"""Likelihoods of given tokens from llama.cpp, in the harness, and the accuracies that are counted of them."""

from __future__ import annotations

import importlib
import sys
import types
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.metrics import counter  # noqa: E402
from orchestrator.harness.tasks import create  # noqa: E402

LOGARITHMS = {1: -1.0, 2: -2.0, 3: -4.0}
"""Of each token that is generated."""


class Server:
    """As xllamacpp 2026.10.11549 answers: the tokens of the grammar, each with its number and its probability."""

    def __init__(self) -> None:
        self.asked: list[dict] = []

    def handle_completions(self, request):
        self.asked.append(request)
        tokens = [int(word.strip("<[]>")) for word in request["grammar"].removeprefix("root ::= ").split()]
        entries = [{"id": token, "logprob": LOGARITHMS[token]} for token in tokens if token != 3]
        return {"choices": [{"logprobs": {"content": entries}}]}


@pytest.fixture
def backend(monkeypatch):
    """The backend over that server; a test of the engine has the real one."""
    fake = types.ModuleType("xllamacpp")
    monkeypatch.setitem(sys.modules, "xllamacpp", fake)
    for name in ("llamacpp", "llamacpp_likelihood"):
        monkeypatch.delitem(sys.modules, f"orchestrator.harness.backends.{name}", raising=False)
    made = importlib.import_module("orchestrator.harness.backends.llamacpp_likelihood").create()
    made._places, made._server = [0, 1], Server()
    return made


def predicted(backend, *samples: tuple[list[int], list[int]]):
    longest = max(len(tokens) for tokens, _ in samples)
    tokens = np.array([each + [0] * (longest - len(each)) for each, _ in samples], np.int32)
    return backend.predict([tokens, np.array([parts for _, parts in samples], np.int32)])[0]


def test_each_way_to_go_on_is_asked_after_its_context_and_padding_is_nobodys(backend):
    found = predicted(backend, ([7, 8, 1, 2, 1], [2, 1, 2]), ([9, 2, 2, 1], [1, 2, 1]))
    assert found.dtype == np.float32
    assert found.tolist() == [[-1, -3], [-4, -1]]
    asked = backend._server.asked
    assert [each["prompt"] for each in asked] == [[7, 8], [7, 8], [9], [9]]
    assert [each["n_predict"] for each in asked] == [1, 2, 2, 1]


def test_a_context_is_kept_for_its_own_sample_alone(backend):
    predicted(backend, ([7, 1, 2], [1, 1, 1]), ([7, 1, 2], [1, 1, 1]))
    assert [each["cache_prompt"] for each in backend._server.asked] == [False, True, False, True]


def test_tokens_that_the_server_did_not_generate_are_an_error(backend):
    with pytest.raises(RuntimeError, match=r"was to generate the tokens \[3, 1\], and generated \[1\]"):
        predicted(backend, ([7, 3, 1], [1, 2]))


def test_what_the_server_refuses_is_an_error_with_its_words(backend):
    backend._server.handle_completions = lambda _: {"error": {"message": "the request exceeds the context size"}}
    with pytest.raises(RuntimeError, match="exceeds the context size"):
        predicted(backend, ([7, 1], [1, 1]))


def test_another_interface_is_refused(backend):
    model = SimpleNamespace(path="m", inputs=[SimpleNamespace(name="tokens")], outputs=("likelihoods",))
    with pytest.raises(ValueError, match="needs the inputs tokens and parts, not tokens"):
        backend.load(SimpleNamespace(providers=("CPU",), model=model), 1)


# -- the accuracies --------------------------------------------------------------------------


def figures(folder, labels, sizes, likelihoods):
    pytest.importorskip("sklearn.metrics")
    pytest.importorskip("scipy.stats")
    for name, values in (("labels", labels), ("sizes", sizes)):
        np.save(folder / f"{name}.npy", np.array(values, np.int32))
    arrays = {name: f"{folder}/{name}.npy" for name in ("labels", "sizes")}
    answers = create(SimpleNamespace(task="multiple-choice")).answers([np.array(likelihoods, np.float32)], [0])
    settings = SimpleNamespace(dataset=SimpleNamespace(arrays=arrays))
    return {each.metric: each for each in counter("multiple-choice").figures(settings, answers)}


def test_a_long_way_is_not_worse_for_its_length_where_likelihoods_are_normed(tmp_path):
    likelihoods = [[-10, -12, -30, -9], [-5, -6, -7, -8]]
    found = figures(tmp_path, [1, 0], [[10, 40, 10, 3], [1, 1, 1, 1]], likelihoods)
    assert (found["acc_norm"].value, found["acc"].value) == (100, 50)
    low, high = found["acc"].interval
    assert low < 50 < high


def test_likelihoods_that_are_no_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        figures(tmp_path, [0], [[1, 1]], [[-1, float("nan")]])
