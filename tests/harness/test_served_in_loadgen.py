"""The client under real LoadGen: the whole harness as a process, over little servers of OpenAI's interface."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
for _name in ("mlperf_loadgen", "aiohttp", "msgspec", "uvloop"):
    pytest.importorskip(_name)

from generation_parts import generation_settings  # noqa: E402
from little_servers import STREAM, Script, chunk, event, good, plain, serving  # noqa: E402

ROOT = Path(__file__).parents[2]
SAMPLES, LONGEST, LIMIT = 64, 12, 6
KEY = "sk-secret-0123456789"
pytestmark = pytest.mark.slow


@pytest.fixture
def document(tmp_path) -> dict:
    settings = generation_settings(tmp_path, np.ones((SAMPLES, LONGEST), np.int32), limit=LIMIT)
    settings["backend"] = "openai"
    settings["loadgen"] |= {"target_qps": 50.0, "ttft_latency_ns": 2_000_000_000}
    settings["execution"]["batch"] = 16
    settings["endpoint"] = {"urls": [], "model": "small", "key_file": None, "stall_s": 1.5, "ready_s": 2}
    return settings


def run(document: dict, folder: Path, *urls: str) -> tuple[int, str, dict]:
    """Exit status, output and harness.json."""
    document["endpoint"]["urls"] = list(urls)
    (folder / "settings.json").write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.harness", str(folder / "settings.json")],
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, json.loads((folder / "harness.json").read_text())


def answers(folder: Path) -> dict[int, list[int]]:
    log = json.loads((folder / "mlperf_log_accuracy.json").read_text())
    return {one["qsl_idx"]: np.frombuffer(bytes.fromhex(one["data"]), "<i4").tolist() for one in log}


@pytest.mark.parametrize("scenario", ["Offline", "Server", "Interactive", "SingleStream"])
def test_each_scenario_times_the_tokens_of_two_replicas(document, tmp_path, scenario):
    document["scenario"] = scenario
    with serving(Script(good)) as first, serving(Script(good)) as second:
        code, output, record = run(document, tmp_path, first, second)
    assert code == 0, output
    summary = (tmp_path / "mlperf_log_summary.txt").read_text()
    assert "No errors encountered" in summary
    assert record["effective"]["instances"]["value"] == 2
    assert record["effective"]["batch"] == {"value": 16, "source": "settings"}
    assert [server["url"] for server in record["backend"]["servers"]] == [first, second]
    assert record["backend"]["prompts"] == "tokens"


def test_every_sample_is_answered_with_its_tokens(document, tmp_path):
    document["mode"] = "accuracy"
    with serving(Script(good)) as url:
        code, output, _ = run(document, tmp_path, url)
    assert code == 0, output
    assert answers(tmp_path) == {index: [100 + at for at in range(LIMIT)] for index in range(SAMPLES)}


@pytest.mark.parametrize("scenario", ["Offline", "Server"])
def test_a_client_of_several_processes_answers_every_sample(document, tmp_path, scenario):
    document |= {"scenario": scenario, "mode": "accuracy"}
    document["execution"]["processes"] = 2
    with serving(Script(good)) as first, serving(Script(good)) as second:
        code, output, record = run(document, tmp_path, first, second)
    assert code == 0, output
    assert record["effective"]["processes"] == {"value": 2, "source": "settings"}
    assert answers(tmp_path) == {index: [100 + at for at in range(LIMIT)] for index in range(SAMPLES)}


def processes_of(folder: Path) -> list[int]:
    """The client's processes of the harness whose settings are in ``folder``."""
    words, parents = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words[int(place.name)] = (place / "cmdline").read_text().split("\0")
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    settings, module = str(folder / "settings.json"), "orchestrator.harness.client.process"
    return [pid for pid, parent in parents.items() if module in words[pid] and settings in words.get(parent, ())]


def test_a_process_of_the_client_that_is_killed_ends_the_test_with_its_reason(document, tmp_path):
    document["execution"]["processes"] = 2
    killed: list[int] = []

    def kills(asked):
        if not killed:
            killed.append(min(processes_of(tmp_path)))
            os.kill(killed[0], signal.SIGKILL)
        return good(asked)

    with serving(failing_after(30, kills)) as url:
        code, _, record = run(document, tmp_path, url)
    assert code == 1
    assert record["error"]["type"] == "ClientError"
    assert "of 2 of the client was killed by SIGKILL" in record["error"]["message"]


