"""The client against servers that misbehave: a clear error that names the server, and nothing that hangs."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("msgspec")
pytest.importorskip("uvloop")

from endpoint_parts import LIMIT, NEVER, after_greeting, talk
from little_servers import MODELS, STREAM, Script, chunk, end, event, good, plain, serving

from orchestrator.harness.client import greeting
from orchestrator.harness.client.asking import Asking, Target
from orchestrator.harness.client.errors import EndpointError
from orchestrator.harness.client.greeting import ABOUT


def test_good_answers_come_back_with_their_tokens():
    with serving(Script(good)) as url:
        heard = talk(url, 3)
    assert heard.error is None
    assert [heard.replies[number].tokens for number in range(3)] == [[100, 101, 102, 103]] * 3
    assert sorted(heard.firsts) == [(number, [100]) for number in range(3)]


def test_an_answer_without_numbers_has_its_text_and_the_count_of_usage():
    with serving(Script(lambda asked: good(asked, numbers=False))) as url:
        heard = talk(url)
    assert (heard.replies[0].tokens, heard.replies[0].text, heard.replies[0].count) == (None, " 0 1 2 3", 4)
    assert heard.firsts == [(0, None)]


def _answer(*parts):
    return lambda _: [STREAM, *parts]


HALF = chunk(event("a", 1))[:-20]
FAULTS = {
    "its rate": (
        lambda _: [plain(429, {"error": {"message": "slow down"}}, more="Retry-After: 20\r\n")],
        "refused a request for its rate (429) and asks to wait 20 s: slow down",
    ),
    "its rate, and no time": (
        lambda _: [plain(429, b"too many", kind="text/plain")],
        "refused a request for its rate (429), and does not say for how long: too many",
    ),
    "not now": (
        lambda _: [plain(503, b"<h1>Busy</h1>", kind="text/html", more="Retry-After: 0\r\n")],
        "(another program, or a proxy that answers in its place) and asks to wait 0 s: <h1>Busy</h1>",
    ),
    "500": (lambda _: [plain(500, {"error": {"message": "out of memory"}})], "answered 500: out of memory"),
    "context": (
        lambda _: [plain(400, {"error": {"message": "request (600 tokens) exceeds the context (512)"}})],
        "answered 400: request (600 tokens) exceeds the context (512)",
    ),
    "error in the stream": (
        _answer(chunk(event("a", 1)), chunk(b'data: {"error": {"message": "the engine died"}}\n\n'), b"0\r\n\r\n"),
        "failed in the middle of an answer: the engine died",
    ),
    "stalls": (_answer(chunk(event("a", 1)), NEVER), "stopped in the middle of an answer for 0.6 s"),
    "never begins": (lambda _: [NEVER], "said nothing for 0.6 s"),
    "half a chunk": (_answer(HALF, b""), "closed the connection in the middle of an answer"),
    "closes early": (_answer(chunk(event("a", 1)), b""), "closed the connection in the middle of an answer"),
    "ends early": (_answer(chunk(event("a", 1)), b"0\r\n\r\n"), "closed the connection before its answer ended"),
    "half an event": (
        _answer(chunk(event("a", 1)[:-9]), b"0\r\n\r\n"),
        "closed the connection before its answer ended",
    ),
    "only empty tokens": (_answer(chunk(event("")), chunk(end(0)), b"0\r\n\r\n"), "gives an empty answer"),
    "another model": (
        _answer(chunk(event("a", 1, model="large\x1b[2J")), chunk(end(1)), b"0\r\n\r\n"),
        "was asked for the model `small` and answers with `large?[2J`",
    ),
    "NaN": (
        _answer(chunk(b'data: {"choices": [{"text": "a", "index": NaN}]}\n\n'), b"0\r\n\r\n"),
        "no JSON of OpenAI's interface",
    ),
    "no token's number": (
        _answer(chunk(event("a", 2**70)), chunk(end(1)), b"0\r\n\r\n"),
        "no JSON of OpenAI's interface",
    ),
    "no JSON": (_answer(chunk(b"data: <html>\x00\n\n"), b"0\r\n\r\n"), "no JSON of OpenAI's interface"),
    "another type": (
        _answer(chunk(b'data: {"choices": [{"text": 7}]}\n\n'), b"0\r\n\r\n"),
        "no JSON of OpenAI's interface",
    ),
    "endless line": (_answer(*[chunk(b"data: " + b"a" * 2**16)] * 40, b"0\r\n\r\n"), "longer than 1048576 bytes"),
    "too many tokens": (
        _answer(*[chunk(event("a", 1))] * 5, chunk(end(5)), b"0\r\n\r\n"),
        "asked for at most 4 tokens and gives more",
    ),
    "in one piece": (
        lambda _: [plain(200, {"choices": [{"text": "all of it"}]})],
        "in one piece though a stream was asked for",
    ),
    "redirect": (
        lambda _: [plain(302, b"", more="Location: http://elsewhere.example/v1\r\n")],
        "redirects to elsewhere.example (302), which is not followed",
    ),
    "a proxy": (
        lambda _: [plain(502, b"<h1>Bad gateway</h1>", kind="text/html")],
        "answered 502 with text/html, which is not OpenAI's interface",
    ),
    "no HTTP": (lambda _: [b"SSH-2.0-OpenSSH\r\n", b""], "does not speak HTTP"),
    "hangs up": (lambda _: [b""], "closed the connection without an answer"),
    "compressed": (
        lambda _: [
            STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"),
            chunk(b"\x1f\x8b"),
            b"0\r\n\r\n",
        ],
        "sends its answer compressed (gzip) though it was asked not to",
    ),
    "a redirect to nowhere": (
        lambda _: [plain(302, b"", more="Location: http://[bad\r\n")],
        "redirects (302), which is not followed",
    ),
    "a negative count": (
        _answer(chunk(event("a")), chunk(end(-7)), b"0\r\n\r\n"),
        "no JSON of OpenAI's interface",
    ),
    "nested for ever": (
        _answer(chunk(b'data: {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n"), b"0\r\n\r\n"),
        "no JSON of OpenAI's interface",
    ),
    "usage alone": (_answer(chunk(event("a")), chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n"), "nor how many there are"),
}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_an_answer_ends_all_and_is_told_once(name, processes):
    answer, words = FAULTS[name]
    with serving(after_greeting(answer)) as url:
        heard = talk(url, 5, in_flight=2, processes=processes)
        assert isinstance(heard.error, EndpointError)
        assert url in str(heard.error)
        assert words in str(heard.error)
        assert not any(ord(letter) < 32 for letter in str(heard.error))
        assert len(heard.lost_ones) + len(heard.replies) == 5


def test_a_server_that_never_answers_its_first_request_is_told():
    with serving(Script(lambda _: [NEVER])) as url, pytest.raises(EndpointError, match=r"first request within 0\.3 s"):
        talk(url, stall_s=0.3)


def test_a_server_that_is_not_there_is_waited_for_so_long():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(EndpointError, match=r"cannot be reached: .* \(for 0.4 s\)"):
        talk(url, ready_s=0.4)


def test_a_server_that_loads_is_waited_for():
    times = []

    def models(_):
        times.append(1)
        return [plain(503, {"error": {"message": "Loading model"}}) if len(times) < 3 else plain(200, MODELS)]

    with serving(replace(Script(good), pages={"/v1/models": models})) as url:
        assert talk(url, ready_s=10).error is None


def test_one_that_loads_for_ever_is_told():
    pages = {"/v1/models": lambda _: [plain(503, {"error": {"message": "Loading model"}})]}
    with serving(replace(Script(good), pages=pages)) as url, pytest.raises(EndpointError, match="answers 503"):
        talk(url, ready_s=0.4)


def test_a_server_without_the_model_says_which_it_has():
    models = {"data": [{"id": "other"}, {"id": "an\x1bother"}]}
    with serving(Script(good, models=models)) as url, pytest.raises(EndpointError) as caught:
        talk(url)
    assert "has no model `small`; it has: other, an?other" in str(caught.value)


@pytest.mark.parametrize(
    "models", [[1, 2], {"data": [{"name": "small"}]}, b"<html>hello</html>", {"data": NotImplemented}]
)
def test_a_server_that_is_no_openai_api_is_told(models):
    document = b'{"data": NaN}' if models == {"data": NotImplemented} else models
    with serving(Script(good, models=document)) as url, pytest.raises(EndpointError, match="no server of OpenAI's"):
        talk(url)


def test_a_server_that_lists_nothing_is_asked_all_the_same():
    with serving(Script(good, models={"data": []})) as url:
        assert talk(url).error is None


def test_a_wrong_key_is_refused_and_never_repeated():
    with serving(Script(good, wants_key="sk-right")) as url:
        with pytest.raises(EndpointError, match=r"refuses the key, or wants one \(401\)") as caught:
            talk(url, key="sk-wrong")
        assert "sk-wrong" not in str(caught.value)
        assert talk(url, key="sk-right").error is None


@pytest.mark.parametrize("before", [265, 295])
def test_no_part_of_a_key_is_told_where_the_servers_words_are_cut(before):
    def refused(_):
        return [plain(400, {"error": {"message": f"{'x' * before} sk-0123456789-abcdefghij {'y' * 99}"}})]

    with serving(Script(refused)) as url, pytest.raises(EndpointError) as caught:
        talk(url, key="sk-0123456789-abcdefghij")
    assert "answered 400: xxx" in str(caught.value)
    assert "sk-0" not in str(caught.value)


def test_nothing_is_to_be_compressed():
    script = Script(good)
    with serving(script) as url:
        talk(url)
    assert {asked.headers["accept-encoding"] for asked in script.asked} == {"identity"}


def test_a_gateways_long_list_of_models_is_read():
    many = [{"id": f"model-{number}", "object": "model"} for number in range(100_000)]
    with serving(Script(good, models={"data": [*many, *MODELS["data"]]})) as url:
        assert talk(url).error is None


def test_a_list_without_end_is_told(monkeypatch):
    monkeypatch.setattr(greeting, "LARGEST_DOCUMENT", 2**16)
    models = {"data": [{"id": "m" * 2**16}]}
    with serving(Script(good, models=models)) as url, pytest.raises(EndpointError, match="of more than 65536 bytes"):
        talk(url)


def test_a_list_nested_for_ever_is_none():
    models = b'{"data": [{"id": "small", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"
    with serving(Script(good, models=models)) as url, pytest.raises(EndpointError, match="no server of OpenAI's"):
        talk(url)


def test_an_empty_list_may_be_written_as_null():
    """As programs in Go do."""

    def nulls(asked):
        usage = b'data: {"choices": null, "usage": {"completion_tokens": %d}}\n\n' % asked.body["max_tokens"]
        return [*good(asked, numbers=False)[:-2], chunk(usage + b"data: [DONE]\n\n"), b"0\r\n\r\n"]

    models = {"data": [{"id": "small", "aliases": None}]}
    with serving(Script(nulls, models=models)) as url:
        assert talk(url).replies[0].count == LIMIT


def test_a_redirect_of_the_greeting_is_not_followed():
    asked = Script(good)
    with serving(asked) as elsewhere:
        pages = {"/v1/models": lambda _: [plain(307, b"", more=f"Location: {elsewhere}/v1/models\r\n")]}
        with serving(Script(good, pages=pages)) as url, pytest.raises(EndpointError, match="not followed"):
            talk(url, key="sk-right")
    assert not asked.asked


def test_a_certificate_that_nobody_knows_is_refused_and_one_that_is_given_is_taken(tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(Script(good), context) as url:
        with pytest.raises(EndpointError, match="certificate that nobody here vouches for"):
            talk(url, ready_s=600)  # nobody waits for another one
        assert talk(url, ca_file=str(tmp_path / "ca.pem")).error is None


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(Script(good)) as url:
        assert talk(url).error is None


def test_strict_servers_are_asked_without_what_openai_does_not_have():
    def strict(asked):
        if "return_token_ids" in asked.body:
            return [plain(422, {"detail": [{"msg": "extra fields not permitted"}]})]
        return good(asked, numbers=False)

    with serving(Script(strict)) as url:
        assert talk(url).replies[0].text == " 0 1 2 3"


def test_a_server_that_takes_no_tokens_is_asked_with_text():
    def texts(asked):
        if isinstance(asked.body["prompt"], list):
            return [plain(400, {"error": {"message": "prompt must be a string"}})]
        return good(asked)

    script = Script(texts)
    with serving(script) as url:
        target = Target(urls=(url,), model="small", limit=LIMIT)
        dialect = asyncio.run(_agreed(target, ("tokens", "text")))
    assert dialect.form == "text"


def test_a_server_that_counts_the_prompts_tokens_otherwise_reads_no_tokens():
    def misread(asked):
        usage = {"prompt_tokens": 17, "completion_tokens": 2}
        return [STREAM, chunk(event("a", 1)), chunk(event("b", 2, finish="stop", usage=usage)), b"0\r\n\r\n"]

    with serving(Script(misread)) as url, pytest.raises(EndpointError, match="a prompt of 3 tokens for one of 17"):
        asyncio.run(_agreed(Target(urls=(url,), model="small", limit=LIMIT), ("tokens",)))


async def _agreed(target, forms):
    asking = Asking(target, 1)
    try:
        return await asking.agree(await asking.open(), forms, lambda form: [1, 2, 3] if form == "tokens" else "why?")
    finally:
        await asking.close()


@pytest.mark.parametrize(
    ("api", "given"),
    [("/v1", ""), ("/v1", "/v1/"), ("/v3", "/v3"), ("/v1beta/openai", "/v1beta/openai"), ("/gateway/v1", "/gateway")],
)
def test_the_interface_is_where_the_address_says_and_at_v1_where_it_says_nothing(api, given):
    """OpenVINO's model server has it at `/v3`; what else a server says of itself lies at its root."""
    script = Script(good, api=api)
    with serving(script) as url:
        heard = talk(url + given)
    assert heard.error is None
    paths = [asked.path for asked in script.asked]
    assert paths[0] == f"{api}/models"
    assert paths[-1] == f"{api}/completions"
    root = "/gateway" if given == "/gateway" else ""
    assert {path for path in paths if not path.startswith(f"{api}/")} <= {
        f"{root}{at}" for at in (*ABOUT, "/detokenize")
    }


def test_requests_go_to_the_server_with_the_least_to_do():
    stuck, scripts = threading.Event(), []
    slow = after_greeting(lambda asked: [STREAM, chunk(event("a", 1)), stuck, *good(asked)[2:]])
    quick = Script(good)
    scripts += [slow, quick]
    with serving(slow) as first, serving(quick) as second:
        threading.Timer(0.4, stuck.set).start()
        heard = talk((first, second), 6, in_flight=1, stall_s=5)
    assert heard.error is None
    completions = [sum(asked.path == "/v1/completions" for asked in script.asked) for script in scripts]
    assert completions == [1 + 3, 1 + 3], "spread evenly, as all came at once; one of each was the greeting"


def test_a_connection_that_was_closed_while_idle_is_no_fault():
    def once(asked):
        return [*good(asked), b""]  # closes although it did not say so

    with serving(Script(once)) as url:
        assert talk(url, 3, in_flight=1).error is None
