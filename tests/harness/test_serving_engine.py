"""The model's process and the loop of the requests: neither waits for the other while that one waits for it."""

from __future__ import annotations

import subprocess
import sys

BURST = """
import asyncio
from orchestrator.serving.engine import About, Engine, Refused

class Model:
    def about(self):
        return About([], {})
    def encode(self, prompt):
        raise RuntimeError("this prompt is not taken: " + "x" * 200)
    def step(self):
        pass

async def main():
    engine = Engine(Model, 100)
    engine.listen()
    asked = [engine.ask("y" * 1000, 1) for _ in range(20_000)]  # in one turn of the loop: nobody reads meanwhile
    large = engine.ask("y" * 2_000_000, 1)
    refused = 0
    for waiting in (*asked, large):
        try:
            await waiting.next()
        except Refused:
            refused += 1
    engine.close()
    print(refused)

asyncio.run(main())
"""


def test_a_burst_of_prompts_that_are_all_refused_is_answered():
    done = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("20001", "")