def test_text_is_logged_with_its_count_where_a_server_gives_no_numbers(document, tmp_path):
    document["mode"] = "accuracy"
    with serving(Script(lambda asked: good(asked, numbers=False))) as url:
        code, output, _ = run(document, tmp_path, url)
    assert code == 0, output
    from orchestrator.harness.tasks.text_generation import read_text

    log = json.loads((tmp_path / "mlperf_log_accuracy.json").read_text())
    assert len(log) == SAMPLES
    assert {read_text(bytes.fromhex(one["data"])) for one in log} == {(" 0 1 2 3 4 5", LIMIT)}


def test_questions_are_asked_as_messages_where_the_server_cannot_show_its_tokens(document, tmp_path):
    questions = np.array([f"why {index}?" for index in range(SAMPLES)])
    np.save(tmp_path / "questions.npy", questions)
    document["dataset"]["arrays"]["questions"] = str(tmp_path / "questions.npy")
    document["mode"], document["endpoint"]["prompts"] = "accuracy", None
    script = Script(good, pages={"/v1/chat/completions": lambda asked: good(asked, numbers=False)})
    with serving(script) as url:
        code, output, record = run(document, tmp_path, url)
    assert code == 0, output
    assert record["backend"]["prompts"] == "messages"
    said = {one.body["messages"][0]["content"] for one in script.asked if "messages" in one.body}
    assert said == set(questions.tolist())


def failing_after(count: int, answer):
    """A server that answers so many completions and then misbehaves."""
    done: list[int] = []

    def parts(asked):
        done.append(1)
        return good(asked) if len(done) <= count else answer(asked)

    return Script(parts)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: [STREAM, chunk(event("a", 1)), b""], "closed the connection in the middle of an answer"),
        (lambda _: [b""], "closed the connection without an answer"),
        (lambda asked: [*good(asked)[:3], threading.Event()], "stopped in the middle of an answer for 1.5 s"),
    ],
)
@pytest.mark.parametrize("scenario", ["Offline", "Server", "SingleStream"])
def test_a_server_that_breaks_in_mid_run_ends_the_test_with_its_reason(document, tmp_path, scenario, answer, words):
    document |= {"scenario": scenario}
    began = time.monotonic()
    with serving(failing_after(12, answer)) as url:
        code, output, record = run(document, tmp_path, url)
    assert code == 1
    assert record["status"] == "failed"
    assert record["error"]["type"] == "EndpointError"
    assert words in record["error"]["message"], output
    assert time.monotonic() - began < 60


def test_an_answer_of_one_token_is_refused_as_loadgen_cannot_time_it(document, tmp_path):
    def short(asked):
        return good(asked) if asked.body["max_tokens"] == 2 else [
            STREAM, chunk(event("a", 1, finish="stop", usage={"completion_tokens": 1})), b"0\r\n\r\n"
        ]  # fmt: skip

    with serving(Script(short)) as url:
        code, _, record = run(document, tmp_path, url)
    assert code == 1
    assert "is one token; LoadGen times two or more" in record["error"]["message"]


def test_the_key_stands_in_nothing_that_the_harness_leaves(document, tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "key").write_text(KEY + "\n")
    document["endpoint"]["key_file"] = str(folder / "key")
    pages = {"/props": lambda asked: [plain_props(asked)]}
    with serving(Script(good, wants_key=KEY, pages=pages)) as url:
        code, output, _ = run(document, tmp_path, url)
        assert code == 0, output
        (folder / "key").write_text("sk-wrong-0123456789")
        code, wrong, record = run(document, tmp_path, url)
    assert code == 1
    assert "refuses the key" in record["error"]["message"]
    left = "".join(path.read_text(errors="replace") for path in tmp_path.iterdir() if path.suffix in {".json", ".txt"})
    assert KEY not in left + output
    assert "sk-wrong" not in left + wrong


def plain_props(asked) -> bytes:
    """A server that repeats the key in what it says of itself."""
    return plain(200, {"you_said": asked.headers.get("authorization")})
