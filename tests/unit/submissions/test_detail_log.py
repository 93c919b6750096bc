"""LoadGen's detail log in one pass: what is kept, what is told, what a hostile one costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from submission_parts import line, rules

from orchestrator.submissions import detail_log
from orchestrator.submissions.detail_log import parse_detail
from orchestrator.submissions.figures import wanted_keys

RECORDED = Path(__file__).parents[2] / "fixtures" / "loadgen"
CASES = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())


def of(text: str | bytes, *keys: str, block: int = 1 << 20):
    data = text if isinstance(text, bytes) else text.encode()
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    return parse_detail(blocks, frozenset(key.encode() for key in keys))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("block", [1 << 20, 97])
def test_a_recorded_log_says_what_json_says(case, block):
    data = (RECORDED / case / "mlperf_log_detail.txt").read_bytes()
    wanted = wanted_keys(rules())
    expected = {}
    for text in data.decode().splitlines():
        if text.startswith(":::MLLOG"):
            entry = json.loads(text.removeprefix(":::MLLOG"))
            expected.setdefault(entry["key"], entry["value"])
    read = of(data, *(key.decode() for key in wanted), block=block)
    assert read.values == {key: value for key, value in expected.items() if key.encode() in wanted}
    assert len(read.values) > 15
    assert (read.broken, read.twice) == ((), ())


def test_the_first_value_of_a_key_counts_and_another_one_is_told():
    read = of("\n".join((line("sut_name", "a"), line("sut_name", "b"), line("x", 1), line("x", 1))), "sut_name", "x")
    assert (read.values, read.twice) == ({"sut_name": "a", "x": 1}, ("sut_name",))


def test_errors_are_counted_by_loadgen_or_by_their_entries():
    told = line("error_runtime", "no memory", error=True)
    assert of(told).error_count == 1
    assert of(told).errors == ("no memory",)
    assert of(f"{told}\n{line('num_errors', 3)}", "num_errors").error_count == 3


@pytest.mark.parametrize(
    "value", [18446744073709551615, -1, 0, 1.5, 6.90935e-09, 1e22, True, False, "", "a b", "ä", 'with "quotes"', None]
)
def test_values_are_those_of_json(value):
    assert of(line("key", value), "key").values == {"key": value}


def test_an_entry_that_is_written_otherwise_is_read_too():
    other = ':::MLLOG {"value":7,"key":"x","metadata":{"is_error":false}}\r'
    assert of(other, "x").values == {"x": 7}


@pytest.mark.parametrize(
    "broken",
    [
        ':::MLLOG {"key": "x", "value": 7',
        ':::MLLOG {"key": "x", "value": NaN, "metadata": {"is_error": false}}',
        ":::MLLOG",
        ':::MLLOG {"key": "loaded_qsl_set", "value": [1,2',
        ":::MLLOG [1]",
        ':::MLLOG {"key": "x", "value": 99999999999999999999999, "metadata": {"is_error": false}}',
    ],
)
def test_a_broken_entry_is_told_with_its_line(broken):
    read = of(f"{line('a', 1)}\nnot an entry\n{broken}\n", "a", "x")
    assert read.values == {"a": 1}
    (told,) = read.broken
    assert told.startswith("line 3: :::MLLOG")


def test_bytes_that_are_no_text_end_nothing():
    read = of(b"\xff\x00\n" + b':::MLLOG {"key": "x\xff"\n' + line("x", 1).encode(), "x")
    assert read.values == {"x": 1}
    assert len(read.broken) == 1


def test_an_endless_line_is_not_kept(monkeypatch):
    monkeypatch.setattr(detail_log, "LONGEST_LINE", 10_000)

    def blocks():
        yield f"{line('a', 1)}\n".encode()
        yield b':::MLLOG {"key": "x", "value": "'
        for _ in range(1000):
            yield b"y" * 1000
        yield f"\n{line('b', 2)}\n".encode()

    read = parse_detail(blocks(), frozenset((b"a", b"b", b"x")))
    assert read.values == {"a": 1, "b": 2}
    assert len(read.broken) == 1


# -- lists of samples, and what is between ---------------------------------------------------


def cycle(number: int, *more: str) -> list[str]:
    """What an accuracy test writes of one loading of samples."""
    samples = line("loaded_qsl_set", list(range(number, number + 60)))
    counters = [line(f"logger_{name}", number) for name in ("retry", "swap", "total")]
    return [samples, line("generated_query_count", number), *counters, *more]


def as_json_says(text: str, keys: frozenset[str]) -> tuple[dict[str, object], int, int]:
    values: dict[str, object] = {}
    errors = broken = 0
    for each in text.splitlines():
        if not each.startswith(":::MLLOG"):
            continue
        try:
            entry = json.loads(each.removeprefix(":::MLLOG"))
        except ValueError:
            broken += 1
            continue
        errors += entry["metadata"]["is_error"]
        if entry["key"] in keys:
            values.setdefault(entry["key"], entry["value"])
    return values, errors, broken


ODD = [
    line("num_errors", 1),
    line("error_runtime", "no memory", error=True),
    line("logger_retry", 1, error=True),
    "not an entry",
    "}}",
    line("logger_retry", 1)[:-2],
    line("logger_retry", 1).replace(', "metadata"', '\n, "metadata"'),
    line("logger_retry", 1).replace('"key": ', '"key":'),
    line("loaded_qsl_set", [1], error=True),
    line("loaded_qsl_set", [1])[:-3],
    "",
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("at", [0, 1, 2, 7, 8, 12, 20])
@pytest.mark.parametrize("keys", [("num_errors",), ("num_errors", "logger_total", "a", "b", "c", "d")])
def test_what_is_odd_among_lines_that_are_alike_is_seen(odd, at, keys):
    lines = [each for number in range(1000, 1004) for each in cycle(number)]
    text = "\n".join([*lines[:at], odd, *lines[at:]]) + "\n"
    values, errors, broken = as_json_says(text, frozenset(keys))
    for block in (1 << 20, 500):
        read = of(text, *keys, block=block)
        assert (read.values, read.error_entries) == (values, errors)
        assert len(read.broken) == min(broken, 5)


def test_lines_that_end_as_on_windows_say_the_same():
    text = "\n".join((*cycle(10), line("num_errors", 2), *cycle(20))) + "\n"
    assert of(text.replace("\n", "\r\n"), "num_errors") == of(text, "num_errors")
