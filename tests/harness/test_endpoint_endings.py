"""How an answer begins and ends: a byte order mark, a body that stays open, a server that asks to be left alone."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from email.utils import formatdate

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("msgspec")
pytest.importorskip("uvloop")

from endpoint_parts import LIMIT, NEVER, after_greeting, talk
from little_servers import MODELS, Script, end, event, good, plain, serving

from orchestrator.harness.client import requests
from orchestrator.harness.client.errors import EndpointError
from orchestrator.harness.client.events import BOM, Answer
from orchestrator.harness.retry_after import asked_wait_s

BUSY = {"error": {"message": "slow down"}}


# -- a byte order mark ---------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_byte_order_mark_before_the_first_event_hides_nothing(cut):
    """It may come in pieces, as everything of a stream."""
    data = BOM + event("a", 1) + end(1)
    answer = Answer(LIMIT)
    answer.feed(data[:cut])
    answer.feed(data[cut:])
    answer.close()
    assert (answer.tokens(), answer.text()) == ([1], "a")


def test_one_in_the_middle_of_a_stream_is_part_of_its_line():
    answer = Answer(LIMIT)
    answer.feed(event("a", 1) + BOM + event("b", 2) + end(1))
    assert answer.text() == "a"


def test_one_before_a_document_is_passed_over():
    import json

    with serving(Script(good, models=BOM + json.dumps(MODELS).encode())) as url:
        assert talk(url).error is None


# -- the last event ------------------------------------------------------------------------


def _left_open(asked):
    """An answer whose body never ends."""
    return [*good(asked)[:-1], NEVER]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_answer_is_whole_with_its_last_event_though_the_body_stays_open(monkeypatch, processes):
    monkeypatch.setattr(requests, "END_S", 0.2)
    script = Script(_left_open)
    with serving(script) as url:
        heard = talk(url, 3, in_flight=1, processes=processes, stall_s=5)
    assert heard.error is None
    assert [heard.replies[number].tokens for number in range(3)] == [[100, 101, 102, 103]] * 3


def test_a_server_that_leaves_bodies_open_is_waited_for_once(monkeypatch):
    monkeypatch.setattr(requests, "END_S", 0.5)
    with serving(Script(_left_open)) as url:
        began = time.monotonic()
        assert talk(url, 8, in_flight=1, stall_s=5).error is None
        assert 0.5 <= time.monotonic() - began < 2, "the greeting's answer alone is waited for"


def test_a_connection_whose_body_ends_after_the_last_event_is_used_again():
    """As servers do that send the end in a piece of its own."""

    def late(asked):
        pause = threading.Event()
        threading.Timer(0.02, pause.set).start()
        return [*good(asked)[:-1], pause, b"0\r\n\r\n"]

    script = Script(late)
    with serving(script) as url:
        assert talk(url, 4, in_flight=1).error is None
    assert len({asked.peer for asked in script.asked}) == 1


def test_a_connection_that_breaks_after_the_last_event_loses_nothing():
    with serving(Script(lambda asked: [*good(asked)[:-1], b""])) as url:
        heard = talk(url, 2, in_flight=1)
    assert (heard.error, heard.replies[1].count) == (None, LIMIT)


def test_nothing_after_the_last_event_counts():
    answer = Answer(LIMIT)
    answer.feed(event("a", 1) + end(1) + event("b", 2) + b"data: {")
    answer.close()
    assert answer.tokens() == [1]


# -- Retry-After ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "20", 20.0),
        (503, " 1.5 ", 1.5),
        (429, "0", 0.0),
        (500, "20", None),
        (429, None, None),
        (429, "", None),
        (429, "soon", None),
        (429, "-3", None),
        (429, "9" * 400, None),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", 1e9),
        (429, "Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(status, value, seconds):
    assert asked_wait_s(status, value) == seconds


def test_it_may_say_a_moment():
    assert asked_wait_s(503, formatdate(time.time() + 60, usegmt=True)) == pytest.approx(60, abs=2)


def refusing(times: int, status: int = 429, value: str = "1"):
    """Answers that refuse so many times first."""
    left = [times]

    def parts(asked):
        if left[0]:
            left[0] -= 1
            return [plain(status, BUSY, more=f"Retry-After: {value}\r\n")]
        return good(asked)

    return parts


@pytest.mark.parametrize("status", [429, 503])
def test_before_the_test_a_server_is_left_alone_for_as_long_as_it_asks(status):
    script = Script(refusing(1, status))
    with serving(script) as url:
        began = time.monotonic()
        assert talk(url, ready_s=5.0).error is None
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize("page", ["/v1/models", "/version"])
def test_so_is_one_that_is_asked_what_it_is(page):
    answers = iter([plain(429, BUSY, more="Retry-After: 0.5\r\n"), plain(200, MODELS), plain(200, MODELS)])
    script = replace(Script(good), pages={page: lambda _: [next(answers)]})
    with serving(script) as url:
        assert talk(url, ready_s=5.0).error is None
    assert sum(asked.path == page for asked in script.asked) == 2


def test_one_that_asks_for_more_time_than_there_is_is_told_at_once():
    with serving(Script(refusing(9, 429, "3600"))) as url:
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"for its rate \(429\) and asks to wait 3,600 s: slow down"):
            talk(url, ready_s=5.0)
        assert time.monotonic() - began < 2
    pages = {"/v1/models": lambda _: [plain(503, BUSY, more="Retry-After: 3600\r\n")]}
    with serving(replace(Script(good), pages=pages)) as url:
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"answers 503 .* and asks to wait 3,600 s"):
            talk(url, ready_s=5.0)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("patience_s", "waits"), [(5.0, True), (0.0, False)])
def test_what_nobody_times_waits_and_what_is_timed_fails(patience_s, waits, processes):
    script = after_greeting(refusing(1))
    with serving(script) as url:
        heard = talk(url, 2, in_flight=1, processes=processes, patience_s=patience_s)
    if waits:
        assert (heard.error, sorted(heard.replies)) == (None, [0, 1])
    else:
        assert "refused a request for its rate (429) and asks to wait 1 s" in str(heard.error)
        assert not heard.replies


def test_a_server_that_asked_for_its_silence_does_not_stall():
    with serving(after_greeting(refusing(1, value="2"))) as url:
        assert talk(url, stall_s=0.3, patience_s=5.0).error is None
