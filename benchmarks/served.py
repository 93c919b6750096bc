"""A language model behind a server and a client in containers of their own, against the same model in process.

Offline tests of llm-chat by `mlorch run`, in turn; the model has the same one processor on both sides, and computes
as many answers at once as the harness found best in process. The client and its server share no processor, so that the
row needs two. Tokens a second are LoadGen's; the best of each side counts.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from common import Bar, NotHereError, mlorch_json, note
from docker_side import own_home

BENCHMARK, ASSETS = "llm-chat", ("smollm2-135m-instruct", "gsm8k-100")
ROUNDS = 3


def measure() -> list[Bar]:
    """One row."""
    if len(os.sched_getaffinity(0)) < 2:
        raise NotHereError("a server and its client need two processors")
    client, server, *_ = sorted(os.sched_getaffinity(0))
    test = ("run", BENCHMARK, "--target", "cpu", "--scenario", "Offline", "--mode", "performance")
    mlorch_json("assets", "get", *ASSETS)
    with own_home() as env, tempfile.TemporaryDirectory(prefix="mlorch-bench-") as results:

        def tokens(*options: str) -> tuple[float, dict]:
            *_, found = mlorch_json(*test, *options, "-o", results, env=env)["results"]
            result, record = found["metrics"]["result"], Path(found["record"])
            if result["unit"] != "tokens/s":
                raise RuntimeError(f"the result is in {result['unit']}")
            return result["value"], json.loads(record.read_text(encoding="utf-8"))

        note(f"{BENCHMARK}: in process")
        alone, record = tokens("--cpus", str(server))
        streams = record["settings"]["execution.batch"]["value"]
        roles = ("--roles", "server,client", "--set", f"roles.server.parameters.streams={streams}")
        inside, served = [alone], []
        for turn in range(ROUNDS):
            note(f"{BENCHMARK}: turn {turn + 1} of {ROUNDS}")
            served.append(tokens(*roles, "--cpus", f"{client},{server}")[0])
            inside.append(tokens("--cpus", str(server))[0])
    return [
        Bar(
            what=f"{BENCHMARK} Offline: tokens/s of server and client against in process, one processor for the model",
            value=max(served) / max(inside),
            bar=0.9,
            at_least=True,
            detail=f"{max(served):.1f} / {max(inside):.1f} tokens/s, {streams} answers at once",
        )
    ]
