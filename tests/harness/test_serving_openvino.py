"""The server over OpenVINO GenAI as its clients meet it: real processes and connections, a library that is played."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

for _name in ("aiohttp", "msgspec", "numpy", "uvloop"):
    pytest.importorskip(_name)

ROOT = Path(__file__).parents[2]
A, E_ACUTE = 3, 29  # as the played vocabulary has them; the é is two tokens
CONTEXT = 24


@dataclass
class Served:
    port: int
    process: subprocess.Popen
    steps: Path

    def ask(self, path: str, document: object = None, method: str = "") -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = None if document is None else json.dumps(document)
        connection.request(method or ("GET" if body is None else "POST"), path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def stream(self, document: dict, path: str = "/v1/completions") -> list[dict | str]:
        """The events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", path, json.dumps(document))
        lines = connection.getresponse().read().decode().split("\n\n")
        datas = [line.removeprefix("data: ") for line in lines if line]
        return [data if data == "[DONE]" else json.loads(data) for data in datas]

    def computed(self) -> int:
        return len(self.steps.read_text().splitlines()) if self.steps.exists() else 0


@contextmanager
def server(folder: Path, *, until: int = 200, **behaviour: object) -> Iterator[Served]:
    """``until`` is what ``/health`` is to answer before the test goes on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = folder / "model.gguf"
    model.write_text(json.dumps({"steps": str(folder / "steps"), **behaviour}))
    words = [f"--model={model}", "--name=small", f"--port={port}", "--threads=1", "--streams=2", f"--context={CONTEXT}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.serving.openvino", *words],
        env={"PYTHONPATH": os.pathsep.join([str(ROOT / "tests/fixtures/genai"), str(ROOT), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    served = Served(port, process, folder / "steps")
    try:
        _wait(served, until)
        yield served
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _wait(served: Served, until: int) -> None:
    late = time.monotonic() + 20
    while time.monotonic() < late and served.process.poll() is None:
        try:
            if served.ask("/health")[0] == until:
                return
        except OSError:
            pass
        time.sleep(0.02)
    assert until == 0, served.process.communicate(timeout=5)[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with server(tmp_path_factory.mktemp("served")) as one:
        yield one


def test_a_completion_is_streamed_with_an_event_a_token_and_its_number(served):
    asked = {"model": "small", "prompt": [9, A], "max_tokens": 3, "temperature": 0, "return_token_ids": True}
    *events, usage, end = served.stream({**asked, "stream": True, "stream_options": {"include_usage": True}})
    choices = [event["choices"][0] for event in events]
    assert [(one["text"], one["token_ids"], one["finish_reason"]) for one in choices] == [
        ("a", [A], None), ("b", [A + 1], None), ("c", [A + 2], None), ("", [], "length"),
    ]  # fmt: skip
    assert (usage["choices"], end) == ([], "[DONE]")
    assert usage["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    status, whole = served.ask("/v1/completions", asked)
    assert (status, whole["choices"][0]["text"], whole["choices"][0]["token_ids"]) == (200, "abc", [A, A + 1, A + 2])
    assert whole["usage"] == usage["usage"]


def test_texts_and_messages_are_prompts_too_and_control_tokens_are_no_text(served):
    status, document = served.ask("/v1/completions", {"prompt": "by", "max_tokens": 2})
    assert (status, document["choices"][0]["text"], document["usage"]["prompt_tokens"]) == (200, "yz", 2)
    chat = {"messages": [{"role": "user", "content": "b"}], "max_tokens": 9}
    status, document = served.ask("/v1/chat/completions", chat)
    # z, the two halves of é, what the vocabulary calls <b>, and the end
    assert document["choices"][0]["message"] == {"role": "assistant", "content": "zé<b>"}
    assert document["choices"][0]["finish_reason"] == "stop"
    events = served.stream({**chat, "stream": True}, "/v1/chat/completions")
    parts = [event["choices"][0]["delta"]["content"] for event in events[:-1]]
    assert parts == ["z", "", "é", "<b>", "", ""], "the first half of a character waits for the second"


def test_what_it_says_of_itself(served):
    assert served.ask("/health") == (200, {"status": "ok"})
    assert served.ask("/v1/models")[1]["data"][0] == {
        "id": "small", "object": "model", "created": 0, "owned_by": "openvino",
    }  # fmt: skip
    assert served.ask("/version")[1]["version"] == "2026.4.1-fake"
    assert served.ask("/detokenize", {"tokens": [2, A, A + 1]}) == (200, {"prompt": "ab"})
    status, document = served.ask("/props")
    assert (status, "Not Found" in document["error"]["message"]) == (404, True)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        (
            {"prompt": [A] * 20, "max_tokens": 5},
            400,
            f"context is {CONTEXT} tokens, and a prompt of 20 with an answer of 5",
        ),
        ({"prompt": "a" * 30}, 400, f"context is {CONTEXT} tokens, and a prompt of 30"),
        ({"prompt": []}, 400, "the prompt has no token"),
        ({"prompt": [A, 400_000]}, 400, "there is no token 400000"),
        ({"prompt": [-1]}, 400, "there is no token -1"),
        ({"max_tokens": 0}, 400, "at least one token"),
        ({"temperature": 0.7}, 400, "'temperature'"),
        ({"n": 2}, 400, "'n'"),
        ({"model": "large"}, 404, "there is no model 'large' here"),
        ({"prompt": {"a": 1}}, 400, "none of OpenAI's interface"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(served, changes, status, said):
    for stream in (False, True):
        found, document = served.ask("/v1/completions", {"prompt": [A], "max_tokens": 2, "stream": stream, **changes})
        assert (found, said in document["error"]["message"]) == (status, True), document


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/detokenize"])
@pytest.mark.parametrize("field", ["prompt", "messages", "tokens", "stop", "unknown"])
def test_a_request_nested_for_ever_is_refused_and_the_next_one_answered(served, path, field):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", path, f'{{"{field}": {"[" * 100_000}{"]" * 100_000}}}')
    response = connection.getresponse()
    assert (response.status, "none of OpenAI's interface" in response.read().decode()) == (400, True)
    assert served.ask("/v1/completions", {"prompt": [A], "max_tokens": 2})[0] == 200


def test_answers_are_computed_together_and_those_beyond_the_streams_wait(served):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda at: served.ask("/v1/completions", {"prompt": [A + at], "max_tokens": 4}), range(8))
        )
    assert [document["choices"][0]["text"][:1] for _, document in found] == list("abcdefgh")


def test_nothing_more_is_computed_for_a_client_that_left(tmp_path):
    with server(tmp_path, step_s=0.05) as one:
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)
        connection.request("POST", "/v1/completions", json.dumps({"prompt": [A], "max_tokens": 20, "stream": True}))
        response = connection.getresponse()
        response.readline()
        response.close()
        connection.close()
        time.sleep(0.3)
        count = one.computed()
        assert count < 10
        time.sleep(0.3)
        assert one.computed() == count


def test_while_the_model_loads_it_says_so(tmp_path):
    with server(tmp_path, until=503, load_s=1.0) as one:
        for path, document in (("/health", None), ("/v1/models", None), ("/v1/completions", {"prompt": [A]})):
            status, answered = one.ask(path, document)
            assert (status, answered["error"]["message"]) == (503, "the model is being loaded")
        _wait(one, 200)
        assert one.ask("/v1/completions", {"prompt": [A]})[0] == 200


def test_a_model_that_does_not_load_ends_the_server_with_the_reason(tmp_path):
    with server(tmp_path, until=0, broken="no such architecture `walrus`") as one:
        assert one.process.wait(20) == 1
        assert "no such architecture `walrus`" in one.process.stdout.read()


def test_a_model_that_may_only_be_read_is_loaded_from_a_copy_that_does_not_stay(tmp_path, monkeypatch):
    from orchestrator.serving.openvino import writable

    model, scratch = tmp_path / "model.gguf", tmp_path / "scratch"
    model.write_bytes(b"GGUF")
    scratch.mkdir()
    with writable(model, scratch) as found:
        assert found == model
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with writable(model, scratch) as found:
        assert (found.parent.parent, found.suffix, found.read_bytes()) == (scratch, ".gguf", b"GGUF")
    assert list(scratch.iterdir()) == []


def test_an_answer_without_room_is_refused_and_the_others_go_on(tmp_path):
    with server(tmp_path, no_room_at=A + 5) as one:
        status, document = one.ask("/v1/completions", {"prompt": [A + 5]})
        assert (status, "no room for it" in document["error"]["message"]) == (400, True)
        assert "no room for it" in one.stream({"prompt": [A + 3], "stream": True})[-1]["error"]["message"]
        assert one.ask("/v1/completions", {"prompt": [A], "max_tokens": 2})[0] == 200


def test_the_end_of_the_models_process_is_told_and_ends_the_server(tmp_path):
    with server(tmp_path, dies_at=A + 2) as one:
        events = one.stream({"prompt": [A], "max_tokens": 5, "stream": True})
        assert events[-1]["error"]["message"] == "the model's process ended (9)"
        assert one.process.wait(20) == 1


def test_sigterm_ends_it_and_its_models_process_at_once(tmp_path):
    with server(tmp_path, step_s=0.05) as one:
        children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
        assert children
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(10) == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)
