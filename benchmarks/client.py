"""The client of servers against one that answers at once, on this host: what one process reaches, and what several do.

Where there are too few processors to see several processes side by side, what they leave to LoadGen's own process says
how many of them add up: it is full when it has as much to do for an answer as they have, divided by their number. A
model's server is not in it, and neither are LoadGen's own calls.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

from common import Bar, NotHereError

LIMIT, ROUNDS, SEVERAL = 32, 5, 8
"""Tokens of an answer, measurements of each, and how many processes shall add up."""


def measure() -> list[Bar]:
    """Three rows for one process, one for several."""
    lacking = [name for name in ("aiohttp", "msgspec", "uvloop", "mlperf_loadgen") if find_spec(name) is None]
    cpus = sorted(os.sched_getaffinity(0))
    if lacking or len(cpus) < 2:
        raise NotHereError(f"this Python lacks {', '.join(lacking)}" if lacking else "two processors are needed")
    requests, tokens, several = [], [], []
    for _ in range(ROUNDS):  # in turn: other load of the machine meets all of them
        requests.append(_once(1, 2, cpus))
        tokens.append(_once(1, LIMIT, cpus))
        several.append(_once(2, LIMIT, cpus))
    best = max(tokens, key=lambda one: one["tokens_per_s"])
    most = max(one["requests_per_s"] for one in requests)
    used = min(one["own_s"] / one["tokens"] for one in tokens)
    own = min(one["own_s"] / one["requests"] for one in several)
    held = used * LIMIT  # as one process has it, which does all by itself: its start is not in that
    what = "client of one process against a server that answers at once on the other core"
    return [
        Bar(
            what=f"{what}: requests/s",
            value=round(most),
            bar=1000,
            unit="",
            at_least=True,
            detail="answers of 2 tokens",
        ),
        Bar(
            what=f"{what}: streamed tokens/s",
            value=round(best["tokens_per_s"]),
            bar=20_000,
            unit="",
            at_least=True,
            detail=f"{best['requests_per_s']:,.0f} answers of {LIMIT} tokens a second",
        ),
        Bar(
            what="processor time of the client for a streamed token",
            value=used * 1e6,
            bar=100,
            unit="µs",
            detail=f"answers of {LIMIT} tokens; a process holds {1 / used:,.0f} tokens/s",
        ),
        Bar(
            what=f"client of several processes: processors' time of LoadGen's process against that of {SEVERAL} others",
            value=own * SEVERAL / held,
            bar=1,
            detail=f"{own * 1e6:.0f} / {held * 1e6:.0f} µs an answer of {LIMIT} tokens: "
            f"{held / own:.0f} processes add up before it is full",
        ),
    ]


def _once(processes: int, limit: int, cpus: list[int]) -> dict[str, float]:
    """One measurement in a process of its own; the server has the last processor, the client all others."""
    words = [sys.executable, __file__, str(processes), str(limit), *map(str, cpus)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measured(processes: int, limit: int, cpus: list[int]) -> dict[str, float]:
    from orchestrator.harness import ceiling
    from orchestrator.harness.client.loop import Loop

    command = [sys.executable, "-m", "orchestrator.harness.nullserver", "--port", "0"]
    os.sched_setaffinity(0, cpus[-1:])
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(0, cpus[:-1])
    assert server.stdout is not None
    port, loop = int(server.stdout.readline().split()[-1]), Loop()
    before = os.times()
    requests, tokens = loop.run(ceiling.measure(f"http://127.0.0.1:{port}", limit, ceiling.PROMPT, processes))
    after = os.times()
    server.terminate()
    server.wait()
    lasted = ceiling.SECONDS + ceiling.WARM_S
    return {
        "requests_per_s": requests,
        "tokens_per_s": tokens,
        "requests": requests * lasted,
        "tokens": tokens * lasted,
        "own_s": after.user + after.system - before.user - before.system,
    }


if __name__ == "__main__":
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1]))
    given = list(map(int, sys.argv[1:]))
    print(json.dumps(_measured(given[0], given[1], given[2:])))
